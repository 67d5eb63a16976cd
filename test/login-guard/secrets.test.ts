/** What the real daemon tells of logins, and what it never tells: the account and the password of anybody. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, readdir} from 'node:fs/promises';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {text} from 'node:stream/consumers';
import {test, type TestContext} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';

const NETWORK = 58;
const DEADLINE_MS = 10_000;
/** Loopback cannot be banned: the client comes through a proxy that is trusted. */
const CLIENT = '203.0.113.58';
const ACCOUNT = 'zanzibar.quokka@example.test';
const PASSWORD = 'mauve-Teapot-4711';
/** Both as they are sent, and in the forms in which they could be kept. */
const SECRET = new RegExp([
  'zanzibar|quokka|teapot', ...[ACCOUNT, PASSWORD].flatMap((secret) => [Buffer.from(secret).toString('base64').slice(0, 12), Buffer.from(secret).toString('hex')]),
].join('|'), 'i');
const FORM = 'application/x-www-form-urlencoded';
const WRONG = `user=${encodeURIComponent(ACCOUNT)}&password=${PASSWORD}`;

const CUSTOMER_TEXT = `${customerText('acme', NETWORK)}
login_guards:
  - {name: shop, paths: [/login], account: {type: form, field: user}, limits: {pair: 4, client: 8}, delay: 20ms, ban: {after: 3, for: 1h}}
  - {name: api, paths: [/api/session], account: {type: json, field: user}, limits: {pair: 3}, mode: observe}
`;

/** Whoever says that it is right is right. */
async function startApplication(context: TestContext): Promise<number> {
  const server = http.createServer((request, response) => {
    void text(request).then((body) => response.writeHead(body.includes('right') ? 200 : 401).end());
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function post(url: string, type: string, body: string): Promise<number> {
  const request = http.request(url, {method: 'POST', agent: false, headers: {host: 'acme.test', 'x-forwarded-for': CLIENT, 'content-type': type, 'content-length': Buffer.byteLength(body)}});
  request.end(body);
  const [response] = await once(request, 'response') as [http.IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

async function statusesOf(count: number, url: string, type: string, body: string): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) statuses.push(await post(url, type, body));
  return statuses;
}

async function get(url: string): Promise<string> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  return (await fetch(url, {signal: deadline})).text();
}

/** Name and content of every file below the folder but the configuration. */
async function readFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.yaml')).map((entry) => path.join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [path.relative(folder, file), await readFile(file, 'latin1')] as const)));
}

test('delays are told in the audit log and in the metrics; no account and no password is anywhere', async (context) => {
  const port = await startApplication(context);
  const config = await createConfigFolder(context);
  const log = `{access: ${path.join(config.folder, 'access.log')}, level: debug}`;
  await config.writeNode(`${NODE_TEXT.replace(/\{access: .*\}/, log)}trusted_proxies: [127.0.0.1]\nstate: {path: state}\nadmin_socket: admin.sock\n`);
  await config.writeCustomer('acme', CUSTOMER_TEXT.replace(':3000', `:${port}`));
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const base = `http://${listeners['http']}`;

  const json = JSON.stringify({user: ACCOUNT, password: PASSWORD});
  assert.deepEqual(await statusesOf(5, `${base}/api/session`, 'application/json', json), [401, 401, 401, 401, 401]);
  assert.equal(await post(`${base}/login`, FORM, `${WRONG}&as=right`), 200);
  assert.equal(await post(`${base}/login`, FORM, `${WRONG}&${WRONG}`), 400);
  assert.deepEqual(await statusesOf(8, `${base}/login`, FORM, WRONG), [401, 401, 401, 401, 429, 429, 429, 429]);

  const delayed = await torwart.waitForLine('"guard":"shop","stage":"delayed"');
  const {level, msg, audit, customer, guard, detection, client} = delayed;
  assert.deepEqual({level, msg, audit, customer, guard, detection, client}, {
    level: 'warn', msg: 'logins are delayed', audit: 'login', customer: 'acme', guard: 'shop', detection: 'brute_force', client: CLIENT,
  });
  await torwart.waitForLine('a client is banned for its logins');
  const expected = [
    'torwart_login_guard_total{customer="acme",guard="shop",stage="failed",detection="none"} 4',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="delayed",detection="brute_force"} 2',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="limited",detection="brute_force"} 4',
    'torwart_login_guard_total{customer="acme",guard="shop",stage="banned",detection="brute_force"} 1',
    'torwart_login_guard_total{customer="acme",guard="api",stage="limited",detection="brute_force"} 2',
  ];
  let metrics = '';
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!expected.every((line) => metrics.includes(`${line}\n`))) {
    assert.ok(performance.now() < deadlineMs, metrics.split('\n').filter((line) => line.includes('login_guard')).join('\n'));
    metrics = await get(`http://${admin}/metrics`);
  }
  const answers = [metrics, await get(`http://${admin}/healthz`), await get(`http://${admin}/readyz`)];
  const bans = spawnTorwart(context, ['bans', '--json', '--config', config.nodeFile]);
  assert.equal(await bans.exited, 0);
  assert.match(bans.output.stdout, /login guard shop: brute_force/);
  torwart.child.kill('SIGTERM');
  assert.equal(await torwart.exited, 0);

  const files = await readFiles(config.folder);
  const names = Array.from(files.keys());
  assert.ok(names.includes('access.log') && names.some((name) => name.startsWith('state')), String(names));
  assert.match(files.get('access.log') ?? '', /login_limited/);
  assert.match(torwart.output.stderr, /logins are refused/);
  const told = new Map([...files, ['daemon log', torwart.output.stderr], ['output', torwart.output.stdout], ['bans', bans.output.stdout], ['admin', answers.join('\n')]]);
  for (const [where, content] of told) assert.doesNotMatch(content, SECRET, where);
});
