/** Connections are shared: what is idle may be borrowed, and under pressure whoever has more than its share gets no more. */
import assert from 'node:assert/strict';
import {after, test, type TestContext} from 'node:test';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, certificate, customer, node as makeNode, pool, route, site} from '#test/support/snapshots.ts';

/** The last quarter is the reserve. */
const PLACES = 40, FREE = 30;

const upstream = await FakeUpstream.start({after});
upstream.respond = () => OK;
const PAIRS = {acme: await makeCertificate(['acme.test']), globex: await makeCertificate(['globex.test'])} as const;
type Name = keyof typeof PAIRS;

async function start(context: TestContext, weights: Partial<Record<Name, number>>): Promise<ProxyHarness> {
  const customers = (Object.entries(weights) as [Name, number][]).map(([name, weight]): CustomerSnapshot => customer(name, {
    weight, certificates: [certificate(PAIRS[name], [`${name}.test`])], pools: [pool('app', [upstream.port])], sites: [site([`${name}.test`], [route('/')])],
  }));
  return ProxyHarness.start(context, {customers, node: {listeners: [HTTP, HTTPS], caps: {...makeNode().caps, connectionsMax: PLACES}}});
}

/** Connections in cleartext that stay open after one request. Returns the statuses. */
async function open(context: TestContext, proxy: ProxyHarness, name: Name, count: number): Promise<readonly {client: RawClient; status: number}[]> {
  const opened: {client: RawClient; status: number}[] = [];
  for (let i = 0; i < count; i++) {
    const client = await proxy.connect(context);
    client.send(`GET / HTTP/1.1\r\nhost: ${name}.test\r\n\r\n`);
    opened.push({client, status: statusOf(await client.response())});
  }
  return opened;
}

test('in cleartext: one borrows what is idle, gets 503 and the end in the reserve, and the other one finds a place whenever it comes', async (context) => {
  const proxy = await start(context, {acme: 1, globex: 1});
  assert.ok((await open(context, proxy, 'acme', FREE)).every(({status}) => status === 200));
  const before = upstream.requests.length;
  const client = await proxy.connect(context);
  client.send(PROBE);
  const refusal = await client.response();
  assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after'), fieldOf(refusal, 'connection')], [503, '5', 'close']);
  assert.equal(await client.ended(), 'orderly');
  client.destroy();
  await eventually('it is gone', () => proxy.placesOf('connections') === FREE);
  assert.equal(upstream.requests.length, before, 'nothing reached the application');
  assert.deepEqual(proxy.faults(), {connection_share_exceeded: 1});
  assert.ok((await open(context, proxy, 'globex', PLACES - FREE)).every(({status}) => status === 200), 'none of globex fails');
  assert.deepEqual([proxy.connectionsOf('acme'), proxy.connectionsOf('globex'), proxy.faults()], [FREE, PLACES - FREE, {connection_share_exceeded: 1}]);
});

for (const protocol of ['http/1.1', 'h2']) {
  test(`over TLS with ${protocol}: the connection ends at its hello, and the other customer is let in`, async (context) => {
    const proxy = await start(context, {acme: 1, globex: 1});
    await open(context, proxy, 'acme', FREE);
    const refused = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: [protocol]});
    await refused.ended();
    assert.deepEqual([refused.isSecure, proxy.fault('connection_share_exceeded')], [false, 1]);
    await eventually('it is gone', () => proxy.placesOf('connections') === FREE);
    const admitted = await proxy.connectTls(context, {servername: 'globex.test', ALPNProtocols: [protocol]});
    assert.equal(admitted.isSecure, true);
    await eventually('its handshake is over', () => proxy.placesOf('handshakes') === 0);
    assert.deepEqual([proxy.connectionsOf('acme'), proxy.connectionsOf('globex')], [FREE, 1]);
    assert.deepEqual(proxy.faults(), {connection_share_exceeded: 1});
  });
}

test('nobody stays on a connection that came in for another customer and goes on with one that has too much', async (context) => {
  const proxy = await start(context, {acme: 1, globex: 1});
  await open(context, proxy, 'acme', FREE);
  const [{client} = assert.fail()] = await open(context, proxy, 'globex', 1);
  client.send(PROBE);
  assert.equal(statusOf(await client.response()), 503);
  await client.ended();
  client.destroy();
  await eventually('it is gone', () => proxy.connectionsOf('globex') === 0);
  assert.deepEqual([proxy.connectionsOf('acme'), proxy.faults()], [FREE, {connection_share_exceeded: 1}]);
});

test('what ends goes to the one below its share, until both have theirs by weight', async (context) => {
  const proxy = await start(context, {acme: 1, globex: 2});
  const opened = await open(context, proxy, 'acme', FREE);
  for (const {client} of opened.slice(10)) client.destroy();
  await eventually('they are gone', () => proxy.placesOf('connections') === 10);
  proxy.pass(LIMITS.shareLevelMs);
  assert.ok((await open(context, proxy, 'globex', 20)).every(({status}) => status === 200));
  for (const name of ['acme', 'globex'] as const) {
    proxy.pass(LIMITS.shareLevelMs);
    const [{client, status} = assert.fail()] = await open(context, proxy, name, 1);
    assert.equal(status, 503, `${name} has its share`);
    client.destroy();
    await eventually('it is gone', () => proxy.placesOf('connections') === FREE);
  }
});

test('a customer that is alone on the node is refused by the cap only, however many connections say nothing', async (context) => {
  const proxy = await start(context, {acme: 1});
  await Promise.all(Array.from({length: 5}, () => proxy.connect(context)));
  assert.ok((await open(context, proxy, 'acme', PLACES - 5)).every(({status}) => status === 200));
  assert.equal(await (await proxy.connect(context)).ended(), 'reset');
  assert.deepEqual(proxy.faults(), {connections_total: 1});
});
