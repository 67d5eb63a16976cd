import assert from 'node:assert/strict';
import {readdir, readFile} from 'node:fs/promises';
import {availableParallelism} from 'node:os';
import {test} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';

const CASES: readonly (readonly [args: readonly string[], exitCode: number, stdout: RegExp, stderr: RegExp])[] = [
  [['--version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [['--help'], 0, /Commands:[^]*run[^]*check[^]*demo/, /^$/],
  [['run', '--help'], 0, /--config/, /^$/],
  [[], 2, /^$/, /Usage/],
  [['bogus'], 2, /^$/, /unknown command/],
  [['run'], 2, /^$/, /--config/],
  [['check'], 2, /^$/, /--config/],
  [['run', '--config', 'x', '--bogus'], 2, /^$/, /unknown option/],
  [['run', '--config'], 2, /^$/, /argument missing/],
  [['demo', 'extra'], 2, /^$/, /too many arguments/],
  [['check', '--config', '/nonexistent.yaml'], 1, /^$/, /does not exist/],
  [['run', '--config', '/nonexistent.yaml'], 1, /^$/, /does not exist[^]*cannot start/],
];

for (const [args, exitCode, stdout, stderr] of CASES) {
  test(`torwart ${args.join(' ')}: exit code ${exitCode}`, async context => {
    const {exited, output} = spawnTorwart(context, args);
    assert.equal(await exited, exitCode);
    assert.match(output.stdout, stdout);
    assert.match(output.stderr, stderr);
  });
}

test('torwart --version is the package\'s', async context => {
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {version: string};
  const {exited, output} = spawnTorwart(context, ['--version']);
  await exited;
  assert.equal(output.stdout, `${manifest.version}\n`);
});

test('V8 has no more helper threads than there are CPUs beside one', async context => {
  const config = await createConfigFolder(context);
  await config.writeCustomer('acme', customerText('acme', 24));
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  await torwart.waitForLine('"serving"');
  const tasks = `/proc/${torwart.child.pid ?? assert.fail()}/task`;
  const names = await Promise.all((await readdir(tasks)).map(task => readFile(`${tasks}/${task}/comm`, 'utf8')));
  const helpers = names.filter(name => name.startsWith('node-V8Worker')).length;
  assert.ok(helpers >= 1 && helpers <= Math.max(1, availableParallelism() - 1), names.join(''));
});

for (const file of ['torwart', 'deploy/systemd/torwart.service', 'Dockerfile']) {
  test(`${file} gives V8 helper threads by the machine's CPUs`, async () => {
    assert.match(await readFile(new URL(`../../${file}`, import.meta.url), 'utf8'), /--v8-pool-size=0/);
  });
}

test('torwart check: a summary, or every problem', async context => {
  const config = await createConfigFolder(context);
  await config.writeCustomer('acme', customerText('acme', 24));
  const good = spawnTorwart(context, ['check', '--config', config.nodeFile]);
  assert.equal(await good.exited, 0);
  assert.match(good.output.stdout, /^ok: 1 customer, /);
  await config.writeNode(`${NODE_TEXT}bogus: 1\nextra: 2\n`);
  const bad = spawnTorwart(context, ['check', '--config', config.nodeFile]);
  assert.equal(await bad.exited, 1);
  assert.match(bad.output.stderr, /bogus[^]*extra/);
});
