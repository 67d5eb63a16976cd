import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {BalanceAlgorithm} from '#src/config/snapshot.ts';
import {createPicker} from '#src/balance/picker.ts';
import type {Endpoint} from '#src/balance/eligibility.ts';
import type {HealthState} from '#src/shared/endpoint-slot.ts';
import {createEndpoints, eject, type EndpointTraits} from '#test/balance/endpoints.ts';

const ALGORITHMS: readonly BalanceAlgorithm[] = ['round_robin', 'least_requests', 'random_two', 'consistent_hash'];

interface Case extends EndpointTraits {
  readonly health?: HealthState;
  readonly ejected?: boolean;
}

function createCase(cases: readonly Case[]): Endpoint[] {
  const endpoints = createEndpoints(cases);
  for (const [index, {health = 'up', ejected = false}] of cases.entries()) {
    const endpoint = endpoints[index];
    if (endpoint === undefined) continue;
    endpoint.slot.health = health;
    if (ejected) eject(endpoint, 10_000);
  }
  return endpoints;
}

/** Every index that is picked within many requests of different keys and chances. */
function picksOf(algorithm: BalanceAlgorithm, endpoints: readonly Endpoint[], probed = true, exclude = -1): number[] {
  const picker = createPicker(algorithm, endpoints, probed);
  const picks = new Set<number>();
  for (let i = 0; i < 200; i++) picks.add(picker.pick(1_000, Math.imul(i, 0x9e3779b1), i / 200, exclude));
  return [...picks].sort((a, b) => a - b);
}

function check(name: string, cases: readonly Case[], expected: readonly number[], traits: {probed?: boolean; exclude?: number} = {}): void {
  for (const algorithm of ALGORITHMS) {
    test(`${algorithm}: ${name}`, () => {
      assert.deepEqual(picksOf(algorithm, createCase(cases), traits.probed ?? true, traits.exclude ?? -1), expected);
    });
  }
}

check('an empty pool has nothing to pick', [], [-1]);
check('one endpoint is picked', [{}], [0]);
check('all healthy endpoints are picked', [{}, {}, {}], [0, 1, 2]);
check('a draining endpoint never is', [{drain: true}, {}], [1]);
check('a draining endpoint is not the last resort either', [{drain: true}], [-1]);
check('an endpoint that is down never is', [{health: 'down'}, {}], [1]);
check('an endpoint that is down is not the last resort either', [{health: 'down'}, {health: 'down', backup: true}], [-1]);
check('pending endpoints wait for those that are up', [{health: 'pending'}, {}], [1]);
check('pending endpoints are used while none is up', [{health: 'pending'}, {health: 'down'}, {health: 'pending'}], [0, 2]);
check('without probes, health says nothing', [{health: 'pending'}, {health: 'down'}], [0, 1], {probed: false});
check('a backup waits', [{}, {backup: true}], [0]);
check('a backup waits for a pending endpoint too', [{health: 'pending'}, {backup: true}], [0]);
check('a backup is used when nothing else can be', [{health: 'down'}, {drain: true}, {backup: true}, {backup: true, health: 'pending'}], [2]);
check('an ejected endpoint is left out', [{ejected: true}, {}], [1]);
check('a backup is better than an ejected endpoint', [{ejected: true}, {backup: true}], [1]);
check('a pending endpoint is better than an ejected one', [{ejected: true}, {health: 'pending'}], [1]);
check('an ejected endpoint is the last resort', [{ejected: true}, {health: 'down'}, {drain: true}], [0]);
check('among ejected ones the backup still waits', [{ejected: true}, {ejected: true, backup: true}], [0]);
check('an ejected endpoint that is down is no resort', [{ejected: true, health: 'down'}], [-1]);
check('the one that has just failed is not tried again', [{}, {}], [1], {exclude: 0});
check('nor where it is the only one', [{}], [-1], {exclude: 0});
check('a backup takes the place of the one that has just failed', [{}, {backup: true}], [1], {exclude: 0});

test('an endpoint comes back when its ejection ends', () => {
  const endpoints = createEndpoints([{}, {}]);
  eject(endpoints[0], 5_000);
  const picker = createPicker('round_robin', endpoints, false);
  assert.deepEqual([picker.pick(4_999, 0, 0, -1), picker.pick(4_999, 0, 0, -1)], [1, 1]);
  assert.ok([picker.pick(5_000, 0, 0, -1), picker.pick(5_000, 0, 0, -1)].includes(0));
});

test('a weight that is none is refused', () => {
  for (const weight of [0, -1, Number.NaN]) assert.throws(() => createPicker('round_robin', createEndpoints([{weight}]), false), RangeError);
});
