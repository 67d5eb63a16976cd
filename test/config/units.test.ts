import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {formatSize, parseDuration, parseRate, parseSize} from '#src/config/units.ts';
import {testProperty} from '#test/support/property.ts';

test('durations have a unit and come in milliseconds', () => {
  const known = {'0ms': 0, '250ms': 250, '5s': 5_000, '10m': 600_000, '1h': 3_600_000};
  for (const [text, ms] of Object.entries(known)) assert.equal(parseDuration(text), ms, text);
  for (const text of ['', '5', '5 s', ' 5s', '5s ', '-5s', '+5s', '1.5s', '05s', '5S', '5d', '5sec', '1e3ms', '٥s', '99999999999s']) assert.equal(parseDuration(text), null, text);
});

test('sizes are bytes or have a binary unit', () => {
  const known = {'0': 0, '65536': 65_536, '16KiB': 16_384, '1MiB': 1_048_576, '2GiB': 2_147_483_648};
  for (const [text, bytes] of Object.entries(known)) assert.equal(parseSize(text), bytes, text);
  for (const text of ['', 'KiB', '1KB', '1kib', '1 KiB', '1.5MiB', '-1', '0x10', '01', '1e3', '9999999999999999', '9007199254740993GiB']) assert.equal(parseSize(text), null, text);
});

test('rates come with the interval between two requests', () => {
  assert.deepEqual(parseRate('50/s'), {count: 50, intervalMs: 20});
  assert.deepEqual(parseRate('600/m'), {count: 600, intervalMs: 100});
  assert.deepEqual(parseRate('10/h'), {count: 10, intervalMs: 360_000});
  for (const text of ['', '50', '50/', '/s', '0/s', '-1/s', '1.5/s', '50/ms', '50 / s', '50/S', '99999999/s']) assert.equal(parseRate(text), null, text);
});

testProperty('a size that is written in its largest unit is read back', fc.property(fc.maxSafeNat(), (bytes) => {
  assert.equal(parseSize(formatSize(bytes)), bytes);
}));
