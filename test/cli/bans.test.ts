/** `torwart ban`, `unban` and `bans` against a real daemon. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {spawnTorwart, type TorwartProcess} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, NODE_TEXT, type ConfigFolder} from '#test/control/fixtures/config-folder.ts';

const CUSTOMER_TEXT = `
customer: acme
networks: [127.41.0.0/16]
pools: {}
sites: [{hosts: [acme.test], routes: [{path: /, respond: {status: 200, body: served}}]}]
`;
const BANS_TEXT = `${NODE_TEXT}state: {path: state}\nadmin_socket: admin.sock\n`;

interface Stage {
  readonly config: ConfigFolder;
  readonly start: () => Promise<{readonly torwart: TorwartProcess; readonly http: string; readonly admin: string}>;
  /** Runs a command to its end. */
  readonly run: (...args: string[]) => Promise<{readonly exitCode: number | string; readonly stdout: string; readonly stderr: string}>;
}

async function createStage(context: TestContext, nodeText = BANS_TEXT): Promise<Stage> {
  const config = await createConfigFolder(context);
  await config.writeNode(nodeText);
  await config.writeCustomer('acme', CUSTOMER_TEXT);
  return {
    config,
    start: async () => {
      const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
      const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
      return {torwart, http: listeners['http'] ?? '', admin};
    },
    run: async (...args) => {
      const {exited, output} = spawnTorwart(context, [...args, '--config', config.nodeFile]);
      return {exitCode: await exited, ...output};
    },
  };
}

/** Status of the answer, or the code of the error. */
async function get(address: string, localAddress: string): Promise<number | string> {
  const request = http.get(`http://${address}/`, {headers: {host: 'acme.test'}, agent: false, localAddress});
  try {
    const [response] = await once(request, 'response') as [http.IncomingMessage];
    response.resume();
    return response.statusCode ?? 0;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

test('bans are in force at once, survive kill -9, and end with unban', async (context) => {
  const {start, run} = await createStage(context);
  const first = await start();
  const node = await run('ban', '127.9.0.0/16', '--for', '10m', '--reason', 'floods the shop');
  assert.match(node.stdout, /^banned 127\.9\.0\.0\/16 from the node until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by admin_socket: floods the shop\n$/);
  assert.deepEqual([node.exitCode, node.stderr], [0, '']);
  assert.match((await run('ban', '127.8.0.1', '--customer', 'acme')).stdout, /^banned 127\.8\.0\.1\/32 from acme until /);
  assert.deepEqual(await Promise.all(['127.9.0.1', '127.8.0.1', '127.7.0.1'].map((address) => get(first.http, address))), ['ECONNRESET', 403, 200]);
  const audit = await first.torwart.waitForLine('"change":"banned"');
  assert.deepEqual([audit['network'], audit['customer'], audit['reason'], audit['via']], ['127.9.0.0/16', null, 'floods the shop', 'admin_socket']);
  first.torwart.child.kill('SIGKILL');
  await first.torwart.exited;

  const second = await start();
  assert.deepEqual(await Promise.all(['127.9.0.1', '127.8.0.1', '127.7.0.1'].map((address) => get(second.http, address))), ['ECONNRESET', 403, 200]);
  const listed = JSON.parse((await run('bans', '--json')).stdout) as Record<string, unknown>[];
  assert.deepEqual(listed.map(({scope, customer, network, reason}) => [scope, customer, network, reason]), [
    ['node', null, '127.9.0.0/16', 'floods the shop'], ['customer', 'acme', '127.8.0.1/32', 'no reason given'],
  ]);
  const metrics = await (await fetch(`http://${second.admin}/metrics`)).text();
  assert.match(metrics, /^torwart_bans\{scope="node"\} 1\ntorwart_bans\{scope="customer"\} 1$/m);
  assert.match(metrics, /^torwart_faults_total\{code="client_banned"\} 1$/m);
  assert.equal((await run('unban', '127.9.0.0/16')).stdout, 'no longer banned: 127.9.0.0/16 from the node\n');
  assert.equal(await get(second.http, '127.9.0.1'), 200);
  assert.match((await run('bans')).stdout, /^127\.8\.0\.1\/32 from acme until [^\n]*\n$/);
});

test('a reload keeps bans, and withdraws those that it allows', async (context) => {
  const {config, start, run} = await createStage(context);
  const {torwart, http: address} = await start();
  await run('ban', '127.9.0.1');
  await run('ban', '127.9.0.2');
  await config.writeNode(`${BANS_TEXT}bans: {allow: [127.9.0.2]}\n`);
  torwart.child.kill('SIGHUP');
  await torwart.waitForLine('"reload done"');
  assert.deepEqual([await get(address, '127.9.0.1'), await get(address, '127.9.0.2')], ['ECONNRESET', 200]);
  assert.equal((await torwart.waitForLine('"change":"withdrawn"'))['network'], '127.9.0.2/32');
  const refused = await run('ban', '127.9.0.0/24');
  assert.deepEqual([refused.exitCode, refused.stdout, refused.stderr], [1, '', 'error: 127.9.0.0/24 cannot be banned: it overlaps 127.9.0.2/32, which is in bans.allow\n']);
});

test('a ban works while the node file is broken, and warns where it will not survive', async (context) => {
  const {config, start, run} = await createStage(context, `${NODE_TEXT}admin_socket: admin.sock\n`);
  const {http: address} = await start();
  await config.writeNode('bogus: 1\nadmin_socket: admin.sock\n');
  const {exitCode, stderr} = await run('ban', '127.9.0.1');
  assert.equal(exitCode, 0);
  assert.match(stderr, /^warning: the ban ends with the daemon/);
  assert.equal(await get(address, '127.9.0.1'), 'ECONNRESET');
});

test('what keeps a command from being answered is said', async (context) => {
  const {config, run} = await createStage(context);
  const fails = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const {exitCode, stdout, stderr} = await run(...args);
    assert.deepEqual([exitCode, stdout], [1, '']);
    assert.match(stderr, pattern);
  };
  await fails(/admin\.sock: no daemon has made it/, 'bans');
  await writeFile(path.join(config.folder, 'admin.sock'), '');
  await fails(/admin\.sock: no daemon listens there/, 'bans');
  await config.writeNode(NODE_TEXT);
  await fails(/has no valid admin_socket/, 'unban', '192.0.2.1');
});

for (const args of [['ban'], ['ban', '192.0.2.1', '--for', '1x'], ['ban', '192.0.2.1', '192.0.2.2'], ['unban'], ['bans', 'extra'], ['ban', '192.0.2.1', '--forever']]) {
  test(`torwart ${args.join(' ')}: wrong usage`, async (context) => {
    const {exited, output} = spawnTorwart(context, [...args, '--config', 'x']);
    assert.equal(await exited, 2);
    assert.match(output.stderr, /^error: /);
  });
}

test('a file of bans that is broken is set aside, and the daemon serves', async (context) => {
  const {config, start} = await createStage(context);
  const first = await start();
  first.torwart.child.kill('SIGTERM');
  assert.equal(await first.torwart.exited, 0);
  const file = path.join(config.folder, 'state/bans.json');
  await writeFile(file, 'rubbish');
  const {torwart, http: address} = await start();
  await torwart.waitForLine('"the saved bans cannot be read');
  assert.equal(await readFile(`${file}.broken`, 'utf8'), 'rubbish');
  assert.equal(await get(address, '127.9.0.1'), 200);
});

test('a second daemon with the same socket does not start', async (context) => {
  const {config, start} = await createStage(context);
  await start();
  const {exited, output} = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  assert.equal(await exited, 1);
  assert.match(output.stderr, /belongs to a daemon that is running[^]*the admin socket could not start/);
});
