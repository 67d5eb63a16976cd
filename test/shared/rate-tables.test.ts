import assert from 'node:assert/strict';
import {test} from 'node:test';
import {RateTables} from '#src/shared/rate-tables.ts';

test('limits of alike windows share a table, others do not', () => {
  const tables = new RateTables(RateTables.createBuffers(64));
  assert.equal(tables.forWindow(1), tables.forWindow(10_000));
  assert.equal(tables.forWindow(10_001), tables.forWindow(600_000));
  assert.equal(tables.forWindow(600_001), tables.forWindow(1e12));
  assert.equal(new Set([1, 20_000, 1e9].map((windowMs) => tables.forWindow(windowMs))).size, 3);
});

test('a flood of an hourly limit leaves nothing to the new clients of a limit of seconds', () => {
  const tables = new RateTables(RateTables.createBuffers(64));
  const hourly = tables.forWindow(3_600_000), fast = tables.forWindow(1_000);
  for (let key = 1; key < 5_000; key++) hourly.take(key, key, 0, 3_600_000, 1);
  assert.ok(hourly.take(10_000, 0, 0, 3_600_000, 1) > 0, 'the flood fills its own table');
  assert.equal(fast.take(10_000, 0, 0, 1_000, 1), 0);
});

test('other buffers are refused', () => {
  assert.throws(() => new RateTables(RateTables.createBuffers(64).slice(1)), RangeError);
});
