import assert from 'node:assert/strict';
import {test} from 'node:test';
import {diffSnapshots} from '#src/config/diff.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {customerText, loadTexts, NODE_TEXT} from '#test/config/customers.ts';

async function snapshotOf(customers: Readonly<Record<string, string>>, node = NODE_TEXT): Promise<Snapshot> {
  const {snapshot} = await loadTexts(customers, node);
  assert.ok(snapshot);
  return snapshot;
}

test('nothing changes between equal snapshots', async () => {
  const texts = {acme: customerText('acme', 1)};
  assert.deepEqual(diffSnapshots(await snapshotOf(texts), await snapshotOf(texts)), {node: null, needsRestart: [], added: [], changed: [], removed: []});
});

test('customers are added, changed and removed by name', async () => {
  const before = await snapshotOf({a: customerText('a', 1), b: customerText('b', 2), c: customerText('c', 3)});
  const after = await snapshotOf({b: customerText('b', 2), c: customerText('c', 3, {server: '10.1.3.4:80'}), d: customerText('d', 4)});
  const {node, added, changed, removed} = diffSnapshots(before, after);
  assert.equal(node, null);
  assert.deepEqual([added.map(({name}) => name), changed.map(({name}) => name), removed], [['d'], ['c'], ['a']]);
});

test('a change of the node that can be put in force is told from one that needs a restart', async () => {
  const texts = {acme: customerText('acme', 1)};
  const before = await snapshotOf(texts);
  const limits = diffSnapshots(before, await snapshotOf(texts, `${NODE_TEXT}limits: [{name: a, rate: 1/s}]\n`));
  assert.deepEqual([limits.node?.limits.length, limits.needsRestart], [1, []]);
  const threads = diffSnapshots(before, await snapshotOf(texts, `${NODE_TEXT}threads: 9\n`));
  assert.deepEqual([threads.node, threads.needsRestart], [null, ['threads']]);
});

test('a default that routes inherit changes the customers', async () => {
  const texts = {acme: customerText('acme', 1)};
  const {changed} = diffSnapshots(await snapshotOf(texts), await snapshotOf(texts, `${NODE_TEXT}max_body: 1MiB\n`));
  assert.deepEqual(changed.map(({name}) => name), ['acme']);
});
