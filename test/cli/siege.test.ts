/**
 * The whole daemon with two customers, and attackers at everything that one of them has: floods of HTTP/2, malformed HTTP/1.1, handshakes that
 * stop, hosts and tickets of the other customer, an application that answers with garbage, while threads die and the configuration is loaded anew.
 * Every answer to the other customer's clients is its own, no line of a log is forged or tells a secret, and afterwards nothing is left behind.
 */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import type {IncomingMessage} from 'node:http';
import net from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setTimeout} from 'node:timers/promises';
import tls from 'node:tls';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {createConfigFolder, type ConfigFolder} from '#test/control/fixtures/config-folder.ts';
import {data, frame, opening, ping, request, reset, settings, upload, windowUpdate} from '#test/http2/frames.ts';
import {eventually} from '#test/support/eventually.ts';

const NETWORKS = {acme: 43, globex: 44} as const;
type Name = keyof typeof NETWORKS;
const SECRET = 's3cret';
const ROUNDS = 4;
/** Of every attack, whatever the machine does meanwhile. */
const ATTACKS_MIN = 100;
const ATTACKERS = 6;
/** The clients of the other customer: nobody bans them. */
const OWN_ADDRESS = '127.0.0.50';
const ANSWER_MS = 30_000;

const NODE_TEXT = `
listeners: [{name: https, address: "127.0.0.1:0", protocol: https}, {name: http, address: "127.0.0.1:0", protocol: http}]
admin: {address: "127.0.0.1:0"}
threads: 3
timeouts: {request_head: 2s, tls_handshake: 2s, request_body_idle: 2s, keep_alive: 3s, drain: 2s}
log: {access: access.log, level: info}
bans: {allow: [${OWN_ADDRESS}]}
customers: customers/*.yaml
`;

/** Each signal ends another proxy thread. */
const DYING = `
  import {BroadcastChannel, threadId, workerData} from "node:worker_threads";
  const channel = new BroadcastChannel("die");
  channel.unref();
  let times = 0;
  if (threadId === 0) process.on("SIGUSR2", () => channel.postMessage(times++));
  else channel.onmessage = ({data}) => { if (workerData?.thread === data % 3) throw new Error("die"); };
`;

const GARBAGE = [
  'garbage\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nglobex', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab',
  'HTTP/1.1 101 X\r\n\r\n', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`, '', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nacme',
];

/** Says whose it is; to `/hostile` in ever new ways that are none. */
async function startApplication(context: TestContext, name: Name): Promise<number> {
  const state = {answers: 0};
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined).setEncoding('latin1').on('data', (text: string) => {
      if (text.includes('/hostile')) socket.write(GARBAGE[state.answers++ % GARBAGE.length] ?? '');
      else for (const _ of text.matchAll(/^(?:GET|POST) /gm)) socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\n\r\n${name}`);
    });
  });
  server.listen(0, `127.${NETWORKS[name]}.0.1`);
  await once(server, 'listening');
  context.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

interface Setting {
  readonly config: ConfigFolder;
  readonly ca: readonly string[];
  readonly write: (name: Name, more?: string) => Promise<void>;
}

async function createSetting(context: TestContext): Promise<Setting> {
  const config = await createConfigFolder(context);
  const ca: string[] = [];
  const ports = {acme: await startApplication(context, 'acme'), globex: await startApplication(context, 'globex')};
  const write = (name: Name, more = ''): Promise<void> => config.writeCustomer(name, `
customer: ${name}
networks: [127.${NETWORKS[name]}.0.0/16]
certificates: [{cert: ../${name}.pem, key: ../${name}.key}]
pools: {web: {servers: [{address: "127.${NETWORKS[name]}.0.1:${ports[name]}"}]}}
sites: [{hosts: [${name}.test], routes: [{path: /hostile, pool: web, timeouts: {response_head: 1s}}, {path: /, pool: web}]}]
${more}`);
  await config.writeNode(NODE_TEXT);
  for (const name of ['acme', 'globex'] as const) {
    const {cert, key} = await makeCertificate([`${name}.test`]);
    ca.push(cert);
    await writeFile(path.join(config.folder, `${name}.pem`), cert);
    await writeFile(path.join(config.folder, `${name}.key`), key);
    await write(name);
  }
  return {config, ca, write};
}

/** `cut` are those whose thread has died under them. */
interface Siege {
  readonly port: number;
  readonly cleartextPort: number;
  readonly ca: readonly string[];
  readonly wrong: string[];
  isOver: boolean;
  right: number;
  cut: number;
  attacks: number;
  /** Of the attacked customer. */
  ticket: Buffer | undefined;
}

function judge(siege: Siege, status: number | undefined, body: string): void {
  if (status === 200 && body === 'globex') siege.right++;
  else siege.wrong.push(`${status} ${body}`);
}

function textOf(chunks: unknown[]): string {
  return Buffer.concat(chunks as Buffer[]).toString('latin1');
}

async function askOverHttp1(siege: Siege): Promise<void> {
  const agent = new https.Agent({keepAlive: true, maxSockets: 1});
  const target = {
    host: '127.0.0.1', localAddress: OWN_ADDRESS, port: siege.port, servername: 'globex.test', ca: [...siege.ca], agent, path: `/?token=${SECRET}`, headers: {host: 'globex.test', cookie: `sid=${SECRET}`},
  };
  while (!siege.isOver) {
    try {
      const [response] = await once(https.get(target), 'response', {signal: AbortSignal.timeout(ANSWER_MS)}) as [IncomingMessage];
      judge(siege, response.statusCode, textOf(await response.toArray()));
    } catch {
      siege.cut++;
    }
    await setTimeout(2);
  }
  agent.destroy();
}

async function askOverHttp2(siege: Siege): Promise<void> {
  const options = {host: '127.0.0.1', localAddress: OWN_ADDRESS, port: siege.port, servername: 'globex.test', ca: [...siege.ca], ALPNProtocols: ['h2']};
  while (!siege.isOver) {
    const session = http2.connect('https://globex.test', {createConnection: () => tls.connect(options)});
    session.on('error', () => undefined);
    for (let i = 0; i < 20 && !session.destroyed && !siege.isOver; i++) {
      try {
        const stream = session.request({':path': '/', ':authority': 'globex.test'});
        const [head] = await once(stream, 'response', {signal: AbortSignal.timeout(ANSWER_MS)}) as [http2.IncomingHttpHeaders];
        judge(siege, Number(head[':status']), textOf(await stream.toArray()));
      } catch {
        siege.cut++;
        break;
      }
    }
    session.destroy();
    await setTimeout(2);
  }
}

type Piece = string | Buffer;
const FIELDS = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'acme.test'], [':path', '/hostile']] as const;
const UPLOAD = [[':method', 'POST'], ...FIELDS.slice(1)] as const;
const FOREIGN = [...FIELDS.slice(0, 2), [':authority', 'globex.test'], [':path', `/steal?token=${SECRET}`]] as const;
const H2 = {servername: 'acme.test', ALPNProtocols: ['h2']};
const H1 = {servername: 'acme.test', ALPNProtocols: ['http/1.1']};

function many(count: number, make: (streamId: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({length: count}, (_, index) => make(2 * index + 1)));
}

/** Over TLS with these options; null: in cleartext. `never`: what is never among the answers. */
const ATTACKS: readonly {readonly bytes: readonly Piece[]; readonly options: tls.ConnectionOptions | null; readonly never?: string; readonly isResumed?: boolean}[] = [
  {bytes: [opening(), many(400, (id) => Buffer.concat([request(id, FIELDS), reset(id)]))], options: H2},
  {bytes: [opening(), many(400, () => ping())], options: H2},
  {bytes: [opening(), many(200, () => settings({INITIAL_WINDOW_SIZE: 1}))], options: H2},
  {bytes: [opening({INITIAL_WINDOW_SIZE: 0}), many(100, (id) => request(id, FIELDS)), many(2000, () => windowUpdate(0, 1))], options: H2},
  {bytes: [opening(), many(90, (id) => upload(id, UPLOAD)), data(1, 'x')], options: H2},
  {bytes: [opening(), frame(1, 0, 1, Buffer.alloc(10)), many(20, () => frame(9, 0, 1, Buffer.alloc(5000, 0x40)))], options: H2},
  {bytes: [opening(), request(1, FOREIGN), request(3, FIELDS), request(5, FOREIGN)], options: H2, never: 'globex'},
  {bytes: ['GET / HTTP/1.1\r\nhost: acme.test\r\n\r\nGET / HTTP/1.1\r\nhost: globex.test\r\n\r\n'], options: H1, never: 'globex'},
  {bytes: ['GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n'], options: {...H1, servername: 'globex.test'}, never: 'acme', isResumed: true},
  {bytes: ['GET /hostile HTTP/1.1\r\nhost: acme.test\r\n\r\n'.repeat(20)], options: null, never: 'globex'},
  {bytes: ['POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: globex.test\r\n\r\n'], options: null, never: 'globex'},
  {bytes: [`GET /a?token=${SECRET} HTTP/1.1\r\nhost: acme.test\r\nuser-agent: "}\n{"evil":1}\r\n\r\n`], options: null},
  {bytes: [Buffer.from('\x16\x03\x01\x02\x00\x01\x00', 'latin1')], options: null},
  {bytes: [], options: {servername: 'nobody.test'}},
];

async function attack(siege: Siege, from: string, index: number): Promise<void> {
  const {bytes, options, never, isResumed} = ATTACKS[index] ?? {bytes: [], options: null};
  const base = {host: '127.0.0.1', localAddress: from};
  const session = isResumed === true && siege.ticket !== undefined ? {session: siege.ticket} : {};
  const socket = options === null ? net.connect({...base, port: siege.cleartextPort}) : tls.connect({...base, port: siege.port, ca: [...siege.ca], rejectUnauthorized: false, ...options, ...session});
  let received = '';
  socket.on('error', () => undefined).setEncoding('latin1').on('data', (text: string) => { received += text; });
  if (options?.servername === 'acme.test') socket.on('session', (ticket: Buffer) => { siege.ticket = ticket; });
  for (const piece of bytes) socket.write(piece);
  await Promise.race([once(socket, 'close').catch(() => undefined), setTimeout(150)]);
  socket.destroy();
  siege.attacks++;
  if (never !== undefined && received.includes(never)) siege.wrong.push(`attack ${index}: ${received}`);
}

/** Each time from another address: one alone would soon be banned. */
async function keepAttacking(siege: Siege, attacker: number): Promise<void> {
  for (let i = 0; !siege.isOver; i++) await attack(siege, `127.${1 + attacker}.${i >> 8}.${i & 255}`, (i + 2 * attacker) % ATTACKS.length);
}

test('one customer is attacked in every way at once, and the other is served', async (context) => {
  const {config, ca, write} = await createSetting(context);
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], DYING);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const portOf = (name: string): number => Number(listeners[name]?.split(':')[1]);
  const siege: Siege = {port: portOf('https'), cleartextPort: portOf('http'), ca, wrong: [], isOver: false, right: 0, cut: 0, attacks: 0, ticket: undefined};
  context.after(() => { siege.isOver = true; });
  const working = Promise.all([askOverHttp1(siege), askOverHttp1(siege), askOverHttp2(siege), ...Array.from({length: ATTACKERS}, (_, index) => keepAttacking(siege, index))]);
  for (let round = 0; round < ROUNDS; round++) {
    const before = siege.attacks, rightBefore = siege.right;
    await eventually('there is a siege', () => siege.attacks >= before + ATTACKS_MIN / ROUNDS && siege.right >= rightBefore + 100);
    torwart.child.kill('SIGUSR2');
    await torwart.waitForLine('"a proxy thread was replaced"', round + 1);
    await write('acme', round % 2 === 0 ? 'unknown: broken' : `weight: ${round}`);
    torwart.child.kill('SIGHUP');
    await torwart.waitForLine('"reload done', round + 1);
  }
  siege.isOver = true;
  await working;
  context.diagnostic(`${siege.attacks} attacks, ${siege.right} right answers, ${siege.cut} cut by the end of a thread`);
  assert.deepEqual(siege.wrong, []);
  // At most the three clients have a connection of the thread that dies, and each may find it ended once more.
  assert.ok(siege.cut <= 6 * ROUNDS, String(siege.cut));
  await eventually('everything is given back', async () => {
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    return !/^torwart_(?:connections_open|customer_connections_open\S*|requests_in_flight\S*|customer_requests_in_flight\S*) [1-9]/m.test(metrics);
  });
  const access = await readFile(path.join(config.folder, 'access.log'), 'latin1');
  for (const line of `${access}${torwart.output.stderr}`.split('\n').filter((text) => text !== '')) {
    const {host, customer, evil} = JSON.parse(line) as Record<string, unknown>;
    assert.ok(evil === undefined && (host === undefined || typeof customer !== 'string' || customer === '' || host === `${customer}.test` || host === ''), line);
  }
  assert.ok(!access.includes(SECRET) && !torwart.output.stderr.includes(SECRET));
});
