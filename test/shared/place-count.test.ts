import assert from 'node:assert/strict';
import {test} from 'node:test';
import {PlaceCount, placeCountByteLength} from '#src/shared/place-count.ts';

test('counts over all threads, and takes back what a dead one had', () => {
  const ref = {buffer: new SharedArrayBuffer(placeCountByteLength(3)), byteOffset: 0};
  const [one, two, three] = [0, 1, 2].map((thread) => new PlaceCount(ref, 3, thread));
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  assert.deepEqual([one.begin(), two.begin(), two.begin(), three.begin()], [1, 2, 3, 4]);
  one.end();
  assert.equal(three.total, 3);
  new PlaceCount(ref, 3, 1).forgetThread();
  assert.equal(one.total, 1, 'the others keep theirs');
  three.end();
  two.begin();
  assert.equal(one.total, 1);
});
