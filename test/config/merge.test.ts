/** Reloads in which something is broken. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {findConflicts, listClaims} from '#src/config/conflicts.ts';
import {mergeAtStart, mergeWithLastGood, type MergeResult, type RunningConfig} from '#src/config/merge.ts';
import {customerFile, customerText, loadTexts, NODE_TEXT} from '#test/config/customers.ts';
import {testAsyncProperty} from '#test/support/property.ts';

const ACME = customerText('acme', 1);
const GLOBEX = customerText('globex', 2);
const BROKEN = 'customer: acme\nnetworks: [203.0.113.0/24]\n';

async function start(customers: Readonly<Record<string, string>>, node = NODE_TEXT): Promise<RunningConfig> {
  const {running} = mergeAtStart(await loadTexts(customers, node), [], []);
  assert.ok(running);
  return running;
}

async function reload(running: RunningConfig, customers: Readonly<Record<string, string>>, node = NODE_TEXT): Promise<MergeResult & {running: RunningConfig}> {
  const result = mergeWithLastGood(await loadTexts(customers, node), running);
  assert.ok(result.running);
  return {...result, running: result.running};
}

function serversOf({snapshot}: RunningConfig): Record<string, string | undefined> {
  return Object.fromEntries(snapshot.customers.map(({name, pools}) => [name, pools[0]?.servers[0]?.address]));
}

function staleOf({stale}: MergeResult): readonly (readonly [string, string | null, boolean])[] {
  return stale.map(({file, customer, isKept}) => [file, customer, isKept]);
}

/** A start after a run with `before` in force, all of which was saved. */
async function restart({snapshot, files}: RunningConfig, customers: Readonly<Record<string, string>>, node = NODE_TEXT): Promise<MergeResult> {
  return mergeAtStart(await loadTexts(customers, node), files, snapshot.customers);
}

test('at a start a broken customer is served as it was saved, and the others as their files say', async () => {
  const before = await start({acme: ACME, globex: GLOBEX});
  const after = await restart(before, {acme: BROKEN, globex: customerText('globex', 2, {server: '10.1.2.99:3000'})});
  assert.ok(after.running);
  assert.deepEqual(serversOf(after.running), {acme: '10.1.1.11', globex: '10.1.2.99'});
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', true]]);
  assert.deepEqual(after.fresh.map(({file}) => file), [customerFile('globex')]);
});

test('at a start a broken customer of which nothing is saved is not served, and keeps nobody else from it', async () => {
  const after = mergeAtStart(await loadTexts({acme: BROKEN, globex: GLOBEX}), [], []);
  assert.ok(after.running);
  assert.deepEqual(Object.keys(serversOf(after.running)), ['globex']);
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', false]]);
  assert.ok(after.stale[0]?.problems.some(({found}) => found === '"203.0.113.0/24"'));
});

test('at a start nobody gets what the broken file of another claims', async () => {
  const broken = `${ACME}bogus: 1\n`;
  for (const greedy of [customerText('evil', 9, {hosts: ['www.acme.example']}), customerText('evil', 9, {network: '10.1.1.128/25', server: '10.1.1.129:80'}), customerText('acme', 9)]) {
    const after = mergeAtStart(await loadTexts({acme: broken, evil: greedy, globex: GLOBEX}), [], []);
    assert.ok(after.running);
    assert.deepEqual(Object.keys(serversOf(after.running)), ['globex']);
    assert.deepEqual(after.stale.map(({file, isKept}) => [file, isKept]), [[customerFile('acme'), false], [customerFile('evil'), false]]);
  }
});

test('at a start who had a host keeps it, whatever a broken file claims', async () => {
  const before = await start({acme: ACME, globex: GLOBEX});
  const after = await restart(before, {acme: ACME, evil: `${customerText('evil', 9, {hosts: ['www.acme.example']})}bogus: 1\n`, globex: GLOBEX});
  assert.deepEqual(after.running?.snapshot, before.snapshot);
  assert.deepEqual(staleOf(after), [[customerFile('evil'), 'evil', false]]);
});

test('two broken files without a name have none in common', async () => {
  const nameless = (n: number): string => customerText('x', n).replace('customer: x\n', '').replace('www.x', `www.x${n}`);
  const {running} = mergeAtStart(await loadTexts({a: nameless(7), b: nameless(8), globex: GLOBEX}), [], []);
  assert.deepEqual(running?.snapshot.customers.map(({name}) => name), ['globex']);
});

for (const [about, customers, node] of [
  ['nobody to serve', {acme: BROKEN, globex: '{'}, NODE_TEXT],
  ['a broken node file', {acme: ACME}, `${NODE_TEXT}bogus: 1\n`],
] as const) {
  test(`a start with ${about} is refused, with every problem`, async () => {
    const loaded = await loadTexts(customers, node);
    const {running, refusal} = mergeAtStart(loaded, [], []);
    assert.equal(running, null);
    assert.deepEqual(refusal, loaded.problems);
    assert.ok(refusal.length > 0);
  });
}

test('in a reload nobody gets what the broken file of a newcomer claims, and who has it keeps it', async () => {
  const before = await start({acme: ACME});
  const broken = `${customerText('newcomer', 3, {hosts: ['www.acme.example', 'www.new.example']})}bogus: 1\n`;
  const after = await reload(before, {acme: customerText('acme', 1, {hosts: ['www.acme.example', 'www.new.example']}), newcomer: broken});
  assert.deepEqual(after.running.snapshot, before.snapshot);
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', true], [customerFile('newcomer'), 'newcomer', false]]);
  assert.deepEqual((await reload(before, {acme: customerText('acme', 1, {server: '10.1.1.99:3000'}), newcomer: broken})).running.snapshot.customers[0]?.pools[0]?.servers[0]?.address, '10.1.1.99');
});

test('a broken customer keeps its last good version, and the others change', async () => {
  const before = await start({acme: ACME, globex: GLOBEX});
  const changed = customerText('globex', 2, {server: '10.1.2.99:3000'});
  const after = await reload(before, {acme: BROKEN, globex: changed});
  assert.deepEqual(serversOf(after.running), {acme: '10.1.1.11', globex: '10.1.2.99'});
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', true]]);
  assert.ok(after.stale[0]?.problems.some(({found}) => found === '"203.0.113.0/24"'));
  const mended = await reload(after.running, {acme: customerText('acme', 1, {server: '10.1.1.99:3000'}), globex: changed});
  assert.deepEqual(serversOf(mended.running), {acme: '10.1.1.99', globex: '10.1.2.99'});
  assert.deepEqual(mended.stale, []);
});

test('a customer is known by its file even if the file cannot be read at all', async () => {
  const after = await reload(await start({acme: ACME, globex: GLOBEX}), {acme: '{[', globex: GLOBEX});
  assert.deepEqual(Object.keys(serversOf(after.running)), ['acme', 'globex']);
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', true]]);
});

test('a broken customer in a renamed file is known by its name', async () => {
  const after = await reload(await start({acme: ACME, globex: GLOBEX}), {renamed: BROKEN, globex: GLOBEX});
  assert.deepEqual(serversOf(after.running), {acme: '10.1.1.11', globex: '10.1.2.11'});
  assert.equal(after.running.files.find(({file}) => file === customerFile('renamed'))?.customer?.name, 'acme');
});

test('a customer whose file is gone is gone', async () => {
  const after = await reload(await start({acme: ACME, globex: GLOBEX}), {globex: GLOBEX});
  assert.deepEqual(Object.keys(serversOf(after.running)), ['globex']);
  assert.deepEqual(after.stale, []);
});

test('a new customer that is broken is not served, and says so', async () => {
  const after = await reload(await start({globex: GLOBEX}), {acme: BROKEN, globex: GLOBEX});
  assert.deepEqual(Object.keys(serversOf(after.running)), ['globex']);
  assert.deepEqual(staleOf(after), [[customerFile('acme'), 'acme', false]]);
});

test('a broken node file changes nothing at all', async () => {
  const before = await start({acme: ACME});
  const changed = customerText('acme', 1, {server: '10.1.1.99:3000'});
  for (const node of ['listeners: []\n', '{', 'listeners: [', `${NODE_TEXT}customers: nowhere/*.yaml\n`]) {
    const after = await reload(before, {acme: changed}, node);
    assert.equal(after.running, before);
    assert.ok(after.refusal.length > 0);
  }
});

test('a directory of customers that is empty for a moment takes nobody off the air', async () => {
  const before = await start({acme: ACME});
  assert.equal((await reload(before, {})).running, before);
});

test('a host stays with the customer that has it', async () => {
  const before = await start({acme: ACME, zeta: customerText('zeta', 3)});
  const greedy = customerText('aaa', 4, {hosts: ['www.aaa.example', 'www.acme.example']});
  const after = await reload(before, {aaa: greedy, acme: ACME, zeta: customerText('zeta', 3, {hosts: ['www.zeta.example', 'www.acme.example']})});
  assert.deepEqual(staleOf(after), [[customerFile('aaa'), 'aaa', false], [customerFile('zeta'), 'zeta', true]]);
  assert.deepEqual(after.running.snapshot, before.snapshot);
});

test('a host may move from one customer to another in one reload', async () => {
  const before = await start({acme: customerText('acme', 1, {hosts: ['a.example', 'b.example']}), globex: customerText('globex', 2, {hosts: ['c.example']})});
  const after = await reload(before, {acme: customerText('acme', 1, {hosts: ['a.example']}), globex: customerText('globex', 2, {hosts: ['b.example', 'c.example']})});
  assert.deepEqual(after.stale, []);
  assert.deepEqual(after.running.snapshot.customers.map(({sites}) => sites[0]?.hosts), [['a.example'], ['b.example', 'c.example']]);
});

test('a host does not move while the file of its owner is broken', async () => {
  const before = await start({acme: ACME, globex: GLOBEX});
  const after = await reload(before, {acme: BROKEN, globex: customerText('globex', 2, {hosts: ['www.acme.example']})});
  assert.deepEqual(after.running.snapshot, before.snapshot);
  assert.deepEqual(after.stale.map(({isKept}) => isKept), [true, true]);
});

test('falling back can take what a third customer wanted', async () => {
  const before = await start({a: customerText('a', 1, {hosts: ['a.example']}), b: customerText('b', 2, {hosts: ['b.example']}), c: customerText('c', 3, {hosts: ['c.example']})});
  const after = await reload(before, {
    a: 'customer: a\n',
    b: customerText('b', 2, {hosts: ['a.example']}),
    c: customerText('c', 3, {hosts: ['b.example']}),
  });
  assert.deepEqual(after.running.snapshot, before.snapshot);
  assert.equal(after.stale.length, 3);
});

test('of two newcomers that claim the same, none gets it', async () => {
  const before = await start({acme: ACME});
  const after = await reload(before, {acme: ACME, x: customerText('x', 5, {hosts: ['same.example']}), y: customerText('y', 6, {hosts: ['same.example']})});
  assert.deepEqual(after.running.snapshot, before.snapshot);
  assert.deepEqual(staleOf(after), [[customerFile('x'), 'x', false], [customerFile('y'), 'y', false]]);
});

test('a network stays with the customer that has it', async () => {
  const before = await start({acme: ACME});
  for (const network of ['10.1.1.0/24', '10.1.0.0/16', '10.1.1.128/25']) {
    const after = await reload(before, {acme: ACME, evil: customerText('evil', 9, {network, server: '10.1.1.129:80'})});
    assert.deepEqual(Object.keys(serversOf(after.running)), ['acme'], network);
    assert.deepEqual(staleOf(after), [[customerFile('evil'), 'evil', false]]);
  }
});

test('a name stays with the file that has it', async () => {
  const before = await start({acme: ACME});
  const after = await reload(before, {aaa: customerText('acme', 7, {hosts: ['other.example']}), acme: ACME});
  assert.deepEqual(after.running.snapshot, before.snapshot);
});

test('threads and the admin address wait for a restart', async () => {
  const before = await start({acme: ACME});
  const after = await reload(before, {acme: ACME}, `${NODE_TEXT}threads: 7\nadmin: {address: "127.0.0.1:9999"}\nmax_body: 1MiB\n`);
  assert.deepEqual(after.needsRestart, ['threads', 'admin']);
  assert.deepEqual([after.running.snapshot.node.threads, after.running.snapshot.node.admin.port], [2, 9180]);
  assert.equal(after.running.snapshot.customers[0]?.sites[0]?.routes[0]?.maxBodyBytes, 1_048_576);
});

test('a server on the admin address that is still in force is refused', async () => {
  const local = (port: number): string => customerText('acme', 1, {network: '127.0.0.0/8', server: `127.0.0.1:${port}`});
  const before = await start({acme: local(3000)});
  const after = await reload(before, {acme: local(9180)}, `${NODE_TEXT}admin: {address: "127.0.0.1:9999"}\n`);
  assert.deepEqual(after.running.snapshot.customers, before.snapshot.customers);
  assert.match(after.stale[0]?.problems[0]?.found ?? '', /admin listener/);
});

test('a new listener on the server of a customer whose file is broken refuses the reload', async () => {
  const before = await start({acme: customerText('acme', 1, {network: '127.0.0.0/8', server: '127.0.0.1:3000'})});
  const after = await reload(before, {acme: BROKEN}, `${NODE_TEXT}  - {name: more, address: "127.0.0.1:3000", protocol: http}\n`);
  assert.equal(after.running, before);
  assert.match(after.refusal[0]?.found ?? '', /the listener more on 127\.0\.0\.1:3000/);
});

const version = fc.record({
  hosts: fc.uniqueArray(fc.constantFrom('p.example', 'q.example', 'r.example', '*.s.example', 't.example'), {minLength: 1, maxLength: 3}),
  n: fc.constantFrom(1, 2, 3, 4, 5),
  isBroken: fc.boolean(),
});
const generation = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), version, {minKeys: 1});

function conflictsIn({snapshot}: RunningConfig): readonly unknown[] {
  return findConflicts(snapshot.customers.map((customer) => ({file: customer.name, customer, claimed: listClaims(customer)})));
}

/** A start in place of the reload: it comes to the same, and without anything saved to nothing that conflicts. */
async function checkStart(customers: Readonly<Record<string, string>>, before: RunningConfig, reloaded: RunningConfig): Promise<void> {
  assert.deepEqual((await restart(before, customers)).running?.snapshot, reloaded.snapshot);
  const {running} = mergeAtStart(await loadTexts(customers), [], []);
  assert.ok(running);
  assert.deepEqual(conflictsIn(running), []);
}

testAsyncProperty('whatever customers claim, what is in force never conflicts, and what is stale is as it was', fc.asyncProperty(fc.array(generation, {minLength: 1, maxLength: 4}), async (generations) => {
  const base = customerText('base', 200);
  let running = await start({base});
  for (const customers of generations) {
    const texts = Object.entries(customers).map(([name, {hosts, n, isBroken}]) => [name, isBroken ? `customer: ${name}\n` : customerText(name, n, {hosts})]);
    const files = {...Object.fromEntries(texts) as Record<string, string>, base};
    const after = await reload(running, files);
    assert.deepEqual(conflictsIn(after.running), []);
    for (const {customer} of after.stale.filter(({isKept}) => isKept)) {
      const [now, then] = [after.running, running].map(({snapshot}) => snapshot.customers.find(({name}) => name === customer));
      assert.ok(now);
      assert.equal(now, then);
    }
    await checkStart(files, running, after.running);
    running = after.running;
  }
}), 60);
