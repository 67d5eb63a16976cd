import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {pairChanges} from '#src/config/sorted-lists.ts';
import {testProperty} from '#test/support/property.ts';

interface Item {
  readonly key: string;
}

/** Three versions of each of a few items: two lists often have the same one. */
const ITEMS: readonly Item[] = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((key) => [{key}, {key}, {key}]);
const list = fc.uniqueArray(fc.constantFrom(...ITEMS), {selector: ({key}) => key}).map((items) => items.sort((a, b) => (a.key < b.key ? -1 : 1)));

testProperty('pairs are what is not the same object on both sides, in the order of the keys', fc.property(list, list, (before, after) => {
  const find = (items: readonly Item[], wanted: string): Item | null => items.find(({key}) => key === wanted) ?? null;
  const keys = [...new Set(ITEMS.map(({key}) => key))];
  const expected = keys.map((key) => [find(before, key), find(after, key)]).filter(([old, fresh]) => old !== fresh);
  const found = pairChanges(before, after, ({key}) => key);
  assert.equal(found.length, expected.length);
  for (const [index, [old, fresh]] of found.entries()) {
    assert.equal(old, expected[index]?.[0]);
    assert.equal(fresh, expected[index]?.[1]);
  }
}), 500);

test('what is the same on both sides is not looked at', () => {
  const items = [{key: 'a'}, {key: 'b'}, {key: 'c'}], added = {key: 'd'};
  const keyOf = (item: Item): string => {
    assert.fail(`the key of ${item.key}`);
  };
  assert.deepEqual(pairChanges(items, [...items, added], keyOf), [[null, added]]);
});
