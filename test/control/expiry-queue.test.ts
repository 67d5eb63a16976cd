import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {ExpiryQueue} from '#src/control/expiry-queue.ts';
import {testProperty} from '#test/support/property.ts';

test('an empty queue', () => {
  const queue = new ExpiryQueue();
  assert.deepEqual([queue.first, queue.shift(), queue.size], [undefined, undefined, 0]);
});

testProperty('what is pushed comes out by its end', fc.property(fc.array(fc.option(fc.nat(50)), {maxLength: 200, size: 'max'}), fc.array(fc.nat(50)), (pushes, replaced) => {
  const queue = new ExpiryQueue();
  let model: number[] = [];
  const compare = (a: number, b: number): number => a - b;
  for (const untilMs of pushes) {
    if (untilMs === null) {
      assert.equal(queue.shift()?.untilMs, model.sort(compare).shift());
    } else {
      queue.push({untilMs});
      model.push(untilMs);
    }
    assert.deepEqual([queue.size, queue.first?.untilMs], [model.length, model.sort(compare)[0]]);
  }
  queue.replaceAll(replaced.map((untilMs) => ({untilMs})));
  model = [...replaced].sort(compare);
  assert.deepEqual(replaced.map(() => queue.shift()?.untilMs), model);
}));
