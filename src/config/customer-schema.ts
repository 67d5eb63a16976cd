/** A customer file: everything that belongs to one customer, and nothing that belongs to another. */
import {z} from 'zod';
import {internalNetwork, network, serverAddress, sourceAddress} from '#src/config/address-scalars.ts';
import {authReference, authSection} from '#src/config/auth-schema.ts';
import {checked} from '#src/config/checks.ts';
import {checkCustomer} from '#src/config/customer-checks.ts';
import {loginGuardsSection} from '#src/config/login-schema.ts';
import {checkHash, checkHealth, checkPool} from '#src/config/pool-checks.ts';
import {checkChanges, checkRedirect, checkRespond, checkRoute, checkSite, checkWebSocket} from '#src/config/route-checks.ts';
import {host, mediaType, probeHost, probePath, redirectTarget, routePath, statusRanges, websocketOrigin} from '#src/config/route-scalars.ts';
import {choice, duration, fieldName, fieldOrCookieName, fieldValue, filePath, flag, integer, method, name, presence, scalar, readText, section, size, switchable} from '#src/config/scalars.ts';
import {rulesSection} from '#src/config/rule-schema.ts';
import {BUFFERED_BYTES_MAX, BUFFERED_BYTES_MIN, limitsSection, routeTimeoutsSection} from '#src/config/shared-sections.ts';
import {tlsSection} from '#src/config/tls-schema.ts';

const server = section({
  address: serverAddress.describe("IP address and port, inside the customer's networks."),
  weight: integer(1, 256).prefault(1).describe('Share of the requests in relation to the other servers.'),
  backup: flag.prefault(false).describe('Only used while no other server can be.'),
  drain: flag.prefault(false).describe('Gets no new requests; those in flight go on.'),
});

const hashSection = checked(section({
  key: choice('client', 'header', 'cookie').prefault('client').describe('What decides about the server: the client address, a request header, or a cookie.'),
  name: fieldOrCookieName.optional().describe('Name of the header (in lower case) or of the cookie.'),
}), checkHash);

const healthSection = checked(section({
  type: choice('http', 'tcp').prefault('http').describe('`http` asks for a path, `tcp` only connects.'),
  path: probePath.optional().describe('What is asked for. Default: `/`. Only with `http`.'),
  host: probeHost.optional().describe('Host field of the probe. Default: the first host without wildcard that is routed to the pool, else `localhost`. Only with `http`.'),
  expect: statusRanges.optional().describe('Statuses of a healthy server. Default: `200-399`. Only with `http`.'),
  interval: duration(100).prefault('5s').describe('From probe to probe; it varies by a tenth.'),
  timeout: duration(10).optional().describe('For the whole probe; not above the interval. Default: `2s`, or the interval where that is shorter.'),
  rise: integer(1, 100).prefault(2).describe('Successes in a row that bring a server back.'),
  fall: integer(1, 100).prefault(3).describe('Failures in a row that take a server out.'),
}), checkHealth);

const passiveSection = section({
  failures: integer(0, 1000).prefault(3).describe('Failures of real requests in a row that take a server out; 0 switches this off.'),
  for: duration().prefault('10s').describe('How long it stays out.'),
}).prefault({});

const pool = checked(section({
  servers: z.array(server).min(1).max(256).describe('The servers of the application.'),
  balance: choice('round_robin', 'least_requests', 'random_two', 'consistent_hash').prefault('least_requests')
    .describe('How a server is chosen. All of them respect weights.'),
  hash: hashSection.optional().describe('What `consistent_hash` hashes. Default: the client address.'),
  health: healthSection.optional().describe('Active probes. Default: none.'),
  protocol: choice('http1', 'h2c', 'h2').prefault('http1').describe('What the servers speak: HTTP/1.1, HTTP/2 in cleartext, or HTTP/2 over TLS (with `tls`): see [upstreams.md](upstreams.md#http2).'),
  tls: tlsSection.optional().describe('TLS to the servers, for traffic and probes: see [upstreams.md](upstreams.md). Default: cleartext.'),
  passive: passiveSection.describe('What failures of real requests do.'),
  connections: integer(1, 100_000).prefault(256).describe('Requests that one server works on at most, over all threads; each has a connection of its own. Idle connections come on top, never more than as many again.'),
}), checkPool);

function changesSection(direction: 'request' | 'response') {
  return checked(section({
    set: z.record(fieldName(direction), fieldValue).prefault({}).describe('Fields that get this value, whatever it was before.'),
    remove: z.array(fieldName(direction)).max(100).prefault([]).describe(direction === 'request'
      ? 'Fields that the server does not see.'
      : 'Fields that the client does not see. Naming a hardening default here (such as `strict-transport-security`) switches it off.'),
  }), checkChanges).prefault({}).describe(direction === 'request' ? 'On the way to the server.' : 'On the way to the client.');
}

const headersSection = section({request: changesSection('request'), response: changesSection('response')}).prefault({});

const respondSection = checked(section({
  status: integer(200, 599).describe('Status of the response.'),
  content_type: mediaType.prefault('text/plain; charset=utf-8').describe('Its Content-Type.'),
  body: scalar({
    type: 'text',
    allowed: 'text of at most 65536 characters',
    remedy: 'put the text in quotes, or use a block (`|`)',
    json: {type: 'string', maxLength: 65_536},
    read: readText((text) => (text.length <= 65_536 && text.isWellFormed() ? text : null)),
  }).prefault('').describe('Its body, sent as UTF-8.'),
}), checkRespond);

const redirectSection = checked(section({
  to: redirectTarget.describe('URL, or path on the same host.'),
  status: choice(301, 302, 303, 307, 308).prefault(308).describe('308 and 307 keep the method, 301 and 302 may turn it into GET, 303 always does.'),
  keep_path: flag.prefault(false).describe('Append the path and query of the request to `to`.'),
}), checkRedirect);

const websocketSection = switchable(checked(section({
  origins: z.array(websocketOrigin).min(1).max(100).prefault(['same-origin'])
    .describe('Pages that may open WebSockets: `same-origin` for those of the host itself, origins such as `https://app.example.com`, or `any` alone. Others get 403.'),
  missing_origin: choice('allow', 'refuse').prefault('allow').describe('What becomes of handshakes without an Origin: programs send none, browsers always do.'),
  idle: duration().prefault('5m').describe('A WebSocket on which no byte comes, from either side, ends after this time.'),
}), checkWebSocket));

/** Keys that stand in a site for all of its routes, and in a route for itself. */
const inheritedKeys = {
  headers: headersSection.describe("Changes to header fields. A route's are added to its site's and win over them."),
  timeouts: routeTimeoutsSection.describe('Timeouts of their own.'),
  rules: rulesSection.describe("Requests that get 403 for what they look like. A route's come after its site's."),
  auth: authReference.describe('Name of the way under `auth` in which clients prove who they are, or `none`. Default: the outer level.'),
  max_body: size().optional().describe('Largest request body (413 above). Default: the outer level.'),
  request_buffer: size(1024 ** 2).optional().describe('Request bodies up to this size are collected before a server is asked. Default: the outer level.'),
} as const;

const route = checked(section({
  path: routePath.describe('Path that the route is for. The longest match wins, whatever the order in the file.'),
  match: choice('prefix', 'exact').prefault('prefix').describe('`prefix` matches whole segments: `/a` matches `/a` and `/a/b` but not `/ab`.'),
  methods: z.array(method).max(32).prefault([]).describe('Methods that the route is for; none: all.'),
  pool: name.optional().describe('The pool that answers. Exactly one of `pool`, `redirect` and `respond` must be there.'),
  redirect: redirectSection.optional().describe('Answer with a redirect.'),
  respond: respondSection.optional().describe('Answer with a fixed response, for example during maintenance.'),
  replace_prefix: routePath.optional().describe('Replaces the matched prefix on the way to the server. Only with `pool` and `match: prefix`.'),
  strip_prefix: presence.optional().describe('Removes the matched prefix on the way to the server; the same as `replace_prefix: /`.'),
  allow: z.array(network).max(10_000).prefault([]).describe('Clients that may come; everyone else gets 403. None: everyone.'),
  deny: z.array(network).max(10_000).prefault([]).describe('Clients that get 403, even if `allow` names them.'),
  websocket: websocketSection.describe('Lets clients open WebSockets on this route; `true` stands for the defaults. Only with `pool`. Default: a wish for one is ignored.'),
  limits: limitsSection.describe('Request rates of this route, answered with 429 when exceeded.'),
  login_guard: name.optional().describe('Name of a guard under `login_guards`: requests that this route takes, with one of its methods, are attempts to log in, whatever their path.'),
  trailers: flag.prefault(false).describe('Lets trailers pass, in both directions, but for fields that have no place there. Without it they are dropped.'),
  grpc: flag.prefault(false).describe('Takes calls of gRPC over HTTP/2: they have trailers, are passed on message by message, and may be silent, see [upstreams.md](upstreams.md#grpc). Without it they are requests like any other.'),
  encoded_slash: choice('refuse', 'allow').prefault('refuse').describe('What becomes of `%2F` in a path: refused with 400, or passed on as it is. A path that another route takes, or none, once its `%2F` are decoded is refused all the same: an application that decodes them would be reached past that route.'),
  ...inheritedKeys,
}), checkRoute);

const site = checked(section({
  hosts: z.array(host).min(1).max(10_000).describe('Host names and wildcards. An exact name wins over a wildcard, a longer wildcard over a shorter one. `*.acme.example` routes names of any depth below (`a.b.acme.example` too), but the wildcard of a certificate covers one label: over TLS a deeper name needs a wildcard or name of its own in a certificate, else its handshake fails (`sni_unknown`).'),
  routes: z.array(route).min(1).max(1000).describe('What is answered for which path; a path without a route gets 404.'),
  ...inheritedKeys,
}), checkSite);

/** They are counted in shared memory of a fixed size. */
const WEBSOCKETS_MAX = 1_000_000;
const CONNECTIONS_MAX = 1_000_000;
const HANDSHAKES_MAX = 1_000_000;
const REQUESTS_MAX = 1_000_000;

const customerCapsSection = checked(section({
  websockets: integer(1, WEBSOCKETS_MAX).prefault(2000).describe('Open WebSockets of this customer (503 above).'),
  websockets_per_client: integer(1, WEBSOCKETS_MAX).prefault(100).describe('Open WebSockets of one client with this customer: an IPv4 address or an IPv6 /64 (429 above).'),
  connections: integer(1, CONNECTIONS_MAX).prefault(CONNECTIONS_MAX).describe('Open client connections of this customer. Above, those of TLS end within their handshake; in cleartext, where a connection is that of its latest request, the answer is 503. Default: as many as the node.'),
  handshakes: integer(1, HANDSHAKES_MAX).prefault(HANDSHAKES_MAX).describe('TLS handshakes in flight that ask for a name of this customer, but for those that resume a session (the end of the connection above). Default: as many as the node.'),
  requests: integer(1, REQUESTS_MAX).prefault(REQUESTS_MAX).describe('Requests in flight of this customer, WebSockets aside (503 above). Default: as many as the node.'),
  buffered_bytes: size(BUFFERED_BYTES_MAX, BUFFERED_BYTES_MIN).optional().describe('Memory that is held for clients of this customer: what they do not take, and bodies that wait for its servers. Above, new requests get 503. Default: as much as the node.'),
}), ({websockets, websockets_per_client: perClient}) => (perClient <= websockets ? [] : [{
  path: ['websockets_per_client'], needs: [['websockets'], ['websockets_per_client']], found: String(perClient), allowed: `at most caps.websockets (${websockets})`, remedy: 'lower it: one client could take every WebSocket of the customer',
}])).prefault({});

const sourceAddressSection = section({
  ipv4: sourceAddress(4).optional().describe('For servers with an IPv4 address. Must be there if there are such servers.'),
  ipv6: sourceAddress(6).optional().describe('For servers with an IPv6 address. Must be there if there are such servers.'),
});

const certificate = section({
  cert: filePath.describe('PEM file: the certificate, then its intermediates; keys of RSA (2048 bits or more), P-256, P-384, P-521, Ed25519 or Ed448. Relative to this file.'),
  key: filePath.describe('PEM file of the private key, without a passphrase. Relative to this file.'),
});

export const customerSchema = checked(section({
  customer: name.describe('Name of the customer: unique, a label in logs and metrics.'),
  weight: integer(1, 1000).prefault(1).describe('Share of what the node is short of, in relation to the other customers, see [fairness.md](fairness.md#shares).'),
  networks: z.array(internalNetwork).min(1).max(100).describe("Where the customer's servers may live: internal networks that overlap with no other customer's."),
  source_address: sourceAddressSection.optional().describe("Addresses of this machine that the customer's servers are connected to from, by traffic and probes, so that internal firewalls can tell customers apart. They belong to no other customer. Default: what the system chooses."),
  certificates: z.array(certificate).max(1000).prefault([]).describe('Certificates. If there are any, they must cover every host of the customer. Customers may have the same one (of the domain of the hoster, say): each is served with its own.'),
  pools: z.record(name, pool).prefault({}).describe('Groups of servers that serve the same, by name.'),
  auth: authSection,
  login_guards: loginGuardsSection.describe('Failed logins are counted, slowed down and stopped, see [login-guard.md](login-guard.md).'),
  sites: z.array(site).min(1).max(10_000).describe('Hosts and what they answer.'),
  caps: customerCapsSection.describe('Bounds on what stays open.'),
  limits: limitsSection.describe('Request rates of this customer, answered with 429 when exceeded.'),
  rules: rulesSection.describe("Requests that get 403 for what they look like. The node's rules come first."),
}), checkCustomer);

export type CustomerInput = z.output<typeof customerSchema>;
export type SiteInput = CustomerInput['sites'][number];
export type RouteInput = SiteInput['routes'][number];
export type PoolInput = CustomerInput['pools'][string];
