/**
 * The text of the ruleset. Each folder in `golden/` is a configuration and `expected.nft`, which `UPDATE_GOLDEN=1` writes as it is
 * now: read the difference.
 */
import assert from 'node:assert/strict';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, describe, test} from 'node:test';
import * as fc from 'fast-check';
import {runFirewall} from '#src/cli/firewall.ts';
import {isUser, renderFirewall} from '#src/config/firewall.ts';
import {loadConfig} from '#src/config/load.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {customerText, loadTexts, NODE_TEXT} from '#test/config/customers.ts';
import {createMemorySource} from '#test/config/memory-source.ts';
import {findObstacle, NetworkNamespace, USER_ID} from '#test/firewall/namespaces.ts';
import {createConfigFolder, customerText as fileText} from '#test/control/fixtures/config-folder.ts';

const GOLDEN = path.join(import.meta.dirname, 'golden');
/** So that settings which do not concern the ruleset can change without changing it. */
const REVISION = '0123456789abcdef'.repeat(4);

async function loadCase(name: string): Promise<Snapshot> {
  const folder = path.join(GOLDEN, name);
  const files = readdirSync(folder, {recursive: true, encoding: 'utf8'}).filter((file) => file.endsWith('.yaml') || file.endsWith('.secret'));
  const source = createMemorySource(new Map(files.map((file) => [`/golden/${file}`, readFileSync(path.join(folder, file), 'utf8')])));
  const {snapshot, problems} = await loadConfig('/golden/torwart.yaml', source, {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs: 0});
  assert.deepEqual(problems, []);
  assert.ok(snapshot);
  return {...snapshot, revision: REVISION};
}

async function load(customers: Readonly<Record<string, string>>): Promise<Snapshot> {
  const {snapshot, problems} = await loadTexts(customers, NODE_TEXT);
  assert.deepEqual(problems, []);
  assert.ok(snapshot);
  return snapshot;
}

for (const name of readdirSync(GOLDEN)) {
  test(`golden: ${name}`, async () => {
    const expectedFile = path.join(GOLDEN, name, 'expected.nft');
    const actual = renderFirewall(await loadCase(name), String(USER_ID));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(expectedFile, actual);
    assert.equal(actual, readFileSync(expectedFile, 'utf8'));
  });
}

test('the same configuration is the same ruleset, whatever the order of its files and servers', async () => {
  const one = await load({a: customerText('acme', 1), b: customerText('globex', 2)});
  const other = await load({a: customerText('globex', 2), b: customerText('acme', 1)});
  assert.equal(renderFirewall(one, 'torwart'), renderFirewall(other, 'torwart'));
});

test('a user is a plain name or an id, and never root', () => {
  for (const user of ['torwart', '_torwart', 'www-data', 'a', 'x'.repeat(32), '1', '998', '4294967294']) assert.ok(isUser(user), user);
  const refused = ['', 'root', '0', '00', '01', '-1', '4294967295', '99999999999', '1e3', 'Torwart', 'tor wart', 'a"b', 'a\nb', 'torwart\n', 'x'.repeat(33), '-a', '$user', 'ä'];
  for (const user of refused) assert.ok(!isUser(user), JSON.stringify(user));
});

/** What the command writes. */
async function run(configFile: string, user: string, previousFile: string | null = null): Promise<{code: number; stdout: string; stderr: string}> {
  const output = {stdout: '', stderr: ''};
  const write = (stream: 'stdout' | 'stderr') => ({write: (text: string) => void (output[stream] += text)});
  const code = await runFirewall({configFile, user, previousFile}, write('stdout'), write('stderr'));
  return {code, ...output};
}

test('the command prints a ruleset, or problems and no ruleset at all', async (context) => {
  const config = await createConfigFolder(context);
  await config.writeNode('listeners: [{name: http, address: "127.0.0.1:8080", protocol: http}]\n');
  await config.writeCustomer('acme', fileText('acme', 31));
  const good = await run(config.nodeFile, 'torwart');
  assert.deepEqual([good.code, good.stderr], [0, '']);
  assert.match(good.stdout, /meta skuid "torwart" goto daemon/);
  assert.ok(!good.stdout.includes(config.folder), 'a path could hold anything');

  assert.deepEqual(await run(config.nodeFile, 'root').then(({code, stdout}) => [code, stdout]), [2, '']);

  await config.writeCustomer('globex', fileText('globex', 31));
  const conflict = await run(config.nodeFile, 'torwart');
  assert.deepEqual([conflict.code, conflict.stdout], [1, '']);
  assert.match(conflict.stderr, /overlaps with/);

  await config.removeCustomer('globex');
  await config.writeNode('listeners: [{name: http, address: "127.0.0.1:0", protocol: http}]\n');
  const unbound = await run(config.nodeFile, 'torwart');
  assert.deepEqual([unbound.code, unbound.stdout], [1, '']);
  assert.match(unbound.stderr, /found port 0 \(listeners: http\)/);
});

describe('nft takes it', {skip: findObstacle()}, () => {
  const namespace = new NetworkNamespace({after}, 'check');

  for (const name of readdirSync(GOLDEN)) {
    test(`golden: ${name}`, async () => {
      const ruleset = renderFirewall(await loadCase(name), String(USER_ID));
      assert.deepEqual(namespace.nft(ruleset, ['--check']), {code: 0, stdout: '', stderr: ''});
    });
  }

  test('a user by name', async () => {
    assert.equal(namespace.nft(renderFirewall(await load({a: customerText('acme', 1)}), 'nobody'), ['--check']).stderr, '');
  });

  test('whatever name a customer has: keywords, digits first, the longest, any other', async (context) => {
    const seed = Number(process.env['TORWART_SEED'] ?? Date.now() % 2 ** 31);
    context.diagnostic(`seed ${seed}`);
    const random = fc.sample(fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/), {seed, numRuns: 200});
    const nasty = ['ip', 'ip6', 'icmpv', 'tcp', 'drop', 'accept', 'set', 'table', 'inet', 'add', '1', '0x1', '10', '1-1', 'a--b', '4', '6', 'to', 'output', 'daemon', 'refuse', 'x'.repeat(63)];
    const names = [...new Set([...nasty, ...random])];
    const texts = names.map((name, index) => [`c${index}`, customerText(`"${name}"`, index % 256, {
      network: `10.${Math.floor(index / 256) + 1}.${index % 256}.0/24`, server: `10.${Math.floor(index / 256) + 1}.${index % 256}.11:80`, hosts: [`h${index}.example`],
    })]);
    const ruleset = renderFirewall(await load(Object.fromEntries(texts) as Record<string, string>), String(USER_ID));
    assert.deepEqual(namespace.nft(ruleset, ['--check']), {code: 0, stdout: '', stderr: ''});
  });

  test('loading it again replaces it, and leaves other tables alone', async () => {
    assert.equal(namespace.nft('add table inet other').code, 0);
    for (const customers of [{a: customerText('acme', 1)}, {a: customerText('acme', 1), b: customerText('globex', 2)}, {b: customerText('globex', 2)}]) {
      const ruleset = renderFirewall(await load(customers), String(USER_ID));
      assert.deepEqual([namespace.nft(ruleset).stderr, namespace.nft(ruleset).stderr], ['', '']);
    }
    const {stdout} = namespace.run(['nft', 'list', 'ruleset']);
    assert.match(stdout, /table inet other/);
    assert.match(stdout, /to_globex_4/);
    assert.doesNotMatch(stdout, /acme/);
  });
});
