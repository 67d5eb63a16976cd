/** Every cell of the table of places: each kind, for the node, a client network and a customer, over threads. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {FairPlaces, type PlaceAccount} from '#src/balance/fair-places.ts';
import {Clock} from '#src/core/clock.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {createSharedMemory, forgetPlacesOfThread} from '#src/control/shared-memory.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {PLACE_KINDS, type PlaceKind} from '#src/shared/place-kinds.ts';
import {makePlaces, makeSlot, type Place} from '#test/balance/places.ts';
import type {Scope, TakePlaces} from '#test/balance/take-places.ts';
import {runCrew} from '#test/shared/crew.ts';

const SCOPES = {
  node: {connections: 'connections_total', handshakes: 'handshakes_total', requests: 'requests_total', buffers: 'buffers_total'},
  client: {connections: 'connections_per_client', handshakes: 'handshakes_per_client', requests: 'requests_per_client', buffers: 'buffers_per_client'},
  customer: {connections: 'connections_per_customer', handshakes: 'handshakes_per_customer', requests: 'requests_per_customer', buffers: 'buffers_per_customer'},
} as const satisfies Record<Scope, Record<PlaceKind, FaultCode>>;

const CELLS = PLACE_KINDS.flatMap((kind) => (['node', 'client', 'customer'] as const).map((scope) => ({kind, scope, fault: SCOPES[scope][kind]})));

function take({places, account, client}: Place): FaultCode | null {
  return places.take(client, account);
}

for (const {kind, scope, fault} of CELLS) {
  test(`${fault}: the cap holds over threads, one is refused and no more, and what a dead thread had is free`, () => {
    const memory = createSharedMemory(2, 100), slot = makeSlot(2);
    const [one, two] = [0, 1].map((thread) => makePlaces({memory, account: slot, kind, scope, max: 3}, 2, thread));
    assert.ok(one !== undefined && two !== undefined);
    assert.deepEqual([take(one), take(two), take(two), take(one), take(two)], [null, null, null, fault, fault]);
    one.places.free(one.client, one.account);
    assert.deepEqual([take(two), take(one)], [null, fault]);
    forgetPlacesOfThread(memory, 2, 1);
    new PlaceCount(slot, 2, 1).forgetThread();
    assert.deepEqual([take(one), take(one), take(one), take(one)], [null, null, null, fault]);
  });

  test(`${fault}: threads that race never have more than the cap together, and leave nothing behind`, async () => {
    const memory = createSharedMemory(3, 100), account = makeSlot(3);
    const task: TakePlaces = {memory, account, kind, scope, max: 4, granted: new SharedArrayBuffer(4), rounds: 300};
    assert.deepEqual(await runCrew(new URL('take-places.ts', import.meta.url), 3, task), [0, 0, 0]);
    const {node, clients} = memory.places[kind];
    assert.deepEqual([new PlaceCount(node, 3, 0).total, new ClientCounts(clients, 3, 0).countOf(7, 11), new PlaceCount(account, 3, 0).total], [0, 0, 0]);
  });
}

interface Shared {
  readonly places: FairPlaces;
  readonly accounts: readonly PlaceAccount[];
  pass(ms: number): void;
}

function share(kind: PlaceKind, max: number, weights: readonly number[]): Shared {
  let nowMs = 0;
  const clock = new Clock({monotonicMs: () => nowMs, unixMs: () => 0});
  const accounts = weights.map((weight, i): PlaceAccount => ({customer: `customer-${i}`, count: new PlaceCount(makeSlot(1), 1, 0), max: 1000, weight}));
  const {node, clients} = createSharedMemory(1, 100).places[kind];
  const places = new FairPlaces(kind, {clock, node: new PlaceCount(node, 1, 0), clients: new ClientCounts(clients, 1, 0), accounts: () => accounts}, {max, perClientMax: max});
  const pass = (ms: number): void => {
    nowMs += ms;
    clock.refresh();
  };
  return {places, accounts, pass};
}

const CLIENT = {keyHigh: 1, keyLow: 2};
const SHARE_FAULTS = {connections: 'connection_share_exceeded', handshakes: 'handshake_share_exceeded', requests: 'share_exceeded', buffers: 'buffer_share_exceeded'} as const;

/** How many of so many are given. */
function takeMany(set: Shared, account: PlaceAccount | undefined, count: number): number {
  assert.ok(account);
  let given = 0;
  for (let i = 0; i < count; i++) {
    set.pass(LIMITS.shareLevelMs);
    if (set.places.take(CLIENT, account) === null) given++;
  }
  return given;
}

for (const kind of PLACE_KINDS) {
  test(`${SHARE_FAULTS[kind]}: what is idle may be borrowed, and the reserve is for whoever has less than its share`, () => {
    const set = share(kind, 40, [1, 2]);
    const [light, heavy] = set.accounts;
    assert.equal(takeMany(set, light, 100), 30);
    assert.ok(light);
    assert.equal(set.places.take(CLIENT, light), SHARE_FAULTS[kind]);
    assert.equal(takeMany(set, heavy, 10), 10, 'none of those who have less is refused');
    for (let i = 0; i < 25; i++) set.places.free(CLIENT, light);
    assert.deepEqual([takeMany(set, heavy, 100), takeMany(set, light, 100)], [15, 5], 'twice the weight has twice as much');
  });
}

test('what is nobody\'s yet counts like one more customer: it takes no share from those who have less', () => {
  const set = share('connections', 40, [1, 1]);
  const [large, small] = set.accounts;
  for (let i = 0; i < 15; i++) assert.equal(set.places.takeForClient(CLIENT), null);
  assert.equal(takeMany(set, large, 100), 15, 'it has as much as nobody has');
  assert.equal(takeMany(set, small, 100), 10, 'whoever comes later has the reserve');
});

test('who is alone is refused by the cap only, whatever is nobody\'s', () => {
  const set = share('connections', 40, [1]);
  for (let i = 0; i < 20; i++) assert.equal(set.places.takeForClient(CLIENT), null);
  assert.equal(takeMany(set, set.accounts[0], 100), 20);
});
