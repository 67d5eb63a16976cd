import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import {Daemon, StartError} from '#src/control/daemon.ts';
import {fileSource} from '#src/control/file-source.ts';
import {eventually} from '#test/support/eventually.ts';
import {createConfigFolder, customerText, NODE_TEXT, type ConfigFolder} from '#test/control/fixtures/config-folder.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';

interface Stage {
  readonly daemon: Daemon;
  readonly config: ConfigFolder;
  readonly lines: LogLine[];
  readonly get: (path: string) => Promise<string>;
  /** The value of one series; undefined where there is none. */
  readonly metric: (series: string) => Promise<number | undefined>;
}

function startDaemon(config: ConfigFolder): {starting: Promise<Daemon>; lines: LogLine[]} {
  const {log, lines} = createLogLines();
  const workerUrl = new URL('fixtures/fake-worker.ts', import.meta.url);
  return {starting: Daemon.start({configFile: config.nodeFile, source: fileSource, machine: {cores: 2, memoryBytes: 2 ** 30}, workerUrl, version: '0.0.0', log}), lines};
}

async function createStage(context: TestContext): Promise<Stage> {
  const config = await createConfigFolder(context);
  await config.writeCustomer('acme', customerText('acme', 21));
  return startStage(context, config);
}

async function startStage(context: TestContext, config: ConfigFolder): Promise<Stage> {
  const {starting, lines} = startDaemon(config);
  const daemon = await starting;
  context.after(() => daemon.drain());
  const get = async (path: string): Promise<string> => (await fetch(`http://${daemon.listening.admin}${path}`)).text();
  const metric = async (series: string): Promise<number | undefined> => {
    const line = (await get('/metrics')).split('\n').find(text => text.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };
  return {daemon, config, lines, get, metric};
}

function outcomeOf(lines: readonly LogLine[]): LogLine {
  const line = lines.findLast(({msg}) => msg.startsWith('reload '));
  assert.ok(line !== undefined);
  return line;
}

test('a started daemon is ready and says what it listens on', async context => {
  const {daemon, get, metric} = await createStage(context);
  assert.match(daemon.listening.listeners['http'] ?? '', /^127\.0\.0\.1:[1-9]\d+$/);
  assert.equal(await get('/readyz'), 'ready\n');
  assert.equal(await metric('torwart_config_customers'), 1);
  assert.equal(await metric('torwart_ready'), 1);
});

test('a reload puts changes in force and says which', async context => {
  const {daemon, config, lines, metric} = await createStage(context);
  await config.writeCustomer('globex', customerText('globex', 22));
  await config.writeCustomer('acme', customerText('acme', 21, 3001));
  assert.equal(await daemon.reload(), 'success');
  const {level, msg, node, added, changed, removed} = outcomeOf(lines);
  assert.deepEqual({level, msg, node, added, changed, removed}, {level: 'info', msg: 'reload done', node: false, added: ['globex'], changed: ['acme'], removed: []});
  await config.removeCustomer('globex');
  assert.equal(await daemon.reload(), 'success');
  assert.deepEqual(outcomeOf(lines)['removed'], ['globex']);
  assert.equal(await metric('torwart_reloads_total{outcome="success"}'), 2);
  assert.equal(await metric('torwart_config_customers'), 1);
});

test('a reload without a change is a success, and a free port stays the same', async context => {
  const {daemon} = await createStage(context);
  const before = daemon.listening;
  assert.equal(await daemon.reload(), 'success');
  assert.deepEqual(daemon.listening, before);
});

test('a broken customer stays as it was, the others change', async context => {
  const {daemon, config, lines, metric} = await createStage(context);
  const lastSuccess = await metric('torwart_reload_last_success_timestamp_seconds') ?? NaN;
  await config.writeCustomer('acme', customerText('acme', 21).replace('pool: web', 'pool: wbe'));
  await config.writeCustomer('globex', customerText('globex', 22));
  assert.equal(await daemon.reload(), 'partial');
  assert.deepEqual([outcomeOf(lines)['stale'], outcomeOf(lines)['added']], [['acme'], ['globex']]);
  assert.ok(lines.some(({level, customer, msg}) => level === 'error' && customer === 'acme' && /acme\.yaml:\d+:\d+: .*wbe/.test(msg)));
  assert.equal(await metric('torwart_config_stale_customers'), 1);
  assert.equal(await metric('torwart_config_customer_stale{customer="acme"}'), 1);
  assert.equal(await metric('torwart_reload_last_successful'), 0);
  assert.equal(await metric('torwart_reload_last_success_timestamp_seconds'), lastSuccess);
  assert.equal(await metric('torwart_requests_total{customer="acme",pool="web",status_class="2xx"}'), 0);
  await config.writeCustomer('acme', customerText('acme', 21));
  assert.equal(await daemon.reload(), 'success');
  assert.equal(await metric('torwart_config_stale_customers'), 0);
  assert.ok((await metric('torwart_reload_last_success_timestamp_seconds') ?? NaN) > lastSuccess);
});

test('a broken node file changes nothing, and every problem is logged', async context => {
  const {daemon, config, lines, metric} = await createStage(context);
  await config.writeCustomer('globex', customerText('globex', 22));
  await config.writeNode(`${NODE_TEXT}bogus: 1\nextra: 2\n`);
  assert.equal(await daemon.reload(), 'failure');
  for (const word of ['bogus', 'extra']) assert.ok(lines.some(({level, msg}) => level === 'error' && msg.includes(word)), word);
  assert.equal(await metric('torwart_config_customers'), 1);
  assert.equal(await metric('torwart_reloads_total{outcome="failure"}'), 1);
});

test('a configuration that a thread refuses changes nothing', async context => {
  const {daemon, config, lines, get, metric} = await createStage(context);
  await config.writeCustomer('refuse-1', customerText('refuse-1', 23));
  assert.equal(await daemon.reload(), 'failure');
  assert.equal(outcomeOf(lines)['error'], 'port taken');
  assert.equal(await metric('torwart_config_customers'), 1);
  assert.equal(await get('/readyz'), 'ready\n');
  await config.removeCustomer('refuse-1');
  assert.equal(await daemon.reload(), 'success');
});

test('requests for a reload during one are answered by one more', async context => {
  const {daemon, metric} = await createStage(context);
  const first = daemon.reload();
  await Promise.resolve();
  const second = daemon.reload(), third = daemon.reload();
  assert.equal(second, third);
  assert.notEqual(first, second);
  await Promise.all([first, second, third]);
  assert.equal(await metric('torwart_reloads_total{outcome="success"}'), 2);
});

test('what needs a restart is said, and does not keep the rest from changing', async context => {
  const {daemon, config, lines} = await createStage(context);
  const text = NODE_TEXT.replace('threads: 2', 'threads: 3').replace('level: debug', 'level: warn').replace('admin: {address: "127.0.0.1:0"}', 'admin: {address: "127.0.0.1:1"}');
  await config.writeNode(`${text}state: {path: state}\nadmin_socket: admin.sock\n`);
  assert.equal(await daemon.reload(), 'success');
  assert.deepEqual(lines.find(({settings}) => settings !== undefined)?.['settings'], ['threads', 'admin.address', 'state.path', 'admin_socket']);
});

for (const [about, break_] of [
  ['a broken node file', (config: ConfigFolder) => config.writeNode(`${NODE_TEXT}bogus: 1\n`)],
  ['nobody to serve', (config: ConfigFolder) => config.writeCustomer('globex', 'bogus')],
] as const) {
  test(`${about} ends the start, with every problem`, async context => {
    const config = await createConfigFolder(context);
    await config.writeCustomer('acme', customerText('acme', 21).replace('pool: web', 'pool: wbe'));
    await break_(config);
    await assert.rejects(startDaemon(config).starting, (error: unknown) => {
      assert.ok(error instanceof StartError);
      assert.match(error.reasons.join('\n'), /bogus[^]*wbe|wbe[^]*bogus/);
      return true;
    });
  });
}

test('a start with a broken customer serves the others, and says so in every place', async context => {
  const config = await createConfigFolder(context);
  await config.writeCustomer('acme', customerText('acme', 21).replace('pool: web', 'pool: wbe'));
  await config.writeCustomer('globex', customerText('globex', 22));
  const {daemon, lines, get, metric} = await startStage(context, config);
  assert.ok(lines.some(({level, customer, isKept, msg}) => level === 'error' && customer === 'acme' && isKept === false && msg.includes('wbe')));
  assert.deepEqual(lines.find(({msg}) => msg.startsWith('starting in part'))?.['unserved'], ['acme']);
  assert.equal(await get('/readyz'), 'ready\nacme is not served: its file is broken\n');
  const metrics = [
    ['torwart_ready', 1], ['torwart_config_customers', 1], ['torwart_config_customer_stale{customer="acme"}', 1], ['torwart_config_customer_unserved{customer="acme"}', 1],
    ['torwart_reload_last_successful', 0], ['torwart_reload_last_success_timestamp_seconds', 0], ['torwart_config_saved', 0],
  ] as const;
  for (const [series, value] of metrics) assert.equal(await metric(series), value, series);
  await config.writeCustomer('acme', customerText('acme', 21));
  assert.equal(await daemon.reload(), 'success');
  assert.equal(await get('/readyz'), 'ready\n');
  assert.equal(await metric('torwart_config_customer_unserved{customer="acme"}'), undefined);
});

test('with a state folder, a start serves a broken customer as it was last in force, and a reload brings it back', async context => {
  const config = await createConfigFolder(context);
  await config.writeNode(`${NODE_TEXT}state: {path: state}\n`);
  await config.writeCustomer('acme', customerText('acme', 21));
  await config.writeCustomer('globex', customerText('globex', 22));
  const first = await startStage(context, config);
  await config.writeCustomer('acme', customerText('acme', 21, 3001));
  assert.equal(await first.daemon.reload(), 'success');
  await eventually('it is saved', async () => await first.metric('torwart_config_saved') === 1);
  await config.writeCustomer('acme', customerText('acme', 21).replace('pool: web', 'pool: wbe'));
  assert.equal(await first.daemon.reload(), 'partial');
  await first.daemon.drain();
  const {daemon, lines, get, metric} = await startStage(context, config);
  assert.deepEqual(lines.find(({msg}) => msg.startsWith('starting in part'))?.['stale'], ['acme']);
  assert.equal(await get('/readyz'), 'ready\nacme is served as it was: its file is broken\n');
  assert.equal(await metric('torwart_endpoint_requests_in_flight{customer="acme",pool="web",endpoint="127.21.0.1:3001"}'), 0);
  assert.deepEqual([await metric('torwart_config_customer_stale{customer="acme"}'), await metric('torwart_config_customer_unserved{customer="acme"}')], [1, undefined]);
  assert.equal(await daemon.reload(), 'partial');
  await config.writeCustomer('acme', customerText('acme', 21, 3002));
  assert.equal(await daemon.reload(), 'success');
  assert.equal(await metric('torwart_endpoint_requests_in_flight{customer="acme",pool="web",endpoint="127.21.0.1:3002"}'), 0);
});

test('an admin address that is taken ends the start', async context => {
  const config = await createConfigFolder(context);
  await config.writeCustomer('acme', customerText('acme', 21));
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const {port} = server.address() as net.AddressInfo;
  await config.writeNode(NODE_TEXT.replace('admin: {address: "127.0.0.1:0"}', `admin: {address: "127.0.0.1:${port}"}`));
  await assert.rejects(startDaemon(config).starting, (error: unknown) => error instanceof StartError && /EADDRINUSE/.test(error.reasons.join()));
});

test('threads that cannot start end the start', async context => {
  const config = await createConfigFolder(context);
  await config.writeCustomer('refuse-0', customerText('refuse-0', 21));
  await assert.rejects(startDaemon(config).starting, (error: unknown) => error instanceof StartError && error.reasons[0] === 'port taken');
});

test('health checks begin with the first configuration, and follow a reload', async context => {
  const {daemon, config, metric} = await createStage(context);
  const server = net.createServer(socket => socket.on('error', () => undefined).end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')).listen(0, '127.24.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const {port} = server.address() as net.AddressInfo;
  const text = customerText('probed', 24, port).replace('}]}}', '}], health: {path: /, interval: 100ms, timeout: 100ms, fall: 1}}}');
  await config.writeCustomer('probed', text);
  assert.equal(await daemon.reload(), 'success');
  const series = `torwart_endpoint_health{customer="probed",pool="web",endpoint="127.24.0.1:${port}"}`;
  await eventually('it is up', async () => await metric(series) === 1);
  server.close();
  await eventually('it is down', async () => await metric(series) === 0);
});
