/**
 * One server of a customer's pool as a proxy thread sees it, with its connections. The object *is* the key of connection reuse: it is
 * made for one customer, one pool and one address, and a connection never leaves it.
 */
import type {TimeAccount} from '#src/balance/time-account.ts';
import type {CustomerSnapshot, PoolSnapshot, ServerSnapshot} from '#src/config/snapshot.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {Cidr} from '#src/core/ip.ts';
import {sourceAddressFor} from '#src/config/source-address.ts';
import {endpointFragment} from '#src/observe/access-line.ts';
import type {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import type {PoolTls} from '#src/upstream/pool-tls.ts';
import type {Http2Connection} from '#src/upstream/http2-connection.ts';
import {SessionStore} from '#src/upstream/session-store.ts';
import type {UpstreamConnection} from '#src/upstream/upstream-connection.ts';

export interface EndpointParts {
  readonly customer: CustomerSnapshot;
  readonly pool: PoolSnapshot;
  readonly server: ServerSnapshot;
  /** The customer's networks: the only place where its requests may go. */
  readonly networks: readonly Cidr[];
  readonly slot: EndpointSlot;
  /** Of the pool; null in cleartext. */
  readonly tls: PoolTls | null;
  /** Whose time its answers take. */
  readonly time: TimeAccount;
}

export class UpstreamEndpoint {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly backup: boolean;
  readonly drain: boolean;
  readonly slot: EndpointSlot;
  readonly networks: readonly Cidr[];
  /** The address to connect from; null leaves it to the system. */
  readonly sourceAddress: string | null;
  readonly customer: string;
  readonly pool: PoolSnapshot;
  /** Null: cleartext. */
  readonly tls: PoolTls | null;
  readonly time: TimeAccount;
  readonly sessions = new SessionStore();
  readonly #fingerprint: string;
  /** `10.20.1.11:3000`, `[fd00::1]:3000`: for the log. */
  readonly text: string;
  readonly logFragment: string;
  /** Connections without a request, the one used last at the end: the others may become old and end. */
  readonly idle: UpstreamConnection[] = [];
  /** Connections of HTTP/2 that may take requests. */
  readonly http2: Http2Connection[] = [];
  /** Requests at once that the server took over HTTP/2 the last time that it said so. */
  http2StreamsMax: number = LIMITS.h2UpstreamStreamsMax;
  /** A reload has taken the endpoint away: its connections end after what they are at. */
  isRetired = false;

  constructor(parts: EndpointParts) {
    const {server} = parts;
    this.address = server.address;
    this.port = server.port;
    this.weight = server.weight;
    this.backup = server.backup;
    this.drain = server.drain;
    this.slot = parts.slot;
    this.networks = parts.networks;
    this.sourceAddress = sourceAddressFor(server.address, parts.customer.sourceAddress);
    this.customer = parts.customer.name;
    this.pool = parts.pool;
    this.tls = parts.tls;
    this.time = parts.time;
    this.#fingerprint = fingerprint(parts.customer, parts.pool, server);
    this.text = server.address.includes(':') ? `[${server.address}]:${server.port}` : `${server.address}:${server.port}`;
    this.logFragment = endpointFragment(this.text);
  }

  /** Nothing that an endpoint is made of has changed, so that it can be kept with its connections. */
  matches({customer, pool, server, tls}: Omit<EndpointParts, 'networks' | 'slot' | 'time'>): boolean {
    return this.tls === tls && this.#fingerprint === fingerprint(customer, pool, server);
  }

  /** Real traffic has failed. What is not the server's fault does not count against it. */
  recordFailure(fault: FaultCode, nowMs: number): void {
    if (FAULTS[fault].side !== 'upstream') return;
    const {failures, forMs} = this.pool.passive;
    this.slot.recordFailure(nowMs, failures, forMs);
  }

  /** Idle connections of all threads end, response by response, where together with those in use they are too many. */
  get mayKeepIdle(): boolean {
    return !this.isRetired && this.slot.connections <= this.pool.connectionsMax;
  }

  /** The connection that was used last, where that is no longer ago. */
  takeIdle(idleMsMax: number, nowMs: number): UpstreamConnection | undefined {
    const last = this.idle.at(-1);
    if (last !== undefined && nowMs - last.idleSinceMs <= idleMsMax) return this.idle.pop();
    // A server with a worker for each connection would let the new one wait for the end of this one.
    if (this.slot.connections >= this.pool.connectionsMax) this.idle[0]?.destroy();
    return undefined;
  }

  forgetIdle(connection: UpstreamConnection): void {
    const at = this.idle.indexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
  }

  retire(): void {
    this.isRetired = true;
    for (const connection of this.idle.splice(0)) connection.destroy();
    for (const connection of this.http2.splice(0)) connection.retire();
  }
}

/** The pool's other servers are left out: adding one does not touch this one's connections. Equal TLS is one object, and not text. */
function fingerprint({networks, sourceAddress}: CustomerSnapshot, pool: PoolSnapshot, server: ServerSnapshot): string {
  return JSON.stringify([{...pool, servers: [], tls: null}, server, networks, sourceAddressFor(server.address, sourceAddress)]);
}
