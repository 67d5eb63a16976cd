/** The last good versions of customers in the state folder. */
import assert from 'node:assert/strict';
import {chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {mergeAtStart, type MergeResult} from '#src/config/merge.ts';
import {LastGoodKeeper} from '#src/control/last-good-keeper.ts';
import {customerFile, customerText, loadTexts} from '#test/config/customers.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';
import {eventually} from '#test/support/eventually.ts';

const ACME = `# What acme has: üñí\n${customerText('acme', 1)}`;
const GLOBEX = customerText('globex', 2);

interface Stage {
  readonly folder: string;
  readonly lines: LogLine[];
  readonly keeper: LastGoodKeeper;
}

async function createFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torwart-test-'));
  context.after(() => rm(folder, {recursive: true, force: true}));
  return path.join(folder, 'state');
}

function open(context: TestContext, folder: string): Stage {
  const {log, lines} = createLogLines();
  const keeper = new LastGoodKeeper(folder, log);
  context.after(() => keeper.stop());
  return {folder, lines, keeper};
}

async function inForce(customers: Readonly<Record<string, string>>): Promise<MergeResult> {
  return mergeAtStart(await loadTexts(customers), [], []);
}

/** A folder in which these are saved. */
async function save(context: TestContext, customers: Readonly<Record<string, string>>): Promise<Stage> {
  const stage = open(context, await createFolder(context));
  assert.deepEqual(stage.keeper.load(), []);
  stage.keeper.keep(await inForce(customers));
  await settled(stage);
  return stage;
}

async function settled({keeper}: Stage): Promise<void> {
  await eventually('everything is saved', () => keeper.isSaved);
}

function textsOf(context: TestContext, folder: string): Record<string, string> {
  return Object.fromEntries(open(context, folder).keeper.load().map(({name, text}) => [name, text]));
}

test('what is in force is there again after a restart, as it was, for nobody else to read', async context => {
  const {folder} = await save(context, {acme: ACME, globex: GLOBEX});
  const versions = open(context, folder).keeper.load();
  assert.deepEqual(versions, [{name: 'acme', file: customerFile('acme'), text: ACME}, {name: 'globex', file: customerFile('globex'), text: GLOBEX}]);
  const modes = await Promise.all([folder, path.join(folder, 'customers'), path.join(folder, 'customers', 'acme.yaml')].map(async file => (await stat(file)).mode & 0o777));
  assert.deepEqual(modes, [0o700, 0o700, 0o600]);
  assert.deepEqual(await readdir(path.join(folder, 'customers')), ['acme.yaml', 'globex.yaml']);
});

test('it follows reloads: what changed, what is gone, and what is broken and stays', async context => {
  const stage = await save(context, {acme: ACME, globex: GLOBEX, initech: customerText('initech', 3)});
  const before = await stat(path.join(stage.folder, 'customers', 'globex.yaml'));
  const changed = `${ACME}# changed\n`;
  stage.keeper.keep(await inForce({acme: changed, globex: GLOBEX, other: '{'}));
  await settled(stage);
  assert.deepEqual(textsOf(context, stage.folder), {acme: changed, globex: GLOBEX});
  assert.equal((await stat(path.join(stage.folder, 'customers', 'globex.yaml'))).ino, before.ino, 'what did not change is not written');
  stage.keeper.keep(await inForce({acme: 'customer: acme\nbogus: 1\n', globex: GLOBEX}));
  await settled(stage);
  assert.deepEqual(textsOf(context, stage.folder), {acme: changed, globex: GLOBEX}, 'not served, but its file is still there');
  stage.keeper.keep(await inForce({globex: GLOBEX}));
  await settled(stage);
  assert.deepEqual(textsOf(context, stage.folder), {globex: GLOBEX});
});

const ATTACKS: Readonly<Record<string, (file: string) => Promise<unknown>>> = {
  'an empty file': file => truncate(file),
  'a file that was cut': async file => truncate(file, (await stat(file)).size - 1),
  'a changed text': async file => writeFile(file, (await readFile(file, 'utf8')).replace('10.1.1.11', '10.1.1.12')),
  'another path': async file => writeFile(file, (await readFile(file, 'utf8')).replace('/etc/', '/tmp/')),
  'a text without a header': file => writeFile(file, ACME),
  'a header that is no JSON': async file => writeFile(file, (await readFile(file, 'utf8')).replace('"/etc', '"\\/\\etc')),
  'bytes that are no text': file => writeFile(file, Buffer.from([0xff, 0xfe, 0x00])),
  'a large file': file => truncate(file, 16 * 1024 * 1024),
  'a file that others may write to': file => chmod(file, 0o620),
  'a symbolic link': async file => {
    await rename(file, `${file}.target`);
    await symlink(`${file}.target`, file);
  },
  'a folder': async file => {
    await rm(file);
    await mkdir(file);
  },
};

for (const [about, attack] of Object.entries(ATTACKS)) {
  test(`${about} is refused, said, and keeps no other customer from its own`, async context => {
    const {folder} = await save(context, {acme: ACME, globex: GLOBEX});
    const file = path.join(folder, 'customers', 'acme.yaml');
    await attack(file);
    const {keeper, lines} = open(context, folder);
    assert.deepEqual(keeper.load().map(({name}) => name), ['globex']);
    assert.deepEqual(lines.map(({level, msg, file: named}) => [level, msg, named]), [['error', 'a saved version of a customer is refused', file]]);
  });
}

test('a folder that others may write to is not believed, and not written to', async context => {
  const {folder} = await save(context, {acme: ACME});
  await chmod(path.join(folder, 'customers'), 0o777);
  const {keeper, lines} = open(context, folder);
  assert.deepEqual(keeper.load(), []);
  keeper.keep(await inForce({acme: ACME}));
  await eventually('it says so', () => lines.some(({msg}) => msg.startsWith('the versions of customers in force cannot be saved')));
  assert.equal(keeper.isSaved, false);
});

test('files that are none of ours are left alone', async context => {
  const {folder} = await save(context, {acme: ACME});
  for (const base of ['README', 'acme.yaml.next', '../acme.yaml', 'ACME.yaml']) await writeFile(path.join(folder, 'customers', base), 'customer: evil\n');
  assert.deepEqual(Object.keys(textsOf(context, folder)), ['acme']);
});

test('a state folder that cannot be used is said once, and keeps nobody from being served', async context => {
  const folder = await createFolder(context);
  await writeFile(folder, 'no folder');
  const {keeper, lines} = open(context, folder);
  assert.deepEqual(keeper.load(), []);
  keeper.keep(await inForce({acme: ACME}));
  await eventually('it says so', () => lines.some(({level, msg}) => level === 'error' && msg.startsWith('the versions of customers in force cannot be saved')));
  keeper.keep(await inForce({acme: ACME}));
  assert.equal(keeper.isSaved, false);
  await keeper.stop();
  assert.equal(lines.filter(({msg}) => msg.startsWith('the versions')).length, 1);
});

test('without a state folder nothing is saved', async () => {
  const {log} = createLogLines();
  const keeper = new LastGoodKeeper(null, log);
  assert.deepEqual(keeper.load(), []);
  keeper.keep(await inForce({acme: ACME}));
  assert.equal(keeper.isSaved, false);
  await keeper.stop();
});
