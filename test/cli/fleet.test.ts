/** Two real daemons and a real redis-server, which is stopped and started under them. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {Store} from '#test/fleet/store.ts';

const CUSTOMER_TEXT = `
customer: acme
networks: [127.41.0.0/16]
pools: {}
sites: [{hosts: [acme.test], routes: [{path: /, respond: {status: 200, body: served}}]}]
limits: [{name: shared, key: client, rate: 4/h, scope: fleet}]
`;
const DEADLINE_MS = 30_000;

interface Node {
  readonly run: (...args: string[]) => Promise<number | string>;
  /** Status of the answer, or the code of the error. */
  readonly get: (localAddress: string) => Promise<number | string>;
  readonly metric: (series: string) => Promise<number>;
}

async function startNode(context: TestContext, store: Store): Promise<Node> {
  const config = await createConfigFolder(context);
  await config.writeNode(`${NODE_TEXT}admin_socket: admin.sock\nfleet: {store: {address: "127.0.0.1:${store.port}"}, secret_file: fleet.secret}\n`);
  await writeFile(path.join(config.folder, 'fleet.secret'), `${'0123456789abcdef'.repeat(4)}\n`);
  await config.writeCustomer('acme', CUSTOMER_TEXT);
  const {listeners, admin} = await spawnTorwart(context, ['run', '--config', config.nodeFile]).waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const metric = async (series: string): Promise<number> => {
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    return Number(text.split('\n').find((line) => line.startsWith(`${series} `))?.slice(series.length + 1));
  };
  return {metric, run: (...args) => spawnTorwart(context, [...args, '--config', config.nodeFile]).exited, get: (localAddress) => get(listeners['http'] ?? '', localAddress)};
}

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

async function eventually(description: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!await condition()) if (performance.now() > deadlineMs) throw new Error(`never came true: ${description}`);
}

test('a limit and a ban are those of both nodes, and a store that comes and goes stops neither', async (context) => {
  const store = await Store.start(context);
  const [a, b] = [await startNode(context, store), await startNode(context, store)];
  await eventually('both have the store', async () => await a.metric('torwart_fleet_store_up') === 1 && await b.metric('torwart_fleet_store_up') === 1);

  for (let i = 0; i < 4; i++) assert.equal(await a.get('127.9.0.1'), 200);
  await eventually('it is told', async () => (await store.ask('KEYS', '{torwart}:limit:*') as unknown[]).length === 1);
  assert.equal(await b.get('127.9.0.1'), 200, 'a first one, until it hears of the others');
  const exchanges = 'torwart_fleet_exchanges_total{outcome="done"}', before = await b.metric(exchanges);
  await eventually('it has heard', async () => await b.metric(exchanges) >= before + 3);
  assert.equal(await b.get('127.9.0.1'), 429);
  assert.equal(await b.get('127.9.0.2'), 200, 'others are not concerned');

  assert.equal(await a.run('ban', '127.9.0.3', '--for', '10m', '--reason', 'floods the shop'), 0);
  await eventually('the other has it', async () => await b.get('127.9.0.3') === 'ECONNRESET');

  await store.stopServer();
  await eventually('it is noticed', async () => await b.metric('torwart_fleet_store_up') === 0);
  assert.equal(await b.get('127.9.0.3'), 'ECONNRESET', 'a ban holds');
  for (let i = 0; i < 4; i++) assert.equal(await b.get('127.9.0.4'), 200);
  assert.equal(await b.get('127.9.0.4'), 429, 'a limit holds');
  assert.equal(await b.run('unban', '127.9.0.3'), 0);
  await store.startServer();
  await eventually('it is told', async () => typeof await a.get('127.9.0.3') === 'number');
});
