import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import type {AddToLedger} from '#test/fleet/add-to-ledger.ts';
import {runCrew} from '#test/shared/crew.ts';
import {testProperty} from '#test/support/property.ts';

function createLedger(keysMax: number): FleetLedger {
  return new FleetLedger(new SharedArrayBuffer(FleetLedger.byteLength(keysMax)));
}

test('what is added is drained once', () => {
  const ledger = createLedger(64);
  ledger.add(1, 2, 20.5, 10);
  ledger.add(1, 2, 20.5, 10, 3);
  ledger.add(-1, -2, 1e9, 1);
  assert.equal(ledger.takenOf(1, 2), 4);
  const entries = [...ledger.drain(100)].sort((a, b) => b.taken - a.taken);
  assert.deepEqual(entries, [{keyHigh: 1, keyLow: 2, intervalMs: 20.5, burst: 10, taken: 4}, {keyHigh: -1, keyLow: -2, intervalMs: 1e9, burst: 1, taken: 1}]);
  assert.deepEqual([ledger.drain(100), ledger.takenOf(1, 2)], [[], 0]);
});

test('in several rounds, everything comes up', () => {
  const ledger = createLedger(1024);
  for (let key = 0; key < 500; key++) ledger.add(key, Math.imul(key, 0x9e3779b1), 1, 1);
  const seen = new Set<number>();
  for (let round = 0; round < 100; round++) for (const {keyHigh} of ledger.drain(20)) seen.add(keyHigh);
  assert.equal(seen.size + ledger.untold, 500);
});

testProperty('agrees with a map, but for what did not fit', fc.property(fc.array(fc.tuple(fc.nat(12), fc.nat(3)), {maxLength: 200}), (steps) => {
  const ledger = createLedger(8), map = new Map<number, number>();
  let untold = 0;
  for (const [key, what] of steps) {
    if (what === 0) {
      assert.deepEqual(new Map(ledger.drain(100).map(({keyHigh, taken}) => [keyHigh, taken])), map);
      map.clear();
    } else if (map.has(key) || map.size < 8) {
      map.set(key, (map.get(key) ?? 0) + what);
      ledger.add(key, key, 1, 1, what);
    } else {
      untold += what;
      ledger.add(key, key, 1, 1, what);
    }
    assert.equal(ledger.untold, untold);
  }
}));

test('threads add while another drains: nothing is lost or told twice', async () => {
  const threads = 3, perThread = 60_000;
  const buffer = new SharedArrayBuffer(FleetLedger.byteLength(64));
  const task: AddToLedger = {buffer, adds: perThread};
  const results = await runCrew(new URL('add-to-ledger.ts', import.meta.url), threads, task);
  const drained = results.reduce<number>((sum, count) => sum + Number(count), 0);
  const ledger = new FleetLedger(buffer);
  const rest = ledger.drain(1000).reduce((sum, {taken}) => sum + taken, 0);
  assert.equal(drained + rest + ledger.untold, (threads - 1) * perThread);
});

test('memory of another size is refused', () => {
  assert.throws(() => new FleetLedger(new SharedArrayBuffer(FleetLedger.byteLength(64) + 4)), RangeError);
});
