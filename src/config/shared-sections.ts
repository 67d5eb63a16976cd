/** Sections that the node and customers have in common. */
import {z} from 'zod';
import {checked, checkNames, type Finding} from '#src/config/checks.ts';
import {choice, duration, fieldOrCookieName, integer, name, rate, section, size} from '#src/config/scalars.ts';
import type {LimitSnapshot} from '#src/config/snapshot.ts';

/** A higher minimum would be a mistake: it is no throughput that is aimed at, but a trickle that is refused. */
export const RATE_BYTES_MAX = 1024 ** 2;

/** Less would refuse what one honest client makes. */
export const BUFFERED_BYTES_MIN = 1024 ** 2;
export const BUFFERED_BYTES_MAX = 1024 ** 4;

const BURST_MAX = 10_000_000;

const limit = checked(section({
  name: name.describe('Unique within the list; a field of the access log, a label of `torwart_limit_exceeded_total`, and told to clients in `RateLimit`.'),
  key: choice('client', 'customer', 'host', 'route', 'header', 'cookie').prefault('client')
    .describe('What has a bucket of its own: each client (an IPv4 address or an IPv6 /64), customer, host (a wildcard is one), route, or value of a header or cookie. Requests without that header or cookie count for their client.'),
  key_name: fieldOrCookieName.optional().describe('Name of the header or cookie; with `key: header` and `key: cookie` only.'),
  rate: rate.describe('Requests that are admitted on average.'),
  burst: integer(1, BURST_MAX).optional().describe('Requests that are admitted at once after a pause. Default: the number in the rate.'),
  mode: choice('enforce', 'observe').prefault('enforce').describe('`observe` refuses nothing: what would be refused is counted and logged.'),
  scope: choice('node', 'fleet').prefault('node').describe('Who counts: this node by itself, or all nodes with the same `fleet` store together, see [fleet.md](fleet.md).'),
  announce: choice('refused', 'always').prefault('refused').describe('Which responses have the fields `RateLimit` and `RateLimit-Policy`: those that refuse, or all.'),
}), checkLimit);

export const limitsSection = checked(z.array(limit).max(16), checkNames('limit')).prefault([]);

interface LimitFacts {
  readonly key: LimitSnapshot['key'];
  readonly key_name?: string | undefined;
}

function checkLimit({key, key_name: keyName}: LimitFacts): readonly Finding[] {
  const isNamed = key === 'header' || key === 'cookie';
  if (isNamed && keyName === undefined) return [{path: ['key'], needs: [['key_name']], found: `key: ${key} without key_name`, allowed: `the name of the ${key}`, remedy: 'add key_name'}];
  if (isNamed || keyName === undefined) return [];
  return [{path: ['key_name'], part: 'key', needs: [['key']], found: `key_name with key: ${key}`, allowed: 'key_name with key: header or key: cookie', remedy: 'remove it, or correct the key'}];
}

/** Timeouts that sites and routes may set; where they do not, the next outer level decides. */
export const routeTimeoutsSection = section({
  connect: duration().optional().describe('To connect to a server. Default: the outer level.'),
  request_body_idle: duration().optional().describe('How long the client may be silent within the request body. Default: the outer level.'),
  request_body_min_rate: size(RATE_BYTES_MAX).optional().describe('Bytes a second of a request body that a client must send over time; 0: no rate. Default: the outer level.'),
  response_head: duration().optional().describe('From the end of the request to the head of the response. Default: the outer level.'),
  response_idle: duration().optional().describe('Between two parts of the response; and how long the client may leave it unread. Default: the outer level.'),
  response_min_rate: size(RATE_BYTES_MAX).optional().describe('Bytes a second of a response that a client must read over time; 0: no rate. Default: the outer level.'),
  event_stream_idle: duration().optional().describe('The same for responses of the type `text/event-stream`. Default: the outer level.'),
}).prefault({});
