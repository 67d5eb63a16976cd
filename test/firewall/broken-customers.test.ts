/** A ruleset while files of customers are broken: the others get what is new, and the broken ones keep exactly what they have. */
import assert from 'node:assert/strict';
import {readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {runFirewall} from '#src/cli/firewall.ts';
import {loadConfig} from '#src/config/load.ts';
import {mergeAtStart} from '#src/config/merge.ts';
import {fileSource} from '#src/control/file-source.ts';
import {LastGoodKeeper} from '#src/control/last-good-keeper.ts';
import {createConfigFolder, customerText, type ConfigFolder} from '#test/control/fixtures/config-folder.ts';
import {createLogLines} from '#test/control/fixtures/log-lines.ts';
import {eventually} from '#test/support/eventually.ts';

const LISTENERS = 'listeners: [{name: http, address: "127.0.0.1:8080", protocol: http}]\n';
const SET = /set to_acme_4 \{[^}]*127\.31\.0\.1 \. 3000,/;

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

class Stage {
  readonly config: ConfigFolder;
  readonly previousFile: string;
  readonly #context: TestContext;

  constructor(context: TestContext, config: ConfigFolder) {
    this.config = config;
    this.previousFile = path.join(config.folder, 'loaded.nft');
    this.#context = context;
  }

  async run(previousFile: string | null = this.previousFile): Promise<Result> {
    const output = {stdout: '', stderr: ''};
    const write = (stream: 'stdout' | 'stderr') => ({write: (text: string) => void (output[stream] += text)});
    const code = await runFirewall({configFile: this.config.nodeFile, user: 'torwart', previousFile}, write('stdout'), write('stderr'));
    return {code, ...output};
  }

  /** The files are in force, as a daemon would leave it, and the ruleset is loaded. */
  async load(): Promise<void> {
    const {code, stdout} = await this.run(null);
    assert.equal(code, 0);
    await writeFile(this.previousFile, stdout);
    await this.save();
  }

  async save(): Promise<void> {
    const keeper = new LastGoodKeeper(path.join(this.config.folder, 'state'), createLogLines().log);
    this.#context.after(() => keeper.stop());
    keeper.load();
    keeper.keep(mergeAtStart(await loadConfig(this.config.nodeFile, fileSource, {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs: Date.now()}), [], []));
    await eventually('it is saved', () => keeper.isSaved);
  }
}

async function startStage(context: TestContext, node = `${LISTENERS}state: {path: state}\n`): Promise<Stage> {
  const config = await createConfigFolder(context);
  await config.writeNode(node);
  await config.writeCustomer('acme', customerText('acme', 31));
  await config.writeCustomer('globex', customerText('globex', 32));
  return new Stage(context, config);
}

for (const [what, text] of [['whose name can be read', `${customerText('acme', 31)}unknown: 1\n`], ['that is no YAML at all', ': {']] as const) {
  test(`a broken file ${what} keeps its customer's rules, and the others get theirs`, async (context) => {
    const stage = await startStage(context);
    await stage.load();
    await stage.config.writeCustomer('acme', text);
    await stage.config.writeCustomer('globex', customerText('globex', 32, 4000));
    const {code, stdout, stderr} = await stage.run();
    assert.equal(code, 0, stderr);
    assert.match(stdout, SET);
    assert.match(stdout, /127\.31\.0\.0\/16 : jump to_acme,/);
    assert.match(stdout, /127\.32\.0\.1 \. 4000,/);
    assert.match(stderr, /^error: [^\n]*acme\.yaml/);
    assert.match(stderr, /\nkept: acme\n$/);
  });
}

test('a new customer that is broken from the beginning is left out', async (context) => {
  const stage = await startStage(context);
  await stage.load();
  await stage.config.writeCustomer('initech', 'customer: initech\n');
  const {code, stdout, stderr} = await stage.run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, SET);
  assert.match(stderr, /\nleft out: initech\n$/);
  assert.doesNotMatch(stdout, /initech/);
});

test('a newcomer does not get the network of a customer who is broken', async (context) => {
  const stage = await startStage(context);
  await stage.load();
  await stage.config.writeCustomer('acme', ': {');
  await stage.config.writeCustomer('initech', customerText('initech', 31));
  const {code, stdout, stderr} = await stage.run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, SET);
  assert.doesNotMatch(stdout, /initech/);
});

/** Where it is not certain what a customer has, nothing is printed: what is loaded stays. */
const REFUSED: readonly (readonly [what: string, reason: RegExp, change: (stage: Stage) => Promise<string | null>])[] = [
  ['no ruleset of before is given', /--previous/, () => Promise.resolve(null)],
  ['nothing has been loaded yet', /does not permit/, async ({previousFile}) => {
    await rm(previousFile);
    return previousFile;
  }],
  ['whoever has taken the daemon over has written a version of his own', /does not permit/, async (stage) => {
    await stage.config.writeCustomer('acme', customerText('acme', 31, 22));
    await stage.save();
    return stage.previousFile;
  }],
  ['the saved version is one for another network', /does not permit/, async (stage) => {
    await stage.config.writeCustomer('acme', customerText('acme', 99));
    await stage.save();
    return stage.previousFile;
  }],
  ['the saved version has been changed by mistake', /cannot be used/, async ({config, previousFile}) => {
    const file = path.join(config.folder, 'state/customers/acme.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('3000', '3001'));
    return previousFile;
  }],
  ['the node file is broken', /the node file is broken/, async ({config, previousFile}) => {
    await config.writeNode(`${LISTENERS}state: {path: state}\nunknown: 1\n`);
    return previousFile;
  }],
  ['there is no state folder', /state\.path/, async ({config, previousFile}) => {
    await config.writeNode(LISTENERS);
    return previousFile;
  }],
];

for (const [what, reason, change] of REFUSED) {
  test(`no ruleset: ${what}`, async (context) => {
    const stage = await startStage(context);
    await stage.load();
    const previousFile = await change(stage);
    await stage.config.writeCustomer('acme', ': {');
    const {code, stdout, stderr} = await stage.run(previousFile);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, reason);
  });
}

test('broken from the first start on, with everybody else: nothing would be served', async (context) => {
  const stage = await startStage(context);
  for (const name of ['acme', 'globex']) await stage.config.writeCustomer(name, ': {');
  const {code, stdout, stderr} = await stage.run();
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /nothing would be served/);
});
