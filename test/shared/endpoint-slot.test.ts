/** What threads share of an endpoint. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {EndpointSlot, endpointSlotByteLength} from '#src/shared/endpoint-slot.ts';

function createViews(threads: number): readonly EndpointSlot[] {
  const buffer = new SharedArrayBuffer(endpointSlotByteLength(threads));
  return Array.from({length: threads}, (_, thread) => new EndpointSlot({buffer, byteOffset: 0}, threads, thread));
}

test('the cap on requests is one for all threads, and idle connections do not count', () => {
  const [one, two] = createViews(2);
  assert.ok(one !== undefined && two !== undefined);
  for (let i = 0; i < 5; i++) one.openConnection();
  assert.deepEqual([one.tryBeginRequest(2), two.tryBeginRequest(2), one.tryBeginRequest(2), two.tryBeginRequest(2)], [true, true, false, false]);
  assert.deepEqual([two.requests, two.connections], [2, 5]);
  two.endRequest();
  assert.ok(one.tryBeginRequest(2));
  one.forgetThread();
  assert.deepEqual([two.requests, two.connections], [0, 0]);
});
