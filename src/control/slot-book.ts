/** Who owns which slot of shared memory. What survives a reload keeps its numbers. */
import type {CustomerSnapshot, PoolSnapshot, Snapshot} from '#src/config/snapshot.ts';
import {pairChanges} from '#src/config/sorted-lists.ts';
import type {Configuration} from '#src/control/configuration.ts';
import {CUSTOMER, CUSTOMER_ROW_LENGTH, POOL_ROW_LENGTH, openRow, rowsByteLength} from '#src/shared/counters.ts';
import {EndpointSlot, endpointSlotByteLength} from '#src/shared/endpoint-slot.ts';
import {endpointKey, type CustomerAssignment} from '#src/shared/messages.ts';
import {PlaceCount, placeCountByteLength} from '#src/shared/place-count.ts';
import {PLACE_KINDS, mapPlaceKinds, type PlaceKind} from '#src/shared/place-kinds.ts';
import {SlotAllocator, type SlotRef} from '#src/shared/slots.ts';

/**
 * A request keeps the configuration that it was admitted under, and writes to its slots until it ends. So a slot is only given
 * to another owner after this time, and only when nothing is in flight on its customer's former endpoints and none of its connections is open.
 */
const RELEASE_AFTER_MS = 600_000;

/** Pool of the requests that no pool answered. */
const NO_POOL = '';

export class SlotBook {
  readonly #threads: number;
  readonly #customers: SlotAllocator;
  readonly #pools: SlotAllocator;
  readonly #endpoints: SlotAllocator;
  /** Places of every kind. */
  readonly #places: SlotAllocator;
  /** Owners that the configuration in force no longer names, and since when. */
  readonly #retired = new Map<string, {readonly customer: string; readonly sinceMs: number}>();

  constructor(threads: number) {
    this.#threads = threads;
    this.#customers = new SlotAllocator(rowsByteLength(CUSTOMER_ROW_LENGTH, threads));
    this.#pools = new SlotAllocator(rowsByteLength(POOL_ROW_LENGTH, threads));
    this.#endpoints = new SlotAllocator(endpointSlotByteLength(threads));
    this.#places = new SlotAllocator(placeCountByteLength(threads));
  }

  /** Customers of `inForce` that are the same object keep their assignment: it is the same object, too. */
  assign(snapshot: Snapshot, inForce: Configuration | null = null): Configuration {
    const assignments = new Map(inForce?.assignments);
    for (const [old, fresh] of pairChanges(inForce?.snapshot.customers ?? [], snapshot.customers, ({name}) => name)) {
      if (fresh === null) assignments.delete(old.name);
      else assignments.set(fresh.name, this.#assignCustomer(fresh));
    }
    return {snapshot, assignments};
  }

  /** Forgets what a dead thread had in flight, on endpoints of today and of former configurations. */
  forgetThread(thread: number): void {
    for (const [, slot] of this.#endpoints.entries()) new EndpointSlot(slot, this.#threads, thread).forgetThread();
    for (const [, slot] of this.#places.entries()) new PlaceCount(slot, this.#threads, thread).forgetThread();
    for (const [, slot] of this.#customers.entries()) {
      const row = openRow(slot, CUSTOMER_ROW_LENGTH, thread);
      row[CUSTOMER.tunnelsClosed] = row[CUSTOMER.tunnelsOpened] ?? 0;
    }
  }

  /** Call it once in a while with the configuration in force: frees the slots that it does not name, when they are at rest. */
  sweep(inForce: Configuration, nowMs: number): void {
    const used = collectOwners(inForce);
    for (const owner of this.#retired.keys()) if (used.has(owner)) this.#retired.delete(owner);
    for (const [owner] of this.#owners()) {
      if (!used.has(owner) && !this.#retired.has(owner)) this.#retired.set(owner, {customer: customerOf(owner), sinceMs: nowMs});
    }
    if (this.#retired.size === 0) return;
    const busy = this.#findBusyCustomers();
    const kept = new Set(used);
    for (const [owner, {customer, sinceMs}] of this.#retired) {
      if (busy.has(customer) || nowMs - sinceMs < RELEASE_AFTER_MS) kept.add(owner);
      else this.#retired.delete(owner);
    }
    for (const allocator of [this.#customers, this.#pools, this.#endpoints, this.#places]) allocator.retain(kept);
  }

  #assignCustomer(snapshot: CustomerSnapshot): CustomerAssignment {
    const {name, pools} = snapshot;
    const endpoints: Record<string, SlotRef> = {};
    for (const pool of pools) {
      for (const key of endpointKeys(pool)) endpoints[key] = this.#endpoints.acquire(ownerOf('endpoint', name, key));
    }
    const poolNames = [NO_POOL, ...pools.map(pool => pool.name)];
    return {
      snapshot,
      counters: this.#customers.acquire(ownerOf('customer', name)),
      poolCounters: Object.fromEntries(poolNames.map(pool => [pool, this.#pools.acquire(ownerOf('pool', name, pool))])),
      places: mapPlaceKinds(kind => this.#places.acquire(ownerOf(kind, name))),
      endpoints,
    };
  }

  *#owners(): Generator<[string, SlotRef]> {
    yield* this.#customers.entries();
    yield* this.#pools.entries();
    yield* this.#endpoints.entries();
    yield* this.#places.entries();
  }

  #findBusyCustomers(): Set<string> {
    const busy = new Set<string>();
    for (const [owner, slot] of this.#endpoints.entries()) {
      const retired = this.#retired.get(owner);
      if (retired === undefined) continue;
      const endpoint = new EndpointSlot(slot, this.#threads, 0);
      if (endpoint.requests !== 0 || endpoint.connections !== 0) busy.add(retired.customer);
    }
    for (const [owner, slot] of this.#places.entries()) {
      const retired = this.#retired.get(owner);
      if (retired !== undefined && new PlaceCount(slot, this.#threads, 0).total !== 0) busy.add(retired.customer);
    }
    return busy;
  }
}

/** A NUL separates the parts: no name of a customer, pool or address contains one. */
function ownerOf(kind: 'customer' | 'pool' | 'endpoint' | PlaceKind, customer: string, part = ''): string {
  return `${kind}\0${customer}\0${part}`;
}

function customerOf(owner: string): string {
  return owner.split('\0')[1] ?? '';
}

function endpointKeys(pool: PoolSnapshot): string[] {
  return pool.servers.map(server => endpointKey(pool.name, server.address, server.port));
}

function collectOwners(configuration: Configuration): Set<string> {
  const owners = new Set<string>();
  for (const {snapshot, poolCounters, endpoints} of configuration.assignments.values()) {
    owners.add(ownerOf('customer', snapshot.name));
    for (const kind of PLACE_KINDS) owners.add(ownerOf(kind, snapshot.name));
    for (const pool of Object.keys(poolCounters)) owners.add(ownerOf('pool', snapshot.name, pool));
    for (const key of Object.keys(endpoints)) owners.add(ownerOf('endpoint', snapshot.name, key));
  }
  return owners;
}
