/**
 * The compiled configuration: what the config compiler produces, the control thread keeps, and the proxy threads build their
 * tables from. Plain readonly data that survives a structured clone; durations in milliseconds, sizes in bytes, addresses canonical.
 */

/** `port` 0 asks the system for a free one (tests). */
export interface SocketAddress {
  /** IP literal in canonical text: no brackets, lower case. */
  readonly address: string;
  readonly port: number;
}

export interface ListenerSnapshot extends SocketAddress {
  readonly name: string;
  readonly protocol: 'http' | 'https';
  /** On a cleartext listener: the https port that every request is sent to with a 308; 0 where requests are served. */
  readonly redirectToHttpsPort: number;
  /** HTTP/2 is offered to TLS clients. */
  readonly http2: boolean;
}

export interface TimeoutsSnapshot {
  readonly requestHeadMs: number;
  readonly requestBodyIdleMs: number;
  /** Bytes a second; 0: none. */
  readonly requestBodyRateMin: number;
  readonly keepAliveMs: number;
  readonly connectMs: number;
  readonly responseHeadMs: number;
  readonly responseIdleMs: number;
  readonly responseRateMin: number;
  readonly tlsHandshakeMs: number;
  readonly eventStreamIdleMs: number;
  readonly upstreamKeepAliveMs: number;
  readonly drainMs: number;
}

/** The timeouts that a customer or a route may set for itself. */
export interface RouteTimeoutsSnapshot {
  readonly connectMs: number;
  readonly requestBodyIdleMs: number;
  /** Bytes a second; 0: none. */
  readonly requestBodyRateMin: number;
  readonly responseHeadMs: number;
  readonly responseIdleMs: number;
  readonly responseRateMin: number;
  /** In place of `responseIdleMs` for responses that are event streams. */
  readonly eventStreamIdleMs: number;
}

/** A token bucket: one token every `intervalMs`, at most `burst` of them saved. */
export interface LimitSnapshot {
  readonly name: string;
  /** What has a bucket of its own. */
  readonly key: 'client' | 'customer' | 'host' | 'route' | 'header' | 'cookie';
  /** Name of the header in lower case, or of the cookie; empty for the other keys. */
  readonly keyName: string;
  readonly intervalMs: number;
  readonly burst: number;
  /** False: what would be refused is only counted and logged. */
  readonly isEnforced: boolean;
  /** All nodes of the fleet count together. */
  readonly isFleetWide: boolean;
  /** Clients are told on every response what is left, and not only when nothing is. */
  readonly isAnnounced: boolean;
}

/** Requests that are refused, or only counted, for what they look like. All conditions that are given must hold. */
export interface RuleSnapshot {
  readonly name: string;
  readonly action: 'deny' | 'observe';
  /** Empty: every method. */
  readonly methods: readonly string[];
  /** Patterns in the syntax of RE2; null: no condition. */
  readonly path: string | null;
  readonly query: string | null;
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, pattern: string])[];
}

/** User name and password (RFC 7617). */
export interface BasicAuthSnapshot {
  readonly type: 'basic';
  readonly name: string;
  /** Fits into a quoted string as it is. */
  readonly realm: string;
  /** Hashes as `config/password-hash.ts` reads them. */
  readonly users: readonly (readonly [name: string, hash: string])[];
  /** The server sees the Authorization field. */
  readonly isAuthorizationPassed: boolean;
}

/** An application of the customer decides. */
export interface ForwardAuthSnapshot {
  readonly type: 'forward';
  readonly name: string;
  readonly pool: string;
  /** Request target that it is asked with. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Lower-case names of the client's fields that it sees. */
  readonly sentFields: readonly string[];
  /** Lower-case names of its answer's fields that servers see. */
  readonly identityFields: readonly string[];
}

export type AuthSnapshot = BasicAuthSnapshot | ForwardAuthSnapshot;

/** Which requests are attempts to log in, what a failure looks like, and how many failures are tolerated. */
export interface LoginGuardSnapshot {
  readonly name: string;
  /** Normalised; exact. On all sites of the customer, beside the routes that name the guard. */
  readonly paths: readonly string[];
  readonly methods: readonly string[];
  /** Where the body names the account; null: accounts are not told apart. */
  readonly account: {readonly type: 'form' | 'json'; readonly field: string} | null;
  readonly failure: {
    readonly statuses: readonly number[];
    readonly redirectPaths: readonly string[];
    /** An answer that does not set it is a failure; null: none is expected. */
    readonly cookie: string | null;
  };
  readonly windowMs: number;
  /** Failures within the window: of a client with an account, of a client, with an account. */
  readonly pairFailures: number;
  readonly clientFailures: number;
  readonly accountFailures: number;
  /** How long an attempt waits at most. */
  readonly delayMaxMs: number;
  /** After so many refused attempts within the window; null: nobody is banned. */
  readonly ban: {readonly after: number; readonly forMs: number; readonly maxMs: number} | null;
  /** False: what would be done is only counted. */
  readonly isEnforced: boolean;
}

export interface CapsSnapshot {
  /** Open client connections of the whole node. */
  readonly connectionsMax: number;
  /** Open connections of one client: an IPv4 address or an IPv6 /64. */
  readonly connectionsPerClientMax: number;
  /** TLS handshakes in flight of the whole node, and of one client. */
  readonly handshakesMax: number;
  readonly handshakesPerClientMax: number;
  /** Requests in flight of the whole node, and of one client. */
  readonly requestsMax: number;
  readonly requestsPerClientMax: number;
  /** Memory that is held for clients of the whole node, and for one. */
  readonly bufferedBytesMax: number;
  readonly bufferedBytesPerClientMax: number;
}

export interface BansSnapshot {
  /** CIDRs that can never be banned. */
  readonly allow: readonly string[];
}

/** The store through which the nodes of a fleet share limits and bans. */
export interface FleetSnapshot extends SocketAddress {
  readonly user: string | null;
  readonly password: string | null;
  /** The same on all nodes: the key of all that is hashed or signed for the store. */
  readonly secret: string;
  readonly areBansShared: boolean;
}

export interface NodeSnapshot {
  readonly listeners: readonly ListenerSnapshot[];
  readonly admin: SocketAddress;
  /** Number of proxy threads (`auto` is resolved). Needs a restart to change. */
  readonly threads: number;
  /** CIDRs of the peers whose forwarded fields are believed. */
  readonly trustedProxies: readonly string[];
  readonly bans: BansSnapshot;
  /** Absolute path of the folder for what survives a restart; null: nothing does. Needs a restart to change. */
  readonly stateFolder: string | null;
  /** Absolute path of the Unix socket that the command line talks to; null: there is none. Needs a restart to change. */
  readonly adminSocket: string | null;
  readonly timeouts: TimeoutsSnapshot;
  /** Null: the node is alone. */
  readonly fleet: FleetSnapshot | null;
  readonly limits: readonly LimitSnapshot[];
  readonly rules: readonly RuleSnapshot[];
  readonly caps: CapsSnapshot;
  readonly log: LogSnapshot;
}

export interface LogSnapshot {
  /** Absolute path of the access log, `stdout`, or `off`. */
  readonly access: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
}

export interface CertificateSnapshot {
  readonly certPem: string;
  readonly keyPem: string;
  /** DNS names of the certificate in lower case, wildcards as `*.example.com`. */
  readonly names: readonly string[];
  /** Unix time in milliseconds. */
  readonly notAfterMs: number;
}

export type BalanceAlgorithm = 'round_robin' | 'least_requests' | 'random_two' | 'consistent_hash';

/** What `consistent_hash` hashes. `name` is the field's or cookie's name; empty for the client address. */
export interface HashKeySnapshot {
  readonly source: 'client' | 'header' | 'cookie';
  readonly name: string;
}

export interface ServerSnapshot extends SocketAddress {
  readonly weight: number;
  /** Only used while no other server can be. */
  readonly backup: boolean;
  /** Gets no new requests. */
  readonly drain: boolean;
}

export interface HealthSnapshot {
  readonly type: 'http' | 'tcp';
  readonly path: string;
  /** Host field of the probe. */
  readonly host: string;
  /** Inclusive ranges of statuses that count as healthy. */
  readonly expect: readonly (readonly [number, number])[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
}

/** A server is left out for `forMs` after `failures` failures in a row, found by real traffic. `failures` 0 switches it off. */
export interface PassiveSnapshot {
  readonly failures: number;
  readonly forMs: number;
}

/** What the servers of a pool speak: HTTP/1.1, or HTTP/2 in cleartext with prior knowledge (RFC 9113 §3.3), or HTTP/2 over TLS. */
export type UpstreamProtocol = 'http1' | 'h2c' | 'h2';

/** TLS to the servers of a pool. */
export interface PoolTlsSnapshot {
  /** PEM certificates that a server's must descend from; null: the roots that come with Node, which are Mozilla's. */
  readonly caPem: string | null;
  /** What is asked for, and what the certificate must be for; empty: no name is asked for, and it must be for the server's address. */
  readonly serverName: string;
  /** Shown to servers that ask for one; null where there is none. */
  readonly certificate: CertificateSnapshot | null;
  /** False: whoever answers is believed. */
  readonly isVerified: boolean;
  readonly versionMin: 'TLSv1.2' | 'TLSv1.3';
}

export interface PoolSnapshot {
  readonly name: string;
  readonly protocol: UpstreamProtocol;
  /** Null: cleartext. */
  readonly tls: PoolTlsSnapshot | null;
  readonly servers: readonly ServerSnapshot[];
  readonly balance: BalanceAlgorithm;
  readonly hashKey: HashKeySnapshot;
  readonly health: HealthSnapshot | null;
  readonly passive: PassiveSnapshot;
  /** Connections in use to one server, over all threads. */
  readonly connectionsMax: number;
}

export type RouteActionSnapshot =
  | {readonly type: 'pool'; readonly pool: string}
  | {readonly type: 'redirect'; readonly status: 301 | 302 | 303 | 307 | 308; readonly location: string; readonly keepTarget: boolean}
  | {readonly type: 'respond'; readonly status: number; readonly contentType: string; readonly body: string};

/** Changes to the fields of one direction. Names in lower case; values are valid field values. */
export interface FieldChangesSnapshot {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export interface WebSocketSnapshot {
  /** Origins as browsers write them (`https://app.example.com`), `same-origin`, or `any` alone. */
  readonly origins: readonly string[];
  /** Handshakes without an Origin, which come from programs and not from browsers, are let in. */
  readonly isMissingOriginAllowed: boolean;
  /** How long no byte may come, from either side. */
  readonly idleMs: number;
}

export interface RouteSnapshot {
  /** Normalised path. `prefix` matches whole segments: `/a` and `/a/` both match `/a` and `/a/b`, and neither matches `/ab`. */
  readonly path: string;
  readonly match: 'prefix' | 'exact';
  /** Empty: every method. */
  readonly methods: readonly string[];
  readonly action: RouteActionSnapshot;
  /** The matched prefix is replaced by this one; null leaves the path alone. `/` strips the prefix. */
  readonly replacePrefix: string | null;
  /** CIDRs. A client in `deny` is refused; with a non-empty `allow`, a client outside it is refused. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** How a client proves who it is: a name in the customer's `auth`; null: not at all. */
  readonly auth: string | null;
  /** Those of its site, then its own. */
  readonly rules: readonly RuleSnapshot[];
  readonly limits: readonly LimitSnapshot[];
  readonly maxBodyBytes: number;
  readonly requestBufferBytes: number;
  readonly timeouts: RouteTimeoutsSnapshot;
  readonly requestFields: FieldChangesSnapshot;
  readonly responseFields: FieldChangesSnapshot;
  /** Percent-encoded slashes are passed on as they are instead of being refused. */
  readonly encodedSlashAllowed: boolean;
  /** Name of the guard for which its requests are attempts to log in; null: their paths decide. */
  readonly loginGuard: string | null;
  /** Trailers pass, in both directions; without, only those of gRPC do. */
  readonly trailers: boolean;
  /** Of gRPC. Only with a pool of HTTP/2. */
  readonly takesCalls: boolean;
  /** Null: a wish for a WebSocket is ignored. */
  readonly websocket: WebSocketSnapshot | null;
}

export interface SiteSnapshot {
  /** Lower-case host names and wildcards (`*.example.com`), without port. */
  readonly hosts: readonly string[];
  readonly routes: readonly RouteSnapshot[];
}

/** What a customer's servers are connected to from, by their family, for traffic and for probes; null leaves it to the system. */
export interface SourceAddressSnapshot {
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

export interface CustomerCapsSnapshot {
  /** Open WebSockets over all threads. */
  readonly websocketsMax: number;
  readonly websocketsPerClientMax: number;
  /** Open connections over all threads. */
  readonly connectionsMax: number;
  /** TLS handshakes in flight over all threads. */
  readonly handshakesMax: number;
  /** Requests in flight over all threads. */
  readonly requestsMax: number;
  /** Memory that is held for its clients over all threads. */
  readonly bufferedBytesMax: number;
}

export interface CustomerSnapshot {
  readonly name: string;
  /** Hash over everything below: equal revisions need no work at a reload. */
  readonly revision: string;
  /** Share of what the node is short of, in relation to the other customers. */
  readonly weight: number;
  readonly networks: readonly string[];
  readonly sourceAddress: SourceAddressSnapshot;
  readonly certificates: readonly CertificateSnapshot[];
  readonly pools: readonly PoolSnapshot[];
  readonly auth: readonly AuthSnapshot[];
  readonly loginGuards: readonly LoginGuardSnapshot[];
  readonly sites: readonly SiteSnapshot[];
  readonly limits: readonly LimitSnapshot[];
  readonly rules: readonly RuleSnapshot[];
  readonly caps: CustomerCapsSnapshot;
}

export interface Snapshot {
  /** Hash over the node and all customers: the metric that shows drift. */
  readonly revision: string;
  readonly node: NodeSnapshot;
  /** In ascending order of their names. */
  readonly customers: readonly CustomerSnapshot[];
}
