/**
 * Places of one kind, for example for requests in flight: so many of the node, of a client network, of a customer. Counted first and judged
 * then, so that two threads may both refuse the last place for a moment, but never both give it.
 *
 * Customers may take what others leave, until three quarters of the node's places are taken. Above that whoever has more than its fair share
 * gets no more, and the last quarter is for those who have less: what is taken is given back when it is done with and not when somebody
 * else comes, so without a reserve the first one would find nothing.
 */
import {findFairLevel} from '#src/balance/fair-shares.ts';
import type {Clock} from '#src/core/clock.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientCounts} from '#src/shared/client-counts.ts';
import type {PlaceCount} from '#src/shared/place-count.ts';
import type {PlaceKind} from '#src/shared/place-kinds.ts';

/** What a customer counts under. */
export interface PlaceAccount {
  readonly customer: string;
  readonly count: PlaceCount;
  readonly max: number;
  readonly weight: number;
}

/** What a customer counts under, of each kind. */
export type PlaceAccounts = Readonly<Record<PlaceKind, PlaceAccount>>;

/** What a client network counts under. */
export interface ClientKey {
  readonly keyHigh: number;
  readonly keyLow: number;
}

export interface PlaceCaps {
  /** Of the node, and of one client network. */
  readonly max: number;
  readonly perClientMax: number;
}

/** Who has too much, or more than is fair. */
type Excess = 'node' | 'client' | 'customer' | 'share';

const FAULTS_OF: Readonly<Record<PlaceKind, Readonly<Record<Excess, FaultCode>>>> = {
  connections: {node: 'connections_total', client: 'connections_per_client', customer: 'connections_per_customer', share: 'connection_share_exceeded'},
  handshakes: {node: 'handshakes_total', client: 'handshakes_per_client', customer: 'handshakes_per_customer', share: 'handshake_share_exceeded'},
  requests: {node: 'requests_total', client: 'requests_per_client', customer: 'requests_per_customer', share: 'share_exceeded'},
  buffers: {node: 'buffers_total', client: 'buffers_per_client', customer: 'buffers_per_customer', share: 'buffer_share_exceeded'},
};

export interface FairPlacesParts {
  readonly clock: Clock;
  readonly node: PlaceCount;
  readonly clients: ClientCounts;
  /** Those of all customers. */
  readonly accounts: () => Iterable<PlaceAccount>;
}

export class FairPlaces {
  readonly #parts: FairPlacesParts;
  readonly #faults: Readonly<Record<Excess, FaultCode>>;
  #caps: PlaceCaps;
  /** Places that a weight of 1 may have while they are scarce, as of then. */
  #level = Number.POSITIVE_INFINITY;
  #levelMs = Number.NEGATIVE_INFINITY;

  constructor(kind: PlaceKind, parts: FairPlacesParts, caps: PlaceCaps) {
    this.#parts = parts;
    this.#faults = FAULTS_OF[kind];
    this.#caps = caps;
  }

  configure(caps: PlaceCaps): void {
    this.#caps = caps;
    this.#levelMs = Number.NEGATIVE_INFINITY;
  }

  /** Takes a place of the node and of the client, or says why there is none. The customer may not be known yet. */
  takeForClient({keyHigh, keyLow}: ClientKey): FaultCode | null {
    const {node, clients} = this.#parts;
    const isNodeFull = node.begin() > this.#caps.max;
    if (!isNodeFull && clients.tryAdd(keyHigh, keyLow, this.#caps.perClientMax)) return null;
    node.end();
    return isNodeFull ? this.#faults.node : this.#faults.client;
  }

  freeForClient({keyHigh, keyLow}: ClientKey): void {
    this.#parts.clients.remove(keyHigh, keyLow);
    this.#parts.node.end();
  }

  /** Takes a place of the customer for who has one of its client, or says why there is none. */
  takeForCustomer(account: PlaceAccount): FaultCode | null {
    const excess = this.#judge(account, account.count.begin(), this.#parts.node.total);
    if (excess === null) return null;
    account.count.end();
    return this.#faults[excess];
  }

  freeForCustomer({count}: PlaceAccount): void {
    count.end();
  }

  /** Takes a place of all three, or says why there is none. */
  take(client: ClientKey, account: PlaceAccount): FaultCode | null {
    const fault = this.takeForClient(client);
    if (fault !== null) return fault;
    const customerFault = this.takeForCustomer(account);
    if (customerFault !== null) this.freeForClient(client);
    return customerFault;
  }

  free(client: ClientKey, account: PlaceAccount): void {
    this.freeForCustomer(account);
    this.freeForClient(client);
  }

  /** What `take` would say to who wants so many more; of no customer yet where the account is null. Nothing is taken. */
  judge({keyHigh, keyLow}: ClientKey, account: PlaceAccount | null, more: number): FaultCode | null {
    const {node, clients} = this.#parts;
    const {max, perClientMax} = this.#caps;
    const total = node.total + more;
    if (total > max) return this.#faults.node;
    // Where all together have less than one may have, nobody needs to be looked for.
    if (total > perClientMax && clients.countOf(keyHigh, keyLow) + more > perClientMax) return this.#faults.client;
    const excess = account === null ? null : this.#judge(account, account.count.total + more, total);
    return excess === null ? null : this.#faults[excess];
  }

  /** Counts what is taken already, whatever that makes. False, and nothing done, where there is no room to tell the client from others. */
  hold({keyHigh, keyLow}: ClientKey, account: PlaceAccount | null, count: number): boolean {
    const {node, clients} = this.#parts;
    if (!clients.add(keyHigh, keyLow, count)) return false;
    node.begin(count);
    account?.count.begin(count);
    return true;
  }

  release({keyHigh, keyLow}: ClientKey, account: PlaceAccount | null, count: number): void {
    const {node, clients} = this.#parts;
    clients.remove(keyHigh, keyLow, count);
    node.end(count);
    account?.count.end(count);
  }

  #judge(account: PlaceAccount, own: number, total: number): Excess | null {
    if (own > account.max) return 'customer';
    const sharedFreely = this.#caps.max * LIMITS.shareFreePart;
    return total > sharedFreely && own > Math.max(1, this.#findLevel(sharedFreely) * account.weight) ? 'share' : null;
  }

  /** Looking at all customers takes a while: with many of them it is not done for each place. */
  #findLevel(capacity: number): number {
    const {clock, accounts, node} = this.#parts;
    if (clock.nowMs - this.#levelMs < LIMITS.shareLevelMs) return this.#level;
    this.#levelMs = clock.nowMs;
    const claims = Array.from(accounts(), ({count, weight}) => ({used: count.total, weight}));
    const isShared = claims.length > 1;
    // What is nobody's yet (a connection that has said nothing) cannot be cut, and counts like one more customer.
    claims.push({used: claims.reduce((left, {used}) => left - used, node.total), weight: 1});
    this.#level = isShared ? findFairLevel(claims, capacity) : Number.POSITIVE_INFINITY;
    return this.#level;
  }
}
