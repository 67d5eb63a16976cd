/** Banned clients, in four steps: they are refused, nothing reaches the upstream, the fault is counted once, everybody else is served. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {CustomerSnapshot, NodeSnapshot} from '#src/config/snapshot.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';

const PAIR = await makeCertificate(['acme.test']);
const BANNED = '127.9.0.1', OTHER = '127.8.0.1';
const HOUR_MS = 3_600_000;

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

async function createStage(context: TestContext, node: Partial<NodeSnapshot> = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const owner: CustomerSnapshot = {...acme([upstream.port]), certificates: [certificate(PAIR, ['acme.test'])]};
  const second: CustomerSnapshot = {...acme([upstream.port]), name: 'globex', sites: acme([upstream.port]).sites.map((site) => ({...site, hosts: ['globex.test']}))};
  return {upstream, proxy: await ProxyHarness.start(context, {customers: [owner, second], node: {listeners: [HTTP, HTTPS], ...node}})};
}

async function assertServed({proxy, upstream}: Stage, context: TestContext, address: string, host = 'acme.test', fields = ''): Promise<void> {
  const client = await proxy.connect(context, 'http', address);
  client.send(`GET /probe HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n`);
  assert.equal(statusOf(await client.response()), 200, `${address} is served`);
  assert.equal((await upstream.nextRequest()).startLine, 'GET /probe HTTP/1.1');
  client.destroy();
}

/** The bytes are answered with the fault's status; nothing reaches the upstream; the fault alone is counted, once. */
async function assertRefused({proxy, upstream}: Stage, context: TestContext, address: string, bytes: string, fault: FaultCode): Promise<void> {
  const before = proxy.faults(), bytesBefore = upstream.bytesReceived;
  const client = await proxy.connect(context, 'http', address);
  client.send(bytes);
  const response = await client.response();
  assert.equal(statusOf(response), FAULTS[fault].status);
  assert.equal(fieldOf(response, 'connection'), FAULTS[fault].reusable ? undefined : 'close');
  if (!FAULTS[fault].reusable) await client.ended();
  assert.equal(upstream.bytesReceived, bytesBefore, 'nothing reached the upstream');
  assert.deepEqual(proxy.faults(), {...before, [fault]: (before[fault] ?? 0) + 1});
  assert.doesNotMatch(response.body, /ban/i, 'the client learns nothing of bans');
  client.destroy();
}

test('banned from the node: reset before TLS and before a byte is read, and others are served', async (context) => {
  const stage = await createStage(context);
  const {proxy, upstream} = stage;
  proxy.ban(BANNED, HOUR_MS);
  for (const [index, listener] of ['http', 'https'].entries()) {
    const client = await proxy.connect(context, listener, BANNED);
    assert.equal(await client.ended(), 'reset');
    assert.equal(client.received, '');
    assert.deepEqual(proxy.faults(), {client_banned: index + 1});
  }
  assert.deepEqual([proxy.counter('connectionsOpened'), proxy.counter('tlsHandshakes'), upstream.bytesReceived], [0, 0, 0]);
  await assertServed(stage, context, OTHER);
  const secure = await proxy.connectTls(context, {servername: 'acme.test'});
  secure.send(PROBE);
  assert.equal(statusOf(await secure.response()), 200);
  assert.deepEqual(proxy.faults(), {client_banned: 2});
  assert.deepEqual(proxy.reports, []);
});

test('a whole network is banned', async (context) => {
  const stage = await createStage(context);
  stage.proxy.ban('127.9.0.0/16', HOUR_MS);
  await (await stage.proxy.connect(context, 'http', '127.9.255.254')).ended();
  assert.deepEqual(stage.proxy.faults(), {client_banned: 1});
  await assertServed(stage, context, '127.10.0.1');
});

test('a ban reaches connections that are open, with their next request', async (context) => {
  const stage = await createStage(context);
  const {proxy, upstream} = stage;
  const client = await proxy.connect(context, 'http', BANNED);
  client.send(PROBE);
  assert.equal(statusOf(await client.response()), 200);
  proxy.ban(BANNED, HOUR_MS);
  const bytesBefore = upstream.bytesReceived;
  client.send(PROBE);
  const response = await client.response();
  assert.deepEqual([statusOf(response), fieldOf(response, 'connection')], [403, 'close']);
  await client.ended();
  assert.equal(upstream.bytesReceived, bytesBefore);
  assert.deepEqual(proxy.faults(), {client_banned_here: 1});
});

test('banned by one customer: served by the others', async (context) => {
  const stage = await createStage(context);
  stage.proxy.ban(BANNED, HOUR_MS, 'acme');
  await assertRefused(stage, context, BANNED, PROBE, 'client_banned_here');
  await assertServed(stage, context, BANNED, 'globex.test');
  await assertServed(stage, context, OTHER);
});

test('a client behind a trusted proxy is refused, and its neighbours on the same connection are not', async (context) => {
  const stage = await createStage(context, {trustedProxies: ['127.0.0.0/8']});
  const {proxy, upstream} = stage;
  const forwarded = (client: string): string => `GET /probe HTTP/1.1\r\nhost: acme.test\r\nx-forwarded-for: ${client}\r\n\r\n`;
  proxy.ban('203.0.113.0/24', HOUR_MS);
  proxy.ban('2001:db8:1:2::/64', HOUR_MS, 'acme');
  await assertRefused(stage, context, OTHER, forwarded('203.0.113.9'), 'forwarded_client_banned');
  await assertRefused(stage, context, OTHER, forwarded('2001:db8:1:2::9'), 'forwarded_client_banned');
  const shared = await proxy.connect(context, 'http', OTHER);
  const statuses: number[] = [];
  for (const client of ['198.51.100.1', '203.0.113.9', '2001:db8:1:3::9']) {
    shared.send(forwarded(client));
    statuses.push(statusOf(await shared.response()));
  }
  assert.deepEqual(statuses, [200, 403, 200]);
  await assertRefused(stage, context, OTHER, forwarded('8.8.8.8, 203.0.113.9'), 'forwarded_client_banned');
  assert.equal(upstream.requests.length, 2);
});

test('a client of nobody\'s cannot name a banned address, nor hide behind another', async (context) => {
  const stage = await createStage(context);
  stage.proxy.ban('203.0.113.9', HOUR_MS, 'acme');
  await assertServed(stage, context, OTHER, 'acme.test', 'x-forwarded-for: 203.0.113.9\r\n');
  stage.proxy.ban(BANNED, HOUR_MS, 'acme');
  await assertRefused(stage, context, BANNED, PROBE.replace('\r\n\r\n', '\r\nx-forwarded-for: 198.51.100.1\r\n\r\n'), 'client_banned_here');
});

test('a ban ends on its second', async (context) => {
  const stage = await createStage(context);
  stage.proxy.ban(BANNED, 5_000);
  stage.proxy.time.pass(4_999);
  await (await stage.proxy.connect(context, 'http', BANNED)).ended();
  assert.deepEqual(stage.proxy.faults(), {client_banned: 1});
  stage.proxy.time.pass(1);
  await assertServed(stage, context, BANNED);
});

test('whom a reload allows is let in at once, though its network is banned', async (context) => {
  const stage = await createStage(context);
  const {proxy} = stage;
  proxy.ban('127.9.0.0/16', HOUR_MS);
  await (await proxy.connect(context, 'http', BANNED)).ended();
  await proxy.reload({node: {...proxy.node, bans: {allow: [`${BANNED}/32`]}}});
  await assertServed(stage, context, BANNED);
  await (await proxy.connect(context, 'http', '127.9.0.2')).ended();
  await eventually('it is counted', () => proxy.fault('client_banned') === 2);
});
