/** The reserve of time: what silence and trickles cost, what bytes buy. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {Reserve, settleReserve} from '#src/core/patience.ts';
import {testProperty} from '#test/support/property.ts';

const FULL_MS = 30_000, RATE = 512;

/** Milliseconds from the start until the deadline is missed; `limitMs` where it never is. */
function lastFor(steps: Iterable<{readonly afterMs: number; readonly bytes: number}>, limitMs: number): number {
  const reserve = new Reserve();
  let nowMs = 0, deadlineMs = reserve.wait(nowMs, FULL_MS);
  for (const {afterMs, bytes} of steps) {
    if (nowMs + afterMs >= deadlineMs) return deadlineMs;
    nowMs += afterMs;
    if (nowMs >= limitMs) return limitMs;
    reserve.gain(nowMs, bytes, FULL_MS, RATE);
    deadlineMs = reserve.wait(nowMs, FULL_MS);
  }
  return deadlineMs;
}

function* repeat(afterMs: number, bytes: number): Generator<{readonly afterMs: number; readonly bytes: number}> {
  for (;;) yield {afterMs, bytes};
}

test('silence may last as long as the reserve', () => {
  assert.equal(lastFor([], 1e9), FULL_MS);
  assert.equal(lastFor(repeat(FULL_MS - 1, 16_384), 1e9), 1e9, 'and again, once the pause is made good');
});

test('a byte before each deadline wins its own time and no more', () => {
  assert.ok(lastFor(repeat(FULL_MS - 1, 1), 1e9) < FULL_MS + 3);
  assert.ok(lastFor(repeat(100, 1), 1e9) < 1.1 * FULL_MS);
});

test('what was fast before is no credit for later', () => {
  const reserve = new Reserve();
  reserve.wait(0, FULL_MS);
  reserve.gain(1, 1e9, FULL_MS, RATE);
  assert.equal(reserve.wait(1, FULL_MS), FULL_MS + 1);
});

test('time that is not the client\'s does not count', () => {
  const reserve = new Reserve();
  reserve.gain(0, 1, FULL_MS, RATE);
  reserve.wait(0, FULL_MS);
  reserve.rest(10_000);
  assert.equal(reserve.wait(500_000, FULL_MS), 520_000);
});

test('without a rate any byte buys everything back', () => {
  assert.equal(settleReserve(1, FULL_MS, 0, 1, 0), FULL_MS);
  assert.equal(settleReserve(100, FULL_MS, 40, 0, 0), 60);
});

const anySteps = fc.array(fc.record({afterMs: fc.integer({min: 1, max: 20_000}), bytes: fc.nat(20_000)}), {maxLength: 200, size: 'max'});

testProperty('nobody lasts longer than the reserve and what the bytes are worth', fc.property(anySteps, (steps) => {
  const bytes = steps.reduce((sum, step) => sum + step.bytes, 0);
  assert.ok(lastFor(steps, 1e9) <= FULL_MS + bytes * 1000 / RATE + 1e-3);
}));

testProperty('whoever keeps to the rate is never cut off, however it is spread within the reserve', fc.property(fc.integer({min: 1, max: FULL_MS - 1}), fc.integer({min: 1, max: 100}), (afterMs, times) => {
  const bytes = Math.ceil(afterMs * RATE / 1000);
  assert.equal(lastFor(repeat(afterMs, bytes), times * afterMs), times * afterMs);
}));
