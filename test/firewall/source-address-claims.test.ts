/** A source address belongs to one customer, over reloads too. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {mergeAtStart, mergeWithLastGood, type MergeResult, type RunningConfig} from '#src/config/merge.ts';
import {customerFile, customerText, loadTexts} from '#test/config/customers.ts';

function from(ipv4: string, text: string): string {
  return `${text}source_address: {ipv4: ${ipv4}}\n`;
}

const ACME = from('10.9.0.1', customerText('acme', 1));

async function reload(before: RunningConfig | null, customers: Readonly<Record<string, string>>): Promise<MergeResult & {running: RunningConfig}> {
  const loaded = await loadTexts(customers);
  const result = before === null ? mergeAtStart(loaded, [], []) : mergeWithLastGood(loaded, before);
  assert.ok(result.running);
  return {...result, running: result.running};
}

function sourcesOf({snapshot}: RunningConfig): Record<string, string | null> {
  return Object.fromEntries(snapshot.customers.map(({name, sourceAddress}) => [name, sourceAddress.ipv4]));
}

test('the customer that has a source address keeps it, and the one that claims it stays as it was', async () => {
  const before = await reload(null, {acme: ACME, globex: customerText('globex', 2)});
  const after = await reload(before.running, {acme: ACME, globex: from('10.9.0.1', customerText('globex', 2))});
  assert.deepEqual(sourcesOf(after.running), {acme: '10.9.0.1', globex: null});
  assert.deepEqual(after.stale.map(({file}) => file), [customerFile('globex')]);
});

test("so does the customer in whose networks another's source address would be", async () => {
  const before = await reload(null, {acme: ACME, globex: customerText('globex', 2)});
  const after = await reload(before.running, {acme: from('10.1.2.9', customerText('acme', 1)), globex: customerText('globex', 2)});
  assert.deepEqual(sourcesOf(after.running), {acme: '10.9.0.1', globex: null});
  assert.deepEqual(after.stale.map(({file}) => file), [customerFile('acme')]);
});

test("a source address in the customer's own networks is its own, and another spelling is the same address", async () => {
  const {running} = await reload(null, {acme: from('10.1.1.2', customerText('acme', 1))});
  assert.deepEqual(sourcesOf(running), {acme: '10.1.1.2'});
  const ipv6 = customerText('acme', 1, {network: 'fd00:1::/64', server: '[fd00:1::11]:3000'});
  const first = await reload(null, {acme: `${ipv6}source_address: {ipv6: "FD00:0001:0:0::2"}\n`});
  assert.equal(first.running.snapshot.customers[0]?.sourceAddress.ipv6, 'fd00:1::2');
  assert.equal(first.running.snapshot.revision, (await reload(null, {acme: `${ipv6}source_address: {ipv6: "fd00:1::2"}\n`})).running.snapshot.revision);
});
