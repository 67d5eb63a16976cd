/** What was saved of customers, at a start with broken files. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {loadConfig} from '#src/config/load.ts';
import {restoreCustomers, type RestoredCustomers, type SavedCustomer} from '#src/config/restore.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {customerFile, customerText, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {createMemorySource} from '#test/config/memory-source.ts';

const ACME = customerText('acme', 1);
const BROKEN = 'customer: acme\nnetworks: [203.0.113.0/24]\n';

function saved(name: string, text: string): SavedCustomer {
  return {name, file: customerFile(name), text};
}

async function restore(versions: readonly SavedCustomer[], customers: Readonly<Record<string, string>>, others: Readonly<Record<string, string>> = {}): Promise<RestoredCustomers> {
  const files = Object.entries(customers).map(([name, text]) => [customerFile(name), text] as const);
  const source = createMemorySource(new Map([[NODE_FILE, others['node'] ?? NODE_TEXT], ...files, ...Object.entries(others)]));
  return restoreCustomers(versions, await loadConfig(NODE_FILE, source, {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs: 0}), source, 0);
}

function namesOf({customers}: RestoredCustomers): readonly string[] {
  return customers.map(({name}) => name);
}

test('a saved version is used where the file is broken, gone or full of rubbish', async () => {
  for (const text of [BROKEN, '', '{[', '\0']) {
    const {customers, files, refused} = await restore([saved('acme', ACME)], {acme: text});
    assert.deepEqual([customers.map(({pools}) => pools[0]?.servers[0]?.address), files.map(({file, customer}) => [file, customer?.name]), refused], [['10.1.1.11'], [[customerFile('acme'), 'acme']], []]);
  }
});

test('saved versions are held to every rule, one by one', async () => {
  const versions = [
    saved('public', customerText('public', 2, {network: '203.0.113.0/24', server: '203.0.113.1:80'})),
    saved('outside', customerText('outside', 3, {server: '10.1.99.1:80'})),
    saved('rubbish', '{['),
    saved('proxy', customerText('proxy', 4, {network: '127.0.0.0/8', server: '127.0.0.1:8080'})),
    saved('acme', ACME),
  ];
  const restored = await restore(versions, {acme: BROKEN});
  assert.deepEqual(namesOf(restored), ['acme']);
  assert.deepEqual(restored.refused.map(({customer}) => customer), ['public', 'outside', 'rubbish', 'proxy']);
  assert.ok(restored.refused.every(({reasons}) => reasons.length > 0));
});

test('a saved version of another customer is refused', async () => {
  const restored = await restore([saved('acme', customerText('globex', 2))], {acme: BROKEN});
  assert.deepEqual([namesOf(restored), restored.refused], [[], [{customer: 'acme', reasons: ['it is the file of globex']}]]);
});

test('of saved versions that claim the same, none is used', async () => {
  const versions = [saved('acme', ACME), saved('evil', customerText('evil', 9, {hosts: ['www.acme.example']})), saved('globex', customerText('globex', 2))];
  const restored = await restore(versions, {acme: BROKEN});
  assert.deepEqual(namesOf(restored), ['globex']);
  assert.deepEqual(restored.refused.map(({customer}) => customer), ['acme', 'evil']);
});

test('certificates are read from where they are: without them the saved version is of no use', async () => {
  const {cert, key} = await makeCertificate(['www.acme.example']);
  const text = `${ACME}certificates: [{cert: ../acme.pem, key: ../acme.key}]\n`;
  const pair = {'/etc/acme.pem': cert, '/etc/acme.key': key};
  assert.deepEqual(namesOf(await restore([saved('acme', text)], {acme: BROKEN}, pair)), ['acme']);
  const without = await restore([saved('acme', text)], {acme: BROKEN});
  assert.deepEqual(namesOf(without), []);
  assert.match(without.refused[0]?.reasons[0] ?? '', /acme\.yaml:\d+:\d+: certificates/);
  const same = await restore([saved('acme', text)], {acme: text});
  assert.match(same.refused[0]?.reasons[0] ?? '', /the same as the file/);
});
