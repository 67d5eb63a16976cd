/** The node file: what the machine listens on, and what holds for all customers. */
import {z} from 'zod';
import {LIMITS} from '#src/core/limits.ts';
import {adminAddress, listenAddress, network, trustedNetwork} from '#src/config/address-scalars.ts';
import {checked, checkNames} from '#src/config/checks.ts';
import {checkNode} from '#src/config/node-checks.ts';
import {fleetSection} from '#src/config/fleet-schema.ts';
import {adminSocketPath} from '#src/config/admin-socket.ts';
import {choice, duration, filePath, flag, integer, name, scalar, section, size, sizeOrAuto} from '#src/config/scalars.ts';
import {rulesSection} from '#src/config/rule-schema.ts';
import {BUFFERED_BYTES_MAX, BUFFERED_BYTES_MIN, limitsSection, RATE_BYTES_MAX} from '#src/config/shared-sections.ts';

const redirectToHttps = scalar<boolean | number>({
  type: 'boolean or port',
  allowed: 'true, false, or the https port that clients see',
  remedy: 'write true without quotes, or a port such as 443 where a firewall maps it to the listener',
  json: {anyOf: [{type: 'boolean'}, {type: 'integer', minimum: 1, maximum: 65_535}]},
  read: (value) => (typeof value === 'boolean' || (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535) ? (value as boolean | number) : null),
});

const threads = scalar<'auto' | number>({
  type: 'auto | integer',
  allowed: `auto, or a whole number from 1 to ${LIMITS.threadsMax}`,
  remedy: 'write auto for one proxy thread a core',
  json: {anyOf: [{const: 'auto'}, {type: 'integer', minimum: 1, maximum: LIMITS.threadsMax}]},
  read: (value) => (value === 'auto' || (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= LIMITS.threadsMax) ? (value as 'auto' | number) : null),
});

const listener = section({
  name: name.describe('Unique; a label in logs and metrics.'),
  address: listenAddress.describe('Where to listen. `0.0.0.0` and `[::]` stand for every address of their own family.'),
  protocol: choice('http', 'https').describe('Cleartext, or TLS with the certificates of the customers.'),
  redirect_to_https: redirectToHttps.prefault(false).describe('On a cleartext listener: answer everything with a redirect (308) to the https listener, or to the port given here.'),
  http2: flag.prefault(true).describe('On an https listener: offer HTTP/2 to clients. Without it they speak HTTP/1.1. Takes effect for new connections.'),
});

const timeoutsSection = section({
  request_head: duration().prefault('10s').describe('From the first byte of a request (or the accepted connection) to the end of its head.'),
  request_body_idle: duration().prefault('30s').describe('How long the client may be silent within the request body. The time that it has used up is only bought back with bytes, see `request_body_min_rate`.'),
  request_body_min_rate: size(RATE_BYTES_MAX).prefault(512).describe('Bytes a second of a request body that a client must send over time; 0: one byte each `request_body_idle` is enough.'),
  keep_alive: duration().prefault('75s').describe('How long an idle client connection is kept.'),
  connect: duration().prefault('3s').describe('To connect to a server.'),
  response_head: duration().prefault('60s').describe('From the end of the request to the head of the response.'),
  response_idle: duration().prefault('60s').describe('Between two parts of the response; and how long the client may leave it unread.'),
  response_min_rate: size(RATE_BYTES_MAX).prefault(512).describe('Bytes a second of a response that a client must read over time while it is what is waited for. Event streams and WebSockets are exempt. 0: no rate.'),
  event_stream_idle: duration().prefault('1h').describe('The same for responses of the type `text/event-stream`.'),
  tls_handshake: duration().prefault('10s').describe('From the accepted connection to the end of the TLS handshake.'),
  upstream_keep_alive: duration().prefault('60s').describe('How long an idle connection to a server is kept. Below the keep-alive time of the servers, so that they are not the ones who close.'),
  drain: duration().prefault('30s').describe('How long requests in flight may take when the daemon stops.'),
}).prefault({});

/** Connections are counted in shared memory of a fixed size. */
const CONNECTIONS_MAX = 1_000_000;

const capsSection = checked(section({
  connections: integer(1, CONNECTIONS_MAX).prefault(20_000).describe('Open client connections of the whole node. Each proxied request needs up to two file descriptors.'),
  connections_per_client: integer(1, CONNECTIONS_MAX).prefault(512).describe('Open connections of one client: an IPv4 address or an IPv6 /64.'),
  handshakes: integer(1, CONNECTIONS_MAX).optional().describe('TLS handshakes in flight of the whole node, from the accepted connection on. Default: half of `connections`.'),
  handshakes_per_client: integer(1, CONNECTIONS_MAX).optional().describe('TLS handshakes in flight of one client. Default: a quarter of `connections_per_client`.'),
  requests: integer(1, CONNECTIONS_MAX).prefault(10_000).describe('Requests in flight of the whole node, WebSockets aside (503 above). When three quarters are taken, customers above their share get no more, see [fairness.md](fairness.md#shares).'),
  requests_per_client: integer(1, CONNECTIONS_MAX).optional().describe('Requests in flight of one client (429 above). Default: twice `connections_per_client`, and no more than `requests`.'),
  buffered_bytes: sizeOrAuto(BUFFERED_BYTES_MAX, BUFFERED_BYTES_MIN).prefault('auto').describe('Memory that is held for clients: what they do not take of their responses, bodies that wait for servers, heads and pipelined requests. Above, new requests get 503. `auto`: half of what the process may use. When three quarters are taken, customers above their share get no more, see [fairness.md](fairness.md#memory).'),
  buffered_bytes_per_client: size(BUFFERED_BYTES_MAX, BUFFERED_BYTES_MIN).optional().describe('The same for one client (429 above). Default: an eighth of `buffered_bytes`.'),
}), ({connections, connections_per_client: perClient, handshakes = Infinity, handshakes_per_client: handshakesPerClient = 0, requests, requests_per_client: requestsPerClient = 0, buffered_bytes: buffered, buffered_bytes_per_client: bufferedPerClient = 0}) => [
  ...(perClient <= connections ? [] : [{
    path: ['connections_per_client'], needs: [['connections'], ['connections_per_client']], found: String(perClient), allowed: `at most caps.connections (${connections})`, remedy: 'lower it: one client could take every connection of the node',
  }]),
  ...(handshakesPerClient <= handshakes ? [] : [{
    path: ['handshakes_per_client'], needs: [['handshakes'], ['handshakes_per_client']], found: String(handshakesPerClient), allowed: `at most caps.handshakes (${handshakes})`, remedy: 'lower it: one client could take every handshake of the node',
  }]),
  ...(requestsPerClient <= requests ? [] : [{
    path: ['requests_per_client'], needs: [['requests'], ['requests_per_client']], found: String(requestsPerClient), allowed: `at most caps.requests (${requests})`, remedy: 'lower it: one client could take every request of the node',
  }]),
  ...(buffered === 'auto' || bufferedPerClient <= buffered ? [] : [{
    path: ['buffered_bytes_per_client'], needs: [['buffered_bytes'], ['buffered_bytes_per_client']], found: String(bufferedPerClient), allowed: `at most caps.buffered_bytes (${buffered})`, remedy: 'lower it: one client could take all memory of the node',
  }]),
]).prefault({});

const logSection = section({
  access: filePath.prefault('stdout').describe('Where the access log goes: `stdout`, `off`, or the path of a file.'),
  level: choice('debug', 'info', 'warn', 'error').prefault('info').describe('The least level that the daemon log (on stderr) shows.'),
}).prefault({});

const LISTENERS_MAX = 64;
const ALLOWED_NETWORKS_MAX = 1000;

export const nodeSchema = checked(section({
  listeners: checked(z.array(listener).min(1).max(LISTENERS_MAX), checkNames('listener')).describe('Where clients connect.'),
  admin: section({
    address: adminAddress.prefault('127.0.0.1:9180').describe('Internal address of `/metrics`, `/healthz` and `/readyz`. Needs a restart to change.'),
  }).prefault({}).describe('The listener for operators.'),
  threads: threads.prefault('auto').describe(`Proxy threads. \`auto\`: one a core, at most ${LIMITS.threadsMax}. Needs a restart to change.`),
  trusted_proxies: z.array(trustedNetwork).max(1000).prefault([]).describe('Peers whose `X-Forwarded-*` fields are believed, read from right to left.'),
  bans: section({
    allow: z.array(network).max(ALLOWED_NETWORKS_MAX).prefault([]).describe('Clients that can never be banned: monitoring, the office. Trusted proxies, 127.0.0.1 and ::1 never can.'),
  }).prefault({}).describe('Bans of client networks (`torwart ban`), see [bans.md](bans.md).'),
  state: section({
    path: filePath.optional().describe('Folder for what survives a restart: bans, and the last good version of each customer file. Made if it is missing. Default: none. Needs a restart to change.'),
  }).prefault({}).describe('What the daemon keeps on disk.'),
  admin_socket: adminSocketPath.optional().describe('Unix socket of `torwart ban`, `unban` and `bans`. Only its owner may use it. Default: none. Needs a restart to change.'),
  fleet: fleetSection.optional().describe('Other nodes that limits and bans are shared with, see [fleet.md](fleet.md). Default: none.'),
  timeouts: timeoutsSection.describe('Sites and routes may set some of them for themselves.'),
  max_body: size().prefault('10MiB').describe('Largest request body (413 above). Sites and routes may set their own.'),
  request_buffer: size(1024 ** 2).prefault('64KiB').describe('Request bodies up to this size are collected before a server is asked, so that a slow client never occupies one. Sites and routes may set their own.'),
  limits: limitsSection.describe('Request rates that hold for every customer, answered with 429 when exceeded.'),
  rules: rulesSection.describe('Requests of any customer that get 403 for what they look like: a fresh hole is closed for everyone within one reload.'),
  caps: capsSection.describe('Bounds on connections and TLS handshakes, beyond which connections are reset, and on requests, see [fairness.md](fairness.md#places).'),
  log: logSection.describe('Logs.'),
  customers: filePath.prefault('customers/*.yaml').describe('Pattern of the customer files, relative to this file. At least one must exist.'),
}), checkNode);

export type NodeInput = z.output<typeof nodeSchema>;
