/** Places of TLS handshakes, by node and client, and of connections, by customer: who gets none, and when one is free again. */
import assert from 'node:assert/strict';
import {after, describe, test, type TestContext} from 'node:test';
import type {CapsSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, TIMEOUTS, certificate, customer, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
upstream.respond = () => OK;
const PAIRS = {acme: await makeCertificate(['acme.test']), globex: await makeCertificate(['globex.test'])} as const;
const CAPS: CapsSnapshot = {connectionsMax: 100, connectionsPerClientMax: 100, handshakesMax: 100, handshakesPerClientMax: 100, requestsMax: 100, requestsPerClientMax: 100, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30};

function owner(name: keyof typeof PAIRS, connectionsMax = 1000): CustomerSnapshot {
  return customer(name, {
    certificates: [certificate(PAIRS[name], [`${name}.test`])], pools: [pool('app', [upstream.port])], sites: [site([`${name}.test`], [route('/')])],
    caps: {websocketsMax: 1, websocketsPerClientMax: 1, connectionsMax, handshakesMax: 1000, requestsMax: 100, bufferedBytesMax: 2 ** 30},
  });
}

async function start(context: TestContext, caps: Partial<CapsSnapshot>, acmeConnectionsMax?: number): Promise<ProxyHarness> {
  const customers = [owner('acme', acmeConnectionsMax), owner('globex')];
  return ProxyHarness.start(context, {customers, node: {listeners: [HTTP, HTTPS], caps: {...CAPS, ...caps}}});
}

async function get(client: RawClient, host: string): Promise<RawMessage> {
  client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  return client.response();
}

function handshakesOf(proxy: ProxyHarness): number {
  assert.equal(proxy.placeOfClient('handshakes'), proxy.placesOf('handshakes'), 'all are of one client');
  return proxy.placesOf('handshakes');
}

describe('TLS handshakes in flight', () => {
  test('connections whose handshake is done have no place, however many they are', async (context) => {
    const proxy = await start(context, {handshakesMax: 1, handshakesPerClientMax: 1});
    for (let i = 0; i < 5; i++) {
      const client = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: i % 2 === 0 ? ['h2'] : ['http/1.1']});
      assert.equal(client.isSecure, true);
      // The client has its last word later than it believes itself done.
      await eventually('the handshake is done on this side, too', () => handshakesOf(proxy) === 0);
    }
    assert.equal(proxy.counter('connectionsClosed'), 0);
    assert.deepEqual(proxy.faults(), {});
  });

  const ENDS: Readonly<Record<string, (silent: RawClient) => void>> = {
    'goes away': (silent) => silent.destroy(),
    'speaks, and no TLS': (silent) => silent.send('GET / HTTP/1.1\r\n\r\n'),
  };
  for (const [what, end] of Object.entries(ENDS)) {
    test(`a silent client keeps its place until it ${what}; cleartext is not concerned`, async (context) => {
      const proxy = await start(context, {handshakesPerClientMax: 1});
      const silent = await proxy.connect(context, 'https');
      await eventually('the handshake is counted', () => handshakesOf(proxy) === 1);
      const refused = await proxy.connectTls(context, {servername: 'acme.test'});
      assert.deepEqual([await refused.ended(), refused.isSecure, proxy.fault('handshakes_per_client')], ['reset', false, 1]);
      assert.equal(statusOf(await get(await proxy.connect(context), 'acme.test')), 200);
      end(silent);
      await eventually('the place is free', () => handshakesOf(proxy) === 0);
      assert.equal(statusOf(await get(await proxy.connectTls(context, {servername: 'acme.test'}), 'acme.test')), 200);
      assert.equal(proxy.counter('connectionsOpened'), 3, 'who is refused is not counted as open');
    });
  }

  test('a silent client keeps its place no longer than a handshake may take', async (context) => {
    const proxy = await start(context, {handshakesPerClientMax: 1});
    await proxy.reload({node: {...proxy.node, timeouts: {...TIMEOUTS, tlsHandshakeMs: 2_000}}});
    const silent = await proxy.connect(context, 'https');
    await eventually('the handshake is counted', () => handshakesOf(proxy) === 1);
    // Part of a record: what comes meanwhile moves nothing.
    proxy.passAlmost(2_000);
    silent.send('\x16\x03');
    assert.equal(handshakesOf(proxy), 1);
    proxy.passRest();
    await silent.ended();
    assert.equal(handshakesOf(proxy), 0);
    assert.deepEqual(proxy.faults(), {tls_timeout: 1});
  });

  test('a cap that a reload changes counts those in flight', async (context) => {
    const proxy = await start(context, {handshakesMax: 1});
    await proxy.connect(context, 'https');
    await eventually('the handshake is counted', () => handshakesOf(proxy) === 1);
    await proxy.reload({node: {...proxy.node, caps: {...CAPS, handshakesMax: 2}}});
    await proxy.connect(context, 'https');
    await eventually('the second is counted', () => handshakesOf(proxy) === 2);
    assert.equal(await (await proxy.connect(context, 'https')).ended(), 'reset');
    assert.deepEqual(proxy.faults(), {handshakes_total: 1});
  });
});

describe('connections of a customer', () => {
  test('in cleartext: 503 and the end; other customers are not concerned, nor are those that are open', async (context) => {
    const proxy = await start(context, {}, 1);
    const first = await proxy.connect(context), second = await proxy.connect(context);
    assert.equal(statusOf(await get(first, 'acme.test')), 200);
    const before = upstream.requests.length;
    const refusal = await get(second, 'acme.test');
    assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after'), fieldOf(refusal, 'connection')], [503, '5', 'close']);
    assert.equal(await second.ended(), 'orderly');
    assert.equal(upstream.requests.length, before, 'nothing reached the application');
    assert.deepEqual(proxy.faults(), {connections_per_customer: 1});
    assert.equal(statusOf(await get(await proxy.connect(context), 'globex.test')), 200);
    assert.equal(statusOf(await get(first, 'acme.test')), 200);
    assert.equal(proxy.connectionsOf('acme'), 1);
    first.destroy();
    await eventually('the place is free', () => proxy.connectionsOf('acme') === 0);
    assert.equal(statusOf(await get(await proxy.connect(context), 'acme.test')), 200);
  });

  test('nobody comes in with the host of one customer and goes on with that of another', async (context) => {
    const proxy = await start(context, {}, 1);
    const one = await proxy.connect(context), two = await proxy.connect(context);
    for (const client of [one, two]) assert.equal(statusOf(await get(client, 'globex.test')), 200);
    assert.deepEqual([proxy.connectionsOf('acme'), proxy.connectionsOf('globex')], [0, 2]);
    assert.equal(statusOf(await get(one, 'acme.test')), 200);
    assert.deepEqual([proxy.connectionsOf('acme'), proxy.connectionsOf('globex')], [1, 1]);
    assert.equal(statusOf(await get(two, 'acme.test')), 503);
    await two.ended();
    two.destroy();
    assert.equal(statusOf(await get(one, 'globex.test')), 200);
    await eventually('the refused one is gone', () => proxy.connectionsOf('globex') === 1);
    assert.equal(proxy.connectionsOf('acme'), 0);
  });

  for (const protocol of ['http/1.1', 'h2']) {
    test(`over TLS with ${protocol} the connection ends within its handshake, before any request`, async (context) => {
      const proxy = await start(context, {}, 1);
      const first = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: [protocol]});
      await eventually('it is counted without a request', () => proxy.connectionsOf('acme') === 1);
      const second = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: [protocol]});
      await second.ended();
      assert.equal(second.received, '');
      assert.deepEqual(proxy.faults(), {connections_per_customer: 1});
      assert.equal(statusOf(await get(await proxy.connectTls(context, {servername: 'globex.test'}), 'globex.test')), 200);
      first.destroy();
      await eventually('the place is free', () => proxy.connectionsOf('acme') === 0);
      assert.equal(statusOf(await get(await proxy.connectTls(context, {servername: 'acme.test'}), 'acme.test')), 200);
    });
  }

  test('a resumed session of TLS 1.2, which does not tell its name, counts with its first request', async (context) => {
    const proxy = await start(context, {}, 1);
    const options = {servername: 'acme.test', maxVersion: 'TLSv1.2'} as const;
    const first = await proxy.connectTls(context, options);
    assert.equal(statusOf(await get(first, 'acme.test')), 200);
    await eventually('a session is here', () => first.session !== null);
    assert.ok(first.session !== null);
    const resumed = await proxy.connectTls(context, {...options, session: first.session});
    assert.equal(resumed.tls.isSessionReused(), true);
    assert.equal(statusOf(await get(resumed, 'acme.test')), 503);
    await resumed.ended();
    assert.deepEqual(proxy.faults(), {connections_per_customer: 1});
  });

  test('a reload changes the cap and not the count, and a connection gives its place back to the customer that it took it from', async (context) => {
    const proxy = await start(context, {}, 1);
    const first = await proxy.connect(context);
    assert.equal(statusOf(await get(first, 'acme.test')), 200);
    await proxy.reload({customers: [owner('acme', 2), owner('globex')]});
    assert.equal(statusOf(await get(first, 'acme.test')), 200);
    const second = await proxy.connect(context);
    assert.equal(statusOf(await get(second, 'acme.test')), 200);
    assert.equal(proxy.connectionsOf('acme'), 2);
    assert.equal(statusOf(await get(await proxy.connect(context), 'acme.test')), 503);
    for (const client of [first, second]) client.destroy();
    await eventually('all are free', () => proxy.connectionsOf('acme') === 0);
  });
});
