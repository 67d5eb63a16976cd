/** Where connections to servers come from, as the servers see it: traffic and probes, IPv4 and IPv6. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {CustomerSnapshot, HealthSnapshot} from '#src/config/snapshot.ts';
import {parseCidrs} from '#src/core/ip.ts';
import {probe} from '#src/control/probe.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {acme, HTTP, node, server} from '#test/support/snapshots.ts';

const HEALTH: HealthSnapshot = {type: 'http', path: '/', host: 'probe.test', expect: [[200, 200]], intervalMs: 1_000, timeoutMs: 5_000, rise: 1, fall: 1};

function from(customer: CustomerSnapshot, ipv4: string | null): CustomerSnapshot {
  return {...customer, sourceAddress: {ipv4, ipv6: null}};
}

/** Asks once, and returns the status and the address that the server saw. */
async function ask(context: TestContext, proxy: ProxyHarness, upstream: FakeUpstream): Promise<{status: number; peer: string | undefined}> {
  const client = await proxy.connect(context);
  client.send(PROBE);
  const status = statusOf(await client.response());
  return {status, peer: upstream.peers.at(-1)?.socket.remoteAddress};
}

test("traffic comes from the customer's source address", async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [from(acme([upstream.port]), '127.7.7.7')]});
  assert.deepEqual(await ask(context, proxy, upstream), {status: 200, peer: '127.7.7.7'});
});

test('without a source address the system chooses', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  assert.deepEqual(await ask(context, proxy, upstream), {status: 200, peer: '127.0.0.1'});
});

test('a connection from one source address is never used for another', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const customer = acme([upstream.port]);
  const proxy = await ProxyHarness.start(context, {customers: [from(customer, '127.7.7.7')]});
  assert.equal((await ask(context, proxy, upstream)).peer, '127.7.7.7');
  assert.equal((await ask(context, proxy, upstream)).peer, '127.7.7.7');
  assert.equal(upstream.peers.length, 1, 'the connection is reused while nothing changes');
  await proxy.reload({customers: [from(customer, '127.7.7.8')]});
  await eventually('the connection from the former address ends', () => upstream.openConnections === 0);
  assert.equal((await ask(context, proxy, upstream)).peer, '127.7.7.8');
});

test('a source address that this machine does not have is no fault of the server, and leads to no another address', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [from(acme([upstream.port]), '192.168.255.254')]});
  assert.equal((await ask(context, proxy, upstream)).status, 503);
  assert.equal(upstream.peers.length, 0);
});

test('IPv6 servers are reached from the IPv6 address', async (context) => {
  const upstream = await FakeUpstream.start(context, '::1');
  const customer = {...acme([server(upstream.port, {address: '::1'})]), networks: ['::1/128'], sourceAddress: {ipv4: '127.7.7.7', ipv6: '::1'}};
  const proxy = await ProxyHarness.start(context, {customers: [customer]});
  assert.deepEqual(await ask(context, proxy, upstream), {status: 200, peer: '::1'});
});

test('a listener that a reload adds is no upstream from then on', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  upstream.respond = () => 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';
  assert.equal((await ask(context, proxy, upstream)).status, 200);
  await proxy.reload({node: node({...proxy.node, listeners: [HTTP], admin: {address: '127.0.0.1', port: upstream.port}})});
  assert.equal((await ask(context, proxy, upstream)).status, 502);
  assert.equal(proxy.fault('endpoint_forbidden'), 1);
  assert.equal(upstream.peers.length, 1);
});

for (const type of ['http', 'tcp'] as const) {
  const probeFrom = (address: string, port: number, sourceAddress: string | null): Promise<string | null> => {
    const scope = {networks: parseCidrs(['127.0.0.0/8', '::1']), ownListeners: []};
    return probe({address, port, sourceAddress, protocol: 'http1', tls: null, scope, health: {...HEALTH, type}}, new AbortController().signal);
  };

  test(`probes come from the source address (${type})`, async (context) => {
    const upstream = await FakeUpstream.start(context);
    const seen: (string | undefined)[] = [];
    upstream.onPeer = (peer) => void seen.push(peer.socket.remoteAddress);
    assert.equal(await probeFrom('127.0.0.1', upstream.port, '127.7.7.7'), null);
    await eventually('the server has seen the probe', () => seen.length === 1);
    assert.deepEqual(seen, ['127.7.7.7']);
  });

  test(`a probe from an address that this machine does not have says so (${type})`, async (context) => {
    const upstream = await FakeUpstream.start(context);
    assert.equal(await probeFrom('127.0.0.1', upstream.port, '192.168.255.254'), 'EADDRNOTAVAIL');
    assert.equal(upstream.peers.length, 0);
  });
}
