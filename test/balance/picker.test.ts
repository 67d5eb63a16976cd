import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {createPicker, type Picker} from '#src/balance/picker.ts';
import {beginRequests, createEndpoint, createEndpoints} from '#test/balance/endpoints.ts';
import {testProperty} from '#test/support/property.ts';

/** Even and without chance: the fractions of the golden ratio, and words far apart. */
const chanceOf = (i: number): number => (i * 0.618_033_988_749_895) % 1;
const hashOf = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >>> 0;

function countPicks(picker: Picker, endpoints: number, picks: number): number[] {
  const counts = Array.from({length: endpoints}, () => 0);
  for (let i = 0; i < picks; i++) {
    const index = picker.pick(0, hashOf(i), chanceOf(i), -1);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts;
}

function assertShares(counts: readonly number[], weights: readonly number[], tolerance: number): void {
  const picks = counts.reduce((sum, count) => sum + count, 0), sum = weights.reduce((total, weight) => total + weight, 0);
  for (const [index, weight] of weights.entries()) {
    const expected = weight / sum, share = (counts[index] ?? 0) / picks;
    assert.ok(Math.abs(share - expected) <= tolerance, `endpoint ${index} got ${share} and not ${expected}`);
  }
}

test('round robin spreads heavy endpoints out, as nginx does', () => {
  const picker = createPicker('round_robin', createEndpoints([{weight: 5}, {weight: 1}, {weight: 1}]), false);
  const order = Array.from({length: 7}, () => picker.pick(0, 0, 0, -1));
  assert.deepEqual(order, [0, 0, 1, 0, 2, 0, 0]);
});

testProperty('round robin gives each endpoint exactly its weight in every cycle', fc.property(
  fc.array(fc.integer({min: 1, max: 20}), {minLength: 1, maxLength: 12, size: 'max'}),
  (weights) => {
    const picker = createPicker('round_robin', createEndpoints(weights.map((weight) => ({weight}))), false);
    const cycle = weights.reduce((sum, weight) => sum + weight, 0);
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(countPicks(picker, weights.length, cycle), weights);
  },
));

for (const algorithm of ['least_requests', 'random_two', 'consistent_hash'] as const) {
  testProperty(`${algorithm}: idle endpoints get requests by their weights`, fc.property(
    fc.array(fc.integer({min: 1, max: 5}), {minLength: 1, maxLength: 6}),
    (weights) => {
      const picker = createPicker(algorithm, createEndpoints(weights.map((weight) => ({weight}))), false);
      assertShares(countPicks(picker, weights.length, 4_000), weights, 0.035);
    },
  ), 20);
}

testProperty('least_requests: no other endpoint has less to do for its weight', fc.property(
  fc.array(fc.record({weight: fc.integer({min: 1, max: 5}), requests: fc.nat(20)}), {minLength: 1, maxLength: 10}), fc.double({min: 0, max: 1, maxExcluded: true, noNaN: true}),
  (loads, random) => {
    const endpoints = createEndpoints(loads);
    for (const [index, {requests}] of loads.entries()) beginRequests(endpoints[index], requests);
    const picked = loads[createPicker('least_requests', endpoints, false).pick(0, 0, random, -1)];
    assert.ok(picked);
    for (const {weight, requests} of loads) assert.ok(picked.requests / picked.weight <= requests / weight);
  },
));

test('least_requests: requests that stay fill endpoints by their weights', () => {
  const endpoints = createEndpoints([{weight: 1}, {weight: 2}, {weight: 3}]);
  const picker = createPicker('least_requests', endpoints, false);
  for (let i = 0; i < 600; i++) beginRequests(endpoints[picker.pick(0, 0, chanceOf(i), -1)], 1);
  assert.deepEqual(endpoints.map(({slot}) => slot.requests), [100, 200, 300]);
});

test('random_two: of two endpoints the busier one gets nothing', () => {
  const endpoints = createEndpoints([{}, {}]);
  beginRequests(endpoints[0], 1);
  assert.deepEqual(countPicks(createPicker('random_two', endpoints, false), 2, 500), [0, 500]);
});

test('random_two: the busiest endpoint gets nothing, the second busiest little', () => {
  const endpoints = createEndpoints([{}, {}, {}, {}]);
  for (const [index, endpoint] of endpoints.entries()) beginRequests(endpoint, 10 * index);
  const picks = 6_000;
  // Of n equal endpoints, rank k from the top wins where the other one is busier: 2 (n - 1 - k) / n (n - 1).
  assertShares(countPicks(createPicker('random_two', endpoints, false), 4, picks), [3, 2, 1, 0], 0.03);
});

test('random_two: chances at both ends of their range are fine', () => {
  const endpoints = createEndpoints([{weight: 0.1}, {weight: 0.2}, {weight: 0.3}]);
  const picker = createPicker('random_two', endpoints, false);
  for (const random of [0, Number.MIN_VALUE, 1 - Number.EPSILON / 2]) assert.ok(picker.pick(0, 0, random, -1) >= 0);
});

const KEYS = 3_000;

function placesOf(ports: readonly number[], weights: readonly number[] = []): (number | undefined)[] {
  const endpoints = ports.map((port, index) => createEndpoint(port, {weight: weights[index] ?? 1}));
  const picker = createPicker('consistent_hash', endpoints, false);
  return Array.from({length: KEYS}, (_, key) => ports[picker.pick(0, hashOf(key), 0, -1)]);
}

test('consistent_hash: a key stays where it is, whatever chance says and whatever the order of the servers', () => {
  assert.deepEqual(placesOf([1, 2, 3, 4]), placesOf([1, 2, 3, 4]));
  assert.deepEqual(placesOf([1, 2, 3, 4]), placesOf([4, 2, 1, 3]));
});

test('consistent_hash: words are taken as signed and unsigned alike', () => {
  const picker = createPicker('consistent_hash', createEndpoints([{}, {}, {}, {}, {}]), false);
  for (let key = 0; key < 100; key++) assert.equal(picker.pick(0, hashOf(key), 0, -1), picker.pick(0, hashOf(key) | 0, 0, -1));
});

testProperty('consistent_hash: an endpoint that leaves moves only its own keys, evenly', fc.property(
  fc.uniqueArray(fc.integer({min: 1, max: 65_535}), {minLength: 3, maxLength: 10}), fc.nat(9),
  (ports, which) => {
    const removed = ports[which % ports.length];
    const before = placesOf(ports), after = placesOf(ports.filter((port) => port !== removed));
    const moved = new Map<number | undefined, number>();
    for (let key = 0; key < KEYS; key++) {
      if (before[key] === removed) moved.set(after[key], (moved.get(after[key]) ?? 0) + 1);
      else assert.equal(after[key], before[key]);
    }
    assert.equal(moved.size, ports.length - 1, 'every other endpoint takes some of them');
  },
), 15);

test('consistent_hash: an endpoint that is down for a while gets its own keys back', () => {
  const endpoints = createEndpoints([{}, {}, {}]);
  const picker = createPicker('consistent_hash', endpoints, true);
  const places = (): number[] => Array.from({length: KEYS}, (_, key) => picker.pick(0, hashOf(key), 0, -1));
  const before = places();
  const [, second] = endpoints;
  assert.ok(second);
  second.slot.health = 'down';
  const meanwhile = places();
  for (let key = 0; key < KEYS; key++) assert.ok(before[key] === 1 ? meanwhile[key] !== 1 : meanwhile[key] === before[key]);
  second.slot.health = 'up';
  assert.deepEqual(places(), before);
});

test('consistent_hash: a weight that grows only draws keys to itself', () => {
  const before = placesOf([1, 2, 3], [1, 1, 1]), after = placesOf([1, 2, 3], [1, 2, 1]);
  let moved = 0;
  for (let key = 0; key < KEYS; key++) {
    if (after[key] === before[key]) continue;
    assert.equal(after[key], 2);
    moved++;
  }
  assert.ok(Math.abs(moved / KEYS - (2 / 4 - 1 / 3)) < 0.03, `${moved} keys moved`);
});
