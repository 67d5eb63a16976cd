import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {runCrew} from '#test/shared/crew.ts';
import type {FloodBuckets} from '#test/shared/flood-buckets.ts';
import type {TakeTokens} from '#test/shared/take-tokens.ts';
import {testProperty} from '#test/support/property.ts';

const WAYS = 8;

function createBuckets(keysMax: number): RateBuckets {
  return new RateBuckets(new SharedArrayBuffer(RateBuckets.byteLength(keysMax)));
}

function takeAll(buckets: RateBuckets, key: number, nowMs: number, intervalMs: number, burst: number): number {
  let admitted = 0;
  while (buckets.take(key, 0, nowMs, intervalMs, burst) === 0) admitted++;
  return admitted;
}

test('a burst is admitted, then one request an interval', () => {
  const buckets = createBuckets(100);
  assert.equal(takeAll(buckets, 1, 5_000, 20, 10), 10);
  assert.equal(buckets.take(1, 0, 5_000, 20, 10), 20, 'says when the next token is there');
  assert.equal(buckets.take(1, 0, 5_015, 20, 10), 5);
  assert.equal(buckets.take(1, 0, 5_020, 20, 10), 0);
  assert.equal(buckets.take(1, 0, 5_020, 20, 10), 20);
  assert.equal(takeAll(buckets, 1, 5_100, 20, 10), 4);
  assert.equal(takeAll(buckets, 1, 9_000, 20, 10), 10, 'never saves more than the burst');
});

test('keys that differ in either word are counted apart', () => {
  const buckets = createBuckets(1);
  for (const [high, low] of [[0, 0], [0, 1], [1, 0], [-1, 0], [0, -1], [-1, -1]] as const) {
    assert.equal(buckets.take(high, low, 0, 1_000, 1), 0);
    assert.ok(buckets.take(high, low, 0, 1_000, 1) > 0);
  }
});

testProperty('exactly the burst at once, whatever the rounding, and the wait that is told is enough', fc.property(
  fc.double({min: 0, max: 1e9, noNaN: true}), fc.double({min: 0.05, max: 3_600_000, noNaN: true}), fc.integer({min: 1, max: 300}),
  (nowMs, intervalMs, burst) => {
    const buckets = createBuckets(1);
    assert.equal(takeAll(buckets, 7, nowMs, intervalMs, burst), burst);
    const waitMs = buckets.take(7, 0, nowMs, intervalMs, burst);
    assert.equal(takeAll(buckets, 7, nowMs + waitMs, intervalMs, burst), 1);
  },
));

/** A token bucket as textbooks have it. */
class NaiveBucket {
  readonly #intervalMs: number;
  readonly #burst: number;
  #tokens: number;
  #lastMs = 0;

  constructor(intervalMs: number, burst: number) {
    this.#intervalMs = intervalMs;
    this.#burst = burst;
    this.#tokens = burst;
  }

  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#lastMs) / this.#intervalMs);
    this.#lastMs = nowMs;
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens--;
    return true;
  }
}

testProperty('admits what a plain token bucket admits', fc.property(
  fc.integer({min: 1, max: 100}), fc.integer({min: 1, max: 20}), fc.array(fc.tuple(fc.nat(3), fc.nat(150)), {maxLength: 200, size: 'max'}),
  (intervalMs, burst, steps) => {
    const buckets = createBuckets(64);
    const naive = Array.from({length: 4}, () => new NaiveBucket(intervalMs, burst));
    let nowMs = 0;
    for (const [key, pauseMs] of steps) {
      nowMs += pauseMs;
      assert.equal(buckets.take(key, 0, nowMs, intervalMs, burst) === 0, naive[key]?.take(nowMs));
    }
  },
));

test('idle ways are used again before live ones', () => {
  const buckets = createBuckets(WAYS);
  assert.equal(takeAll(buckets, 1, 0, 1_000, 5), 5);
  for (let key = 2; key < 5_000; key++) {
    assert.equal(buckets.take(key, 0, key, 5, 1), 0, 'each is idle again when its way is needed');
  }
  assert.equal(buckets.take(1, 0, 4_999, 1_000, 5), 0, 'in all this time the first key was not forgotten, and gained tokens as it should');
  assert.equal(takeAll(buckets, 1, 4_999, 1_000, 5), 3);
});

testProperty('eviction never forgives', fc.property(
  fc.array(fc.tuple(fc.nat(40), fc.nat(30)), {maxLength: 300, size: 'max'}), fc.integer({min: 10, max: 2_000}), fc.integer({min: 1, max: 5}),
  (steps, intervalMs, burst) => {
    const crowded = createBuckets(WAYS), spacious = new Map<number, NaiveBucket>();
    let nowMs = 0;
    for (const [key, pauseMs] of steps) {
      nowMs += pauseMs;
      const bucket = spacious.get(key) ?? new NaiveBucket(intervalMs, burst);
      spacious.set(key, bucket);
      // Only what the crowded table admits is charged in the model: with a place for everybody, all of it would have been admitted.
      if (crowded.take(key, 0, nowMs, intervalMs, burst) === 0) assert.ok(bucket.take(nowMs));
    }
  },
), 500);

test('a flood of new keys does not free a key that is over its limit', () => {
  const buckets = createBuckets(WAYS);
  assert.equal(takeAll(buckets, 1, 0, 1_000, 10), 10);
  for (let key = 2; key < 10_000; key++) buckets.take(key, 0, 1, 1_000, 10);
  assert.ok(buckets.take(1, 0, 2, 1_000, 10) > 0);
});

test('the limit is exact over threads', async () => {
  const threads = 4, keys = 3, burst = 100_000;
  const buffer = new SharedArrayBuffer(RateBuckets.byteLength(WAYS));
  const task: TakeTokens = {buffer, keys, takesPerKey: burst, burst};
  const results = await runCrew(new URL('take-tokens.ts', import.meta.url), threads, task);
  const sums = Array.from({length: keys}, () => 0);
  for (const admitted of results) {
    assert.ok(Array.isArray(admitted));
    for (let key = 0; key < keys; key++) sums[key] = (sums[key] ?? 0) + Number(admitted[key]);
  }
  assert.deepEqual(sums, Array.from({length: keys}, () => burst));
});

test('a flood of new keys on every thread forgives nobody', async () => {
  const threads = 4, burst = 50;
  const task: FloodBuckets = {buffer: new SharedArrayBuffer(RateBuckets.byteLength(64 * WAYS)), rounds: 2_000, newKeysPerRound: 20, burst};
  const results = await runCrew(new URL('flood-buckets.ts', import.meta.url), threads, task);
  const admitted = results.reduce<number>((sum, count) => sum + Number(count), 0);
  assert.ok(admitted > 0 && admitted <= burst, `${admitted} of ${threads * task.rounds} were admitted`);
});

test('memory of another size is refused', () => {
  assert.throws(() => new RateBuckets(new SharedArrayBuffer(RateBuckets.byteLength(100) + 8)), RangeError);
  assert.throws(() => new RateBuckets(new SharedArrayBuffer(0)), RangeError);
});

test('waiting is told without taking, and tokens come back', () => {
  const buckets = new RateBuckets(new SharedArrayBuffer(RateBuckets.byteLength(64)));
  const [key, nowMs, intervalMs, burst] = [1, 1_000, 100, 2];
  const wait = (): number => buckets.wait(key, key, nowMs, intervalMs, burst);
  assert.equal(wait(), 0);
  for (let i = 0; i < burst; i++) assert.equal(buckets.take(key, key, nowMs, intervalMs, burst), 0);
  assert.deepEqual([wait(), wait(), buckets.debt(key, key, nowMs)], [intervalMs, intervalMs, burst * intervalMs]);
  buckets.giveBack(key, key, intervalMs);
  assert.deepEqual([wait(), buckets.debt(key, key, nowMs)], [0, intervalMs]);
  buckets.clear(key, key);
  assert.equal(buckets.debt(key, key, nowMs), 0);
});

test('what is not there can be neither given back nor cleared, and owes nothing', () => {
  const buckets = new RateBuckets(new SharedArrayBuffer(RateBuckets.byteLength(8)));
  for (let key = 1; key <= 8; key++) buckets.take(key, 0, 0, 1_000, 10);
  buckets.giveBack(99, 0, 1_000);
  buckets.clear(99, 0);
  assert.equal(buckets.debt(99, 0, 0), 0);
  for (let key = 1; key <= 8; key++) assert.equal(buckets.debt(key, 0, 0), 1_000);
});
