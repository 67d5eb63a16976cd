import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {ConnectionTable} from '#src/shared/connection-table.ts';
import {runCrew} from '#test/shared/crew.ts';
import type {OpenConnections} from '#test/shared/open-connections.ts';
import {testProperty} from '#test/support/property.ts';

function createTables(threads: number, connectionsMax: number): ConnectionTable[] {
  const buffer = new SharedArrayBuffer(ConnectionTable.byteLength(threads, connectionsMax));
  return Array.from({length: threads}, (_, thread) => new ConnectionTable(buffer, threads, thread, connectionsMax));
}

function createPair(connectionsMax: number): [ConnectionTable, ConnectionTable] {
  const [one, two] = createTables(2, connectionsMax);
  assert.ok(one && two);
  return [one, two];
}

test('a client has its cap over all threads', () => {
  const [one, two] = createPair(10);
  assert.equal(one.tryOpen(5, 5, 3), 'ok');
  assert.equal(two.tryOpen(5, 5, 3), 'ok');
  assert.equal(one.tryOpen(5, 5, 3), 'ok');
  assert.equal(one.tryOpen(5, 5, 3), 'client');
  assert.equal(two.tryOpen(5, 5, 3), 'client');
  assert.equal(two.tryOpen(6, 5, 3), 'ok', 'another client is not concerned');
  assert.equal(one.total, 4);
  two.close(5, 5);
  assert.equal(one.tryOpen(5, 5, 3), 'ok');
});

test('the node has its cap, which may change, up to the size of the table', () => {
  const [one, two] = createPair(4);
  for (let key = 0; key < 2; key++) assert.equal(one.tryOpen(key, key, 9, 2), 'ok');
  assert.equal(two.tryOpen(7, 7, 9, 2), 'total');
  for (let key = 2; key < 4; key++) assert.equal(two.tryOpen(key, key, 9, 1_000), 'ok');
  assert.equal(one.tryOpen(7, 7, 9, 1_000), 'total');
  assert.equal(one.tryOpen(7, 7, 9), 'total');
  one.close(0, 0);
  assert.equal(two.tryOpen(7, 7, 9, 3), 'total', 'a lowered cap refuses at once');
  assert.equal(two.tryOpen(7, 7, 9), 'ok');
  assert.equal(one.total, 4);
});

test('a refusal leaves nothing behind', () => {
  const [one] = createPair(4);
  for (let i = 0; i < 1_000; i++) assert.equal(one.tryOpen(i, i, 0), 'client');
  assert.equal(one.total, 0);
  assert.equal(one.tryOpen(1, 1, 1), 'ok');
});

test('the share of a dead thread is forgotten, the others keep theirs', () => {
  const [one, two] = createPair(100);
  for (let i = 0; i < 20; i++) {
    one.tryOpen(i % 5, i % 5, 100);
    two.tryOpen(i % 5, i % 5, 100);
  }
  one.forgetThread(1);
  assert.equal(one.total, 20);
  for (let key = 0; key < 5; key++) {
    assert.equal(two.tryOpen(key, key, 5), 'ok', 'four are left of each');
    assert.equal(one.tryOpen(key, key, 5), 'client');
  }
});

test('closing what is not open is a bug that shows', () => {
  const [one, two] = createPair(4);
  two.tryOpen(1, 1, 1);
  assert.throws(() => one.close(1, 1), /not open/, 'it belongs to another thread');
  assert.equal(two.total, 1);
});

test('memory of another size is refused', () => {
  assert.throws(() => new ConnectionTable(new SharedArrayBuffer(ConnectionTable.byteLength(2, 100)), 3, 0, 100), RangeError);
});

interface Step {
  readonly thread: number;
  readonly high: number;
  readonly low: number;
  readonly close: boolean;
}

/** Few low words, at the end of the table and at its start: they collide, and their runs wrap around. */
const anyStep: fc.Arbitrary<Step> = fc.record({
  thread: fc.nat(2), high: fc.nat(3), low: fc.constantFrom(-3, -2, -1, 0, 1, 2, 2 ** 31 - 1), close: fc.boolean(),
});

testProperty('agrees with a map of counts', fc.property(fc.array(anyStep, {maxLength: 400, size: 'max'}), fc.nat(6), fc.nat(24), (steps, perClientMax, totalMax) => {
  const tables = createTables(3, 24);
  const open = new Map<string, number>();
  let total = 0;
  const countOf = (high: number, low: number): number => [0, 1, 2].reduce((sum, thread) => sum + (open.get(`${thread} ${high} ${low}`) ?? 0), 0);
  for (const {thread, high, low, close} of steps) {
    const table = tables[thread];
    assert.ok(table);
    const key = `${thread} ${high} ${low}`, own = open.get(key) ?? 0;
    if (close) {
      if (own === 0) {
        assert.throws(() => table.close(high, low));
        continue;
      }
      table.close(high, low);
      open.set(key, own - 1);
      total--;
    } else {
      const expected = total >= totalMax ? 'total' : countOf(high, low) >= perClientMax ? 'client' : 'ok';
      assert.equal(table.tryOpen(high, low, perClientMax, totalMax), expected);
      if (expected === 'ok') {
        open.set(key, own + 1);
        total++;
      }
    }
    assert.equal(table.total, total);
  }
}), 400);

test('threads that race never exceed the cap together, and leave nothing behind', async () => {
  const threads = 4, connectionsMax = 64, perClientMax = 5;
  const buffer = new SharedArrayBuffer(ConnectionTable.byteLength(threads, connectionsMax));
  const task: OpenConnections = {buffer, connectionsMax, perClientMax, granted: new SharedArrayBuffer(4), rounds: 2_000};
  const excesses = await runCrew(new URL('open-connections.ts', import.meta.url), threads, task);
  assert.deepEqual(excesses, [0, 0, 0, 0]);
  const table = new ConnectionTable(buffer, threads, 0, connectionsMax);
  assert.equal(table.total, 0);
  for (let i = 0; i < perClientMax; i++) assert.equal(table.tryOpen(1, 1, perClientMax), 'ok');
  assert.equal(table.tryOpen(1, 1, perClientMax), 'client');
});
