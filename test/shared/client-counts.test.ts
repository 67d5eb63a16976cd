import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {ClientCounts} from '#src/shared/client-counts.ts';
import type {AddToClient} from '#test/shared/add-to-client.ts';
import {runCrew} from '#test/shared/crew.ts';
import {testProperty} from '#test/support/property.ts';

function createViews(threads: number, keysMax: number): ClientCounts[] {
  const buffer = new SharedArrayBuffer(ClientCounts.byteLength(threads, keysMax));
  return Array.from({length: threads}, (_, thread) => new ClientCounts(buffer, threads, thread));
}

function createPair(keysMax: number): [ClientCounts, ClientCounts] {
  const [one, two] = createViews(2, keysMax);
  assert.ok(one && two);
  return [one, two];
}

test('a client has its cap over all threads', () => {
  const [one, two] = createPair(10);
  assert.deepEqual([one.tryAdd(5, 5, 3), two.tryAdd(5, 5, 3), one.tryAdd(5, 5, 3)], [true, true, true]);
  assert.deepEqual([one.tryAdd(5, 5, 3), two.tryAdd(5, 5, 3)], [false, false]);
  assert.equal(two.tryAdd(6, 5, 3), true, 'another client is not concerned');
  two.remove(5, 5);
  assert.deepEqual([one.countOf(5, 5), one.tryAdd(5, 5, 3)], [2, true]);
});

test('amounts are counted whatever they make', () => {
  const [one, two] = createPair(10);
  assert.deepEqual([one.add(1, 2, 1000), two.add(1, 2, 500)], [true, true]);
  assert.deepEqual([one.countOf(1, 2), one.tryAdd(1, 2, 1500), one.tryAdd(1, 2, 1501)], [1500, false, true]);
  one.remove(1, 2, 1001);
  assert.equal(two.countOf(1, 2), 500);
});

test('a refusal leaves nothing behind', () => {
  const [one] = createPair(4);
  for (let i = 0; i < 1_000; i++) assert.equal(one.tryAdd(i, i, 0), false);
  for (let way = 0; way < 16; way++) assert.equal(one.tryAdd(way, 0, 1), true);
});

test('where all ways of a set are taken a new key is refused, and those that are there go on', () => {
  const [one, two] = createPair(8);
  for (let key = 0; key < 16; key++) assert.equal(one.tryAdd(key, 0, 1), true);
  assert.deepEqual([two.tryAdd(16, 0, 9), two.add(16, 0, 9), two.countOf(16, 0)], [false, false, 0]);
  assert.equal(two.tryAdd(3, 0, 2), true);
  one.remove(7, 0);
  assert.equal(two.tryAdd(16, 0, 9), true);
});

test('the part of a dead thread is forgotten, the others keep theirs', () => {
  const [one, two] = createPair(100);
  for (let i = 0; i < 20; i++) {
    one.tryAdd(i % 5, i % 5, 100);
    two.tryAdd(i % 5, i % 5, 100);
  }
  two.forgetThread();
  for (let key = 0; key < 5; key++) {
    assert.equal(two.countOf(key, key), 4);
    for (let i = 0; i < 4; i++) one.remove(key, key);
    assert.equal(one.countOf(key, key), 0);
  }
});

test('a thread that died between two words, and with the lock, leaves nothing wrong behind', () => {
  const buffer = new SharedArrayBuffer(ClientCounts.byteLength(2, 8)), cells = new Int32Array(buffer);
  const [one, two] = [0, 1].map((thread) => new ClientCounts(buffer, 2, thread));
  assert.ok(one !== undefined && two !== undefined);
  one.add(1, 1, 3);
  two.add(1, 1, 2);
  // There is one set, which begins with its lock. The part is gone, and the total is not what it should be.
  const part = cells.lastIndexOf(2);
  cells[part] = 0;
  cells[0] = 1;
  two.forgetThread();
  assert.equal(one.countOf(1, 1), 3);
  assert.equal((cells[0] ?? 0) & 1, 0, 'the lock is free');
});

test('taking back what this thread has not counted is a bug that shows', () => {
  const [one, two] = createPair(4);
  two.tryAdd(1, 1, 1);
  assert.throws(() => one.remove(1, 1), /more was taken back/, 'it belongs to another thread');
  assert.equal(one.countOf(1, 1), 1);
});

test('memory of another size is refused', () => {
  assert.throws(() => new ClientCounts(new SharedArrayBuffer(ClientCounts.byteLength(2, 100)), 3, 0), RangeError);
});

interface Step {
  readonly thread: number;
  readonly high: number;
  readonly low: number;
  readonly isBack: boolean;
}

/** Few keys, of few sets: they collide. */
const anyStep: fc.Arbitrary<Step> = fc.record({
  thread: fc.nat(2), high: fc.nat(3), low: fc.constantFrom(-3, -2, -1, 0, 1, 2, 2 ** 31 - 1), isBack: fc.boolean(),
});

testProperty('agrees with a map of counts', fc.property(fc.array(anyStep, {maxLength: 400, size: 'max'}), fc.nat(6), (steps, max) => {
  const views = createViews(3, 64);
  const counted = new Map<string, number>();
  const countOf = (high: number, low: number): number => [0, 1, 2].reduce((sum, thread) => sum + (counted.get(`${thread} ${high} ${low}`) ?? 0), 0);
  for (const {thread, high, low, isBack} of steps) {
    const view = views[thread];
    assert.ok(view);
    const key = `${thread} ${high} ${low}`, own = counted.get(key) ?? 0;
    if (isBack && own === 0) assert.throws(() => view.remove(high, low));
    else if (isBack) {
      view.remove(high, low);
      counted.set(key, own - 1);
    } else {
      const isRoom = countOf(high, low) < max;
      assert.equal(view.tryAdd(high, low, max), isRoom);
      if (isRoom) counted.set(key, own + 1);
    }
    assert.equal(view.countOf(high, low), countOf(high, low));
  }
}), 400);

test('threads that race never exceed the cap together, and leave nothing behind', async () => {
  const threads = 4, max = 5;
  const buffer = new SharedArrayBuffer(ClientCounts.byteLength(threads, 64));
  const task: AddToClient = {buffer, max, granted: new SharedArrayBuffer(4), rounds: 2_000};
  assert.deepEqual(await runCrew(new URL('add-to-client.ts', import.meta.url), threads, task), [0, 0, 0, 0]);
  const view = new ClientCounts(buffer, threads, 0);
  for (let i = 0; i < max; i++) assert.equal(view.tryAdd(1, 1, max), true);
  assert.equal(view.tryAdd(1, 1, max), false);
});
