/** Max-min fairness of what is taken already. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {findFairLevel, type Claim} from '#src/balance/fair-shares.ts';
import {testProperty} from '#test/support/property.ts';

test('nobody is cut while there is enough', () => {
  assert.equal(findFairLevel([{used: 3, weight: 1}, {used: 4, weight: 1}], 7), Number.POSITIVE_INFINITY);
  assert.equal(findFairLevel([], 0), Number.POSITIVE_INFINITY);
});

test('who takes little keeps it, and the others share the rest by their weights', () => {
  assert.equal(findFairLevel([{used: 2, weight: 1}, {used: 50, weight: 1}, {used: 50, weight: 3}], 22), 5);
});

test('idle customers claim nothing: one that is alone has everything', () => {
  assert.equal(findFairLevel([{used: 100, weight: 1}, {used: 0, weight: 9}], 60), 60);
});

const anyClaims = fc.array(fc.record({used: fc.nat(1000), weight: fc.integer({min: 1, max: 20})}), {maxLength: 50});

function granted(claims: readonly Claim[], level: number): number[] {
  return claims.map(({used, weight}) => Math.min(used, level * weight));
}

testProperty('all that is there is given, and no more', fc.property(anyClaims, fc.nat(20_000), (claims, capacity) => {
  const sum = granted(claims, findFairLevel(claims, capacity)).reduce((a, b) => a + b, 0);
  const wanted = claims.reduce((a, {used}) => a + used, 0);
  assert.ok(Math.abs(sum - Math.min(wanted, capacity)) < 1e-6);
}), 500);

testProperty('nobody below an equal share is cut, whatever the others take', fc.property(anyClaims, fc.integer({min: 1, max: 20_000}), (claims, capacity) => {
  const level = findFairLevel(claims, capacity);
  const weights = claims.reduce((sum, {used, weight}) => sum + (used > 0 ? weight : 0), 0);
  for (const {used, weight} of claims) {
    if (used * weights <= capacity * weight) assert.ok(used <= level * weight + 1e-6);
  }
  if (claims.some(({used}) => used > 0)) assert.ok(level > 0, 'nobody starves');
}), 500);
