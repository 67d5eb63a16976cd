/** Compiled configurations by hand: what a test does not name has the value that the daemon would give it. */
import {X509Certificate} from 'node:crypto';
import type {
  CertificateSnapshot, CustomerSnapshot, LimitSnapshot, ListenerSnapshot, NodeSnapshot, PoolSnapshot, RouteSnapshot, RouteTimeoutsSnapshot, ServerSnapshot, SiteSnapshot,
} from '#src/config/snapshot.ts';

export const HTTP: ListenerSnapshot = {name: 'http', address: '127.0.0.1', port: 0, protocol: 'http', redirectToHttpsPort: 0, http2: false};
export const HTTPS: ListenerSnapshot = {name: 'https', address: '127.0.0.1', port: 0, protocol: 'https', redirectToHttpsPort: 0, http2: true};

export const TIMEOUTS = {
  requestHeadMs: 10_000, requestBodyIdleMs: 30_000, requestBodyRateMin: 512, keepAliveMs: 75_000, connectMs: 3_000, responseHeadMs: 60_000, responseIdleMs: 60_000, responseRateMin: 512,
  eventStreamIdleMs: 3_600_000, tlsHandshakeMs: 10_000, upstreamKeepAliveMs: 20_000, drainMs: 30_000,
} as const;

export const ROUTE_TIMEOUTS: RouteTimeoutsSnapshot = {connectMs: 3_000, requestBodyIdleMs: 30_000, requestBodyRateMin: 512, responseHeadMs: 60_000, responseIdleMs: 60_000, responseRateMin: 512, eventStreamIdleMs: 3_600_000};

export function node(overrides: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return {
    listeners: [HTTP], admin: {address: '127.0.0.1', port: 0}, threads: 1, trustedProxies: [], bans: {allow: []}, stateFolder: null, adminSocket: null, timeouts: TIMEOUTS, fleet: null, limits: [], rules: [],
    caps: {connectionsMax: 1000, connectionsPerClientMax: 500, handshakesMax: 1000, handshakesPerClientMax: 1000, requestsMax: 1000, requestsPerClientMax: 1000, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30}, log: {access: 'off', level: 'info'}, ...overrides,
  };
}

/** One token each `intervalMs`, per client, unless the overrides say otherwise. */
export function limit(name: string, intervalMs: number, burst: number, overrides: Partial<LimitSnapshot> = {}): LimitSnapshot {
  return {name, key: 'client', keyName: '', intervalMs, burst, isEnforced: true, isFleetWide: false, isAnnounced: false, ...overrides};
}

export function server(port: number, overrides: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return {address: '127.0.0.1', port, weight: 1, backup: false, drain: false, ...overrides};
}

/** @param servers ports on loopback, or whole servers */
export function pool(name: string, servers: readonly (number | ServerSnapshot)[], overrides: Partial<PoolSnapshot> = {}): PoolSnapshot {
  return {
    name, protocol: 'http1', tls: null, servers: servers.map((entry) => (typeof entry === 'number' ? server(entry) : entry)), balance: 'round_robin',
    hashKey: {source: 'client', name: ''}, health: null, passive: {failures: 0, forMs: 0}, connectionsMax: 100, ...overrides,
  };
}

/** A route to the pool `app`, unless the overrides say otherwise. */
export function route(path: string, overrides: Partial<RouteSnapshot> = {}): RouteSnapshot {
  return {
    path, match: 'prefix', methods: [], action: {type: 'pool', pool: 'app'}, replacePrefix: null, allow: [], deny: [], auth: null, rules: [], limits: [], maxBodyBytes: 1024 * 1024,
    requestBufferBytes: 64 * 1024, timeouts: ROUTE_TIMEOUTS, requestFields: {set: [], remove: []}, responseFields: {set: [], remove: []},
    encodedSlashAllowed: false, loginGuard: null, trailers: false, takesCalls: false, websocket: null, ...overrides,
  };
}

export function site(hosts: readonly string[], routes: readonly RouteSnapshot[]): SiteSnapshot {
  return {hosts, routes};
}

export function customer(name: string, overrides: Partial<CustomerSnapshot>): CustomerSnapshot {
  return {
    name, revision: '', weight: 1, networks: ['127.0.0.0/8'], sourceAddress: {ipv4: null, ipv6: null}, certificates: [], pools: [], auth: [], loginGuards: [], sites: [], limits: [], rules: [],
    caps: {websocketsMax: 2000, websocketsPerClientMax: 2000, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}, ...overrides,
  };
}

/** The customer `acme` with the host `acme.test`, all of it to the given servers. */
export function acme(servers: readonly (number | ServerSnapshot)[], overrides: {readonly route?: Partial<RouteSnapshot>; readonly pool?: Partial<PoolSnapshot>} = {}): CustomerSnapshot {
  return customer('acme', {pools: [pool('app', servers, overrides.pool)], sites: [site(['acme.test'], [route('/', overrides.route)])]});
}

export function certificate(pair: {readonly cert: string; readonly key: string}, names: readonly string[]): CertificateSnapshot {
  return {certPem: pair.cert, keyPem: pair.key, names, notAfterMs: Date.parse(new X509Certificate(pair.cert).validTo)};
}
