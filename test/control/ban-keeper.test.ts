/** Bans on disk, and what of them is logged and counted. */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {LIMITS} from '#src/core/limits.ts';
import type {Ban} from '#src/control/ban-book.ts';
import {BanFile} from '#src/control/ban-file.ts';
import {BanKeeper} from '#src/control/ban-keeper.ts';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeNode, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

const SNAPSHOT = makeSnapshot('1', [makeCustomer('acme')]);
const NOW_MS = 1_700_000_000_000;

async function createFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torwart-bans-'));
  context.after(() => rm(folder, {recursive: true, force: true}));
  return path.join(folder, 'state');
}

interface Stage {
  readonly keeper: BanKeeper;
  readonly lines: LogLine[];
  readonly ban: (network: string, forMs?: number) => void;
  readonly networks: () => string[];
}

async function startKeeper(context: TestContext, stateFolder: string | null, nowMs = NOW_MS): Promise<Stage> {
  const {log, lines} = createLogLines();
  const keeper = new BanKeeper({memory: createSharedMemory(1, 10), stateFolder, log, now: () => nowMs});
  await keeper.start(SNAPSHOT);
  context.after(() => keeper.stop());
  return {
    keeper, lines,
    ban: (network, forMs = 60_000) => void keeper.book.ban({customer: null, network, reason: 'a test', forMs, source: 'admin_socket'}),
    networks: () => keeper.book.list().map(({network}) => network),
  };
}

function logged(lines: readonly LogLine[], text: string): readonly LogLine[] {
  return lines.filter(({msg}) => msg.includes(text));
}

test('bans outlive the process, until they end; folder and file are for their owner only', async (context) => {
  const folder = await createFolder(context);
  const first = await startKeeper(context, folder);
  first.ban('192.0.2.1', 5_000);
  first.ban('192.0.2.2');
  assert.equal(await first.keeper.save(), true);
  assert.deepEqual([((await stat(folder)).mode & 0o777), ((await stat(path.join(folder, 'bans.json'))).mode & 0o777)], [0o700, 0o600]);
  const second = await startKeeper(context, folder);
  assert.deepEqual(second.networks(), ['192.0.2.1/32', '192.0.2.2/32']);
  const later = await startKeeper(context, folder, NOW_MS + 5_000);
  assert.deepEqual(later.networks(), ['192.0.2.2/32']);
  assert.deepEqual(later.keeper.report(), {node: 1, customer: 0, evicted: 0, isSaved: true});
});

test('a change is saved without being asked for, and one save serves all changes that wait for it', async (context) => {
  const folder = await createFolder(context);
  const {keeper, ban} = await startKeeper(context, folder);
  for (let i = 0; i < 50; i++) ban(`192.0.2.${i}`);
  assert.equal(keeper.save(), keeper.save());
  await keeper.stop();
  const {bans} = await new BanFile(folder).load();
  assert.equal(bans.length, 50);
  assert.deepEqual(await readdir(folder), ['bans.json'], 'nothing is left lying about');
});

test('without a state folder bans end with the process, and that is said', async (context) => {
  const {keeper, lines, ban} = await startKeeper(context, null);
  ban('192.0.2.1');
  assert.equal(await keeper.save(), false);
  assert.equal(keeper.report().isSaved, false);
  assert.equal(logged(lines, 'state.path is not set').length, 1);
});

const GOOD: Ban = {customer: null, network: '192.0.2.1/32', reason: 'a test', source: 'admin_socket', sinceMs: NOW_MS, untilMs: NOW_MS + 60_000};

const BROKEN: Readonly<Record<string, string>> = {
  'no JSON': '{"format":1,"bans":[',
  'empty': '',
  'another format': JSON.stringify({format: 2, bans: []}),
  'an unknown key': JSON.stringify({format: 1, bans: [{...GOOD, extra: 1}]}),
  'no network': JSON.stringify({format: 1, bans: [{...GOOD, network: '192.0.2.1/33'}]}),
  'a network that is not canonical': JSON.stringify({format: 1, bans: [{...GOOD, network: '192.0.2.1'}]}),
  'a reason of two lines': JSON.stringify({format: 1, bans: [{...GOOD, reason: 'a\nb'}]}),
  'a time that is none': JSON.stringify({format: 1, bans: [{...GOOD, untilMs: 1e300}]}),
  'too many': JSON.stringify({format: 1, bans: Array.from({length: LIMITS.bansMax + 1}, () => null)}),
};

for (const [what, text] of Object.entries(BROKEN)) {
  test(`a broken file is set aside, and keeps nobody from starting: ${what}`, async (context) => {
    const folder = await createFolder(context);
    await mkdir(folder);
    await writeFile(path.join(folder, 'bans.json'), text);
    const {keeper, lines, networks} = await startKeeper(context, folder);
    assert.deepEqual(networks(), []);
    const [line] = logged(lines, 'the saved bans cannot be read');
    assert.equal(line?.level, 'error');
    assert.match(String(line['error']), /set aside as .*bans\.json\.broken$/);
    assert.equal(await readFile(path.join(folder, 'bans.json.broken'), 'utf8'), text);
    assert.equal(keeper.report().isSaved, true, 'a new list takes its place');
  });
}

test('the file that is written is the file that is read', async (context) => {
  const folder = await createFolder(context);
  const file = new BanFile(folder);
  assert.deepEqual(await file.load(), {bans: [], broken: null});
  const bans: Ban[] = [GOOD, {...GOOD, customer: 'acme', network: '2001:db8::/32', reason: 'Überlast: "\\" 🐢'}];
  await file.save(bans);
  assert.deepEqual(await file.load(), {bans, broken: null});
});

test('it can be saved under Node\'s permission model, which forbids fsync', async (context) => {
  const folder = await createFolder(context);
  // A folder that is missing at the start would be allowed as a file only.
  await mkdir(folder);
  const url = new URL('../../src/control/ban-file.ts', import.meta.url).href;
  const script = `import {BanFile} from ${JSON.stringify(url)}; const file = new BanFile(${JSON.stringify(folder)}); await file.load(); await file.save([${JSON.stringify(GOOD)}]);`;
  await promisify(execFile)(process.execPath, ['--permission', '--allow-fs-read=*', `--allow-fs-write=${folder}`, '--input-type=module', '--eval', script]);
  assert.deepEqual(await new BanFile(folder).load(), {bans: [GOOD], broken: null});
});

test('a crash while saving leaves the list of before', async (context) => {
  const folder = await createFolder(context);
  const file = new BanFile(folder);
  await file.load();
  await file.save([GOOD]);
  await writeFile(path.join(folder, 'bans.json.next'), '{"format":1,"ba');
  assert.deepEqual(await file.load(), {bans: [GOOD], broken: null});
  await file.save([]);
  assert.deepEqual(await file.load(), {bans: [], broken: null});
});

test('a folder that cannot be used is logged once, and bans hold all the same', async (context) => {
  const folder = await createFolder(context);
  await writeFile(folder, 'a file where the folder should be');
  const {keeper, lines, ban, networks} = await startKeeper(context, folder);
  ban('192.0.2.1');
  ban('192.0.2.2');
  assert.equal(await keeper.save(), false);
  assert.deepEqual(networks(), ['192.0.2.1/32', '192.0.2.2/32']);
  assert.deepEqual([logged(lines, 'the state folder cannot be used').length, logged(lines, 'bans cannot be saved').length], [1, 1]);
  await rm(folder);
  await mkdir(folder);
  assert.equal(await keeper.save(), true);
  assert.equal(logged(lines, 'bans are saved again').length, 1);
});

test('every change is an audit line; what a thread asks for in vain is logged', async (context) => {
  const {keeper, lines, ban} = await startKeeper(context, null);
  ban('192.0.2.1');
  keeper.book.unban(null, '192.0.2.1', 'admin_socket');
  keeper.obey({customer: 'acme', network: '192.0.2.2', reason: 'failed logins', forMs: 60_000}, 'login_guard');
  keeper.configure({...SNAPSHOT, node: makeNode({bans: {allow: ['192.0.2.2/32']}})});
  const audit = lines.filter((line) => line['audit'] === 'ban');
  assert.deepEqual(audit.map(({change, customer, network, source, via}) => [change, customer, network, source, via]), [
    ['banned', null, '192.0.2.1/32', 'admin_socket', 'admin_socket'], ['unbanned', null, '192.0.2.1/32', 'admin_socket', 'admin_socket'],
    ['banned', 'acme', '192.0.2.2/32', 'login_guard', 'login_guard'], ['withdrawn', 'acme', '192.0.2.2/32', 'login_guard', 'configuration'],
  ]);
  assert.equal(audit[0]?.['until'], '2023-11-14T22:14:20.000Z');
  keeper.obey({customer: null, network: '127.0.0.1', reason: 'failed logins', forMs: 60_000}, 'login_guard');
  assert.match(String(logged(lines, 'a ban was refused')[0]?.['error']), /this machine itself/);
});
