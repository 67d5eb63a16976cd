/** The real daemon, in a process of its own, with real proxy threads and a raw application server. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, rename} from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {spawnTorwart, type TorwartProcess} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT, type ConfigFolder} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';

interface Application {
  readonly port: number;
  /** Answers that wait until the test lets them go. */
  readonly held: (() => void)[];
}

const NETWORK = 31;

/** Answers every request with its target; `/held` only when the test says so. */
async function startApplication(context: TestContext): Promise<Application> {
  const held: (() => void)[] = [];
  const server = net.createServer(socket => {
    socket.setEncoding('latin1').on('error', () => undefined).on('data', (text: string) => {
      for (const [, target = ''] of text.matchAll(/^[A-Z]+ (\S+) HTTP\/1\.1\r\n/gm)) {
        const answer = (): unknown => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${target.length}\r\n\r\n${target}`);
        if (target === '/held') held.push(answer);
        else answer();
      }
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => server.close());
  return {port: (server.address() as net.AddressInfo).port, held};
}

interface Stage {
  readonly torwart: TorwartProcess;
  readonly config: ConfigFolder;
  readonly application: Application;
  readonly listeners: Record<string, string>;
  readonly get: (target: string, host?: string) => Promise<{status: number | undefined; body: string; connection: string | undefined}>;
  readonly admin: (path: string) => Promise<string>;
}

async function createStage(context: TestContext, nodeText = NODE_TEXT, script = ''): Promise<Stage> {
  const application = await startApplication(context);
  const config = await createConfigFolder(context);
  await config.writeNode(nodeText);
  await config.writeCustomer('acme', customerText('acme', NETWORK, application.port));
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], script);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  return {
    torwart, config, application, listeners,
    get: async (target, host = 'acme.test') => {
      const request = http.get(`http://${listeners['http']}${target}`, {headers: {host}, agent: false});
      const [response] = await once(request, 'response') as [http.IncomingMessage];
      const chunks = await response.setEncoding('utf8').toArray() as string[];
      return {status: response.statusCode, body: chunks.join(''), connection: response.headers.connection};
    },
    admin: async target => (await fetch(`http://${admin}${target}`)).text(),
  };
}

test('it serves, counts, and ends with 0 on SIGTERM', async context => {
  const {torwart, get, admin} = await createStage(context);
  assert.deepEqual((await get('/hello')).body, '/hello');
  assert.equal((await get('/', 'unknown.test')).status, 421);
  assert.equal(await admin('/readyz'), 'ready\n');
  const metrics = await admin('/metrics');
  assert.match(metrics, /^torwart_requests_total\{customer="acme",pool="web",status_class="2xx"\} 1$/m);
  assert.match(metrics, /^torwart_faults_total\{code="host_unknown"\} 1$/m);
  assert.match(metrics, /^torwart_request_duration_seconds_count\{customer="acme"\} 1$/m);
  torwart.child.kill('SIGTERM');
  assert.equal(await torwart.exited, 0);
});

test('SIGHUP: a new customer is served, a broken node file changes nothing', async context => {
  const {torwart, config, application, get, admin} = await createStage(context);
  await config.writeCustomer('globex', customerText('globex', 32, application.port).replace('sites', 'limits: []\nsites'));
  torwart.child.kill('SIGHUP');
  await torwart.waitForLine('"reload done"');
  assert.notEqual((await get('/', 'globex.test')).status, 421);
  await config.writeNode('bogus: 1\n');
  torwart.child.kill('SIGHUP');
  await torwart.waitForLine('"reload failed');
  assert.equal((await get('/still')).body, '/still');
  assert.match(await admin('/metrics'), /^torwart_reloads_total\{outcome="failure"\} 1$/m);
});

test('a listener of another daemon is taken, although the kernel would share it', async context => {
  const first = await createStage(context);
  const nodeText = NODE_TEXT.replace('127.0.0.1:0', first.listeners['http'] ?? '');
  const {config, torwart, get} = await createStage(context);
  await first.config.writeNode(nodeText);
  const second = spawnTorwart(context, ['run', '--config', first.config.nodeFile]);
  assert.equal(await second.exited, 1);
  assert.match(second.output.stderr, /EADDRINUSE/);
  await config.writeNode(nodeText);
  torwart.child.kill('SIGHUP');
  assert.match(String((await torwart.waitForLine('"reload failed'))['error']), /EADDRINUSE/);
  assert.equal((await get('/still')).body, '/still');
});

test('SIGHUP: an address gives way to the wildcard that covers it, and the other way round', async context => {
  const {torwart, config, listeners, get} = await createStage(context);
  const own = listeners['http'] ?? '';
  for (const [count, address] of [own.replace('127.0.0.1', '0.0.0.0'), own].entries()) {
    await config.writeNode(NODE_TEXT.replace('127.0.0.1:0', address));
    torwart.child.kill('SIGHUP');
    await torwart.waitForLine('"reload done"', count + 1);
    assert.equal((await get('/still')).body, '/still');
  }
});

test('SIGHUP: a listener whose port is taken leaves everything as it was', async context => {
  const {torwart, config, get, admin} = await createStage(context);
  const blocker = net.createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  context.after(() => blocker.close());
  const {port} = blocker.address() as net.AddressInfo;
  await config.writeNode(NODE_TEXT.replace('protocol: http}]', `protocol: http}, {name: second, address: "127.0.0.1:${port}", protocol: http}]`));
  torwart.child.kill('SIGHUP');
  const line = await torwart.waitForLine('"reload failed');
  assert.match(String(line['error']), /EADDRINUSE/);
  assert.equal((await get('/still')).body, '/still');
  assert.equal(await admin('/readyz'), 'ready\n');
});

test('after a crash, a customer whose file is broken is served as before', async context => {
  const {torwart, config, admin} = await createStage(context, `${NODE_TEXT}state: {path: state}\n`);
  await eventually('it is saved', async () => (await admin('/metrics')).includes('\ntorwart_config_saved 1\n'));
  await config.writeCustomer('acme', 'customer: [\n');
  torwart.child.kill('SIGHUP');
  await torwart.waitForLine('"reload done in part');
  torwart.child.kill('SIGKILL');
  await torwart.exited;
  const again = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners} = await again.waitForLine('"serving"') as {listeners: Record<string, string>};
  const request = http.get(`http://${listeners['http']}/again`, {headers: {host: 'acme.test'}, agent: false});
  const [response] = await once(request, 'response') as [http.IncomingMessage];
  assert.deepEqual((await response.setEncoding('utf8').toArray()).join(''), '/again');
  const check = spawnTorwart(context, ['check', '--config', config.nodeFile]);
  assert.equal(await check.exited, 1);
});

test('a request in flight outlives a reload, and a drain waits for it', async context => {
  const {torwart, config, application, get, listeners} = await createStage(context);
  const held = get('/held');
  await eventually('it reached the application', () => application.held.length === 1);
  await config.writeCustomer('acme', customerText('acme', NETWORK, 1));
  torwart.child.kill('SIGHUP');
  await torwart.waitForLine('"reload done"');
  torwart.child.kill('SIGTERM');
  const [address = '', port = ''] = (listeners['http'] ?? '').split(':');
  await eventually('nothing new is accepted', async () => {
    const socket = net.connect(Number(port), address);
    const refused = await Promise.race([once(socket, 'connect').then(() => false), once(socket, 'error').then(() => true)]).catch(() => true);
    socket.destroy();
    return refused;
  });
  application.held[0]?.();
  const {body, connection} = await held;
  assert.deepEqual([body, connection], ['/held', 'close']);
  assert.equal(await torwart.exited, 0);
});

test('a drain ends after its time', async context => {
  const {torwart, application, get} = await createStage(context, NODE_TEXT.replace('drain: 2s', 'drain: 250ms'));
  const held = get('/held').catch((error: unknown) => error);
  await eventually('it reached the application', () => application.held.length === 1);
  torwart.child.kill('SIGINT');
  assert.equal(await torwart.exited, 0);
  await held;
});

test('a second signal ends at once with 1; the same one twice does not', async context => {
  const {torwart, application, get} = await createStage(context, NODE_TEXT.replace('drain: 2s', 'drain: 10m'));
  const held = get('/held').catch((error: unknown) => error);
  await eventually('it reached the application', () => application.held.length === 1);
  torwart.child.kill('SIGINT');
  torwart.child.kill('SIGINT');
  await eventually('it ends', () => !torwart.child.kill('SIGINT'));
  assert.equal(await torwart.exited, 1);
  assert.match(torwart.output.stderr, /"ending at once"/);
  await held;
});

test('SIGUSR1 opens the access log anew, and no debugger', async context => {
  const {torwart, config, get} = await createStage(context, NODE_TEXT.replace('access: "off"', 'access: access.log'));
  const log = path.join(config.folder, 'access.log');
  const hasLine = async (file: string, target: string): Promise<boolean> => (await readFile(file, 'utf8').catch(() => '')).includes(target);
  await get('/before');
  await eventually('the line is written', () => hasLine(log, '/before'));
  await rename(log, `${log}.1`);
  torwart.child.kill('SIGUSR1');
  await eventually('there is a new file', async () => (await readFile(log).catch(() => null)) !== null);
  await get('/after');
  await eventually('the new file has the line', () => hasLine(log, '/after'));
  assert.equal(await hasLine(`${log}.1`, '/after'), false);
  assert.doesNotMatch(torwart.output.stderr, /Debugger/);
});

test('an unexpected error in the control thread: it drains, and ends with 1', async context => {
  const script = 'process.on("SIGUSR2", () => { throw new Error("boom"); });';
  const {torwart, application, get} = await createStage(context, NODE_TEXT, script);
  const held = get('/held');
  await eventually('it reached the application', () => application.held.length === 1);
  torwart.child.kill('SIGUSR2');
  const line = await torwart.waitForLine('"level":"fatal"');
  assert.match(JSON.stringify(line['err']), /boom/);
  application.held[0]?.();
  assert.equal((await held).body, '/held');
  assert.equal(await torwart.exited, 1);
});

test('a proxy thread that dies is replaced, and the daemon goes on', async context => {
  const script = `
    import {BroadcastChannel, threadId} from "node:worker_threads";
    const channel = new BroadcastChannel("boom");
    channel.unref();
    if (threadId === 0) process.on("SIGUSR2", () => channel.postMessage(null));
    if (threadId === 1) channel.onmessage = () => { throw new Error("boom"); };
  `;
  const {torwart, get, admin} = await createStage(context, NODE_TEXT, script);
  torwart.child.kill('SIGUSR2');
  const death = await torwart.waitForLine('"a proxy thread died"');
  assert.match(JSON.stringify(death['err']), /boom/);
  await torwart.waitForLine('"a proxy thread was replaced"');
  assert.equal(await admin('/readyz'), 'ready\n');
  assert.match(await admin('/metrics'), /^torwart_thread_restarts_total\{thread="0"\} 1$/m);
  for (let i = 0; i < 8; i++) assert.equal((await get('/again')).body, '/again');
});
