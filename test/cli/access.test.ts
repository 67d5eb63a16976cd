/** Access control and the login guard in the real daemon: two proxy threads, the control thread, and what an operator sees of them. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import {test, type TestContext} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';
import {scryptHash} from '#test/access/passwords.ts';

const NETWORK = 46;
const DEADLINE_MS = 10_000;
/** Loopback cannot be banned: the clients of this test come through a proxy that is trusted. */
const CLIENT = '203.0.113.77';

/** Every login is wrong, everything else is right. */
async function startApplication(context: TestContext): Promise<number> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.writeHead(request.method === 'POST' ? 401 : 200).end();
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function ask(url: string, options: {readonly method?: string; readonly auth?: string; readonly headers?: Readonly<Record<string, string>>} = {}): Promise<{status: number; body: string}> {
  const {promise, resolve, reject} = Promise.withResolvers<{status: number; body: string}>();
  const request = http.request(url, {agent: false, ...options, headers: {host: 'acme.test', 'x-forwarded-for': CLIENT, ...options.headers}}, response => {
    void response.setEncoding('utf8').toArray().then(chunks => resolve({status: response.statusCode ?? 0, body: chunks.join('')}), reject);
  });
  request.on('error', reject).end();
  return promise;
}

async function askUntil(description: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!await condition()) assert.ok(performance.now() < deadlineMs, description);
}

test('rules, passwords and the login guard, from the configuration to the metrics and bans', async context => {
  const port = await startApplication(context);
  const config = await createConfigFolder(context);
  await config.writeNode(`${NODE_TEXT}trusted_proxies: [127.0.0.1]\nrules: [{name: hole, path: '^/hole'}]\n`);
  await config.writeCustomer('acme', `${customerText('acme', NETWORK, port).replace(/routes: \[/, 'routes: [{path: /staff, pool: web, auth: staff}, ')}
auth: {staff: {basic: {users: {alice: "${scryptHash('wonderland')}"}}}}
login_guards: [{name: shop, paths: [/login], limits: {pair: 3, client: 3}, delay: 0ms, ban: {after: 2, for: 1h}}]
`);
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const base = `http://${listeners['http']}`;

  assert.deepEqual([(await ask(`${base}/`)).status, (await ask(`${base}/hole`)).status], [200, 403]);
  assert.equal((await ask(`${base}/staff`)).status, 401);
  for (let i = 0; i < 4; i++) assert.equal((await ask(`${base}/staff`, {auth: 'alice:wonderland'})).status, 200);

  const statuses: number[] = [];
  for (let i = 0; i < 6; i++) statuses.push((await ask(`${base}/login`, {method: 'POST'})).status);
  assert.deepEqual(statuses, [401, 401, 401, 429, 429, 429], 'exact over both threads');
  await torwart.waitForLine('a client is banned for its logins');
  await askUntil('the client is banned', async () => (await ask(`${base}/`)).status === 403);

  const metrics = async (): Promise<string> => (await ask(`http://${admin}/metrics`, {headers: {host: 'localhost'}})).body;
  const expected = [
    'torwart_rule_matches_total{customer="",rule="hole",action="deny"} 1',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="failed",detection="none"} 3',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="limited",detection="brute_force"} 3',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="banned",detection="brute_force"} 1',
  ];
  await askUntil('everything is counted', async () => {
    const text = await metrics();
    return expected.every(line => text.includes(`${line}\n`));
  });
  await eventually('the ban is in the log', () => torwart.output.stderr.includes(`"network":"${CLIENT}`));
  torwart.child.kill('SIGTERM');
  assert.equal(await torwart.exited, 0, 'the thread that checks passwords keeps nobody alive');
});
