import {FairPlaces, type ClientKey, type PlaceAccount} from '#src/balance/fair-places.ts';
import {Clock} from '#src/core/clock.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {PlaceCount, placeCountByteLength} from '#src/shared/place-count.ts';
import type {SlotRef} from '#src/shared/slots.ts';
import type {Scope, TakePlaces} from '#test/balance/take-places.ts';

const ENDLESS = 1_000_000;

export function makeSlot(threads: number): SlotRef {
  return {buffer: new SharedArrayBuffer(placeCountByteLength(threads)), byteOffset: 0};
}

export interface Place {
  readonly places: FairPlaces;
  readonly account: PlaceAccount;
  readonly client: ClientKey;
}

/** One thread's view: places of a kind where the cap of one scope is `max`. */
export function makePlaces({memory, account: slot, kind, scope, max}: Omit<TakePlaces, 'granted' | 'rounds'>, threads: number, thread: number): Place {
  const capOf = (of: Scope): number => (of === scope ? max : ENDLESS);
  const account = {customer: 'acme', count: new PlaceCount(slot, threads, thread), max: capOf('customer'), weight: 1};
  const {node, clients} = memory.places[kind];
  const places = new FairPlaces(kind, {
    clock: new Clock({monotonicMs: () => 0, unixMs: () => 0}), accounts: () => [account],
    node: new PlaceCount(node, threads, thread), clients: new ClientCounts(clients, threads, thread),
  }, {max: capOf('node'), perClientMax: capOf('client')});
  return {places, account, client: {keyHigh: 7, keyLow: 11}};
}
