/** TLS handshakes of a customer, from the client's hello to their end: its cap, and its share when they are scarce. */
import assert from 'node:assert/strict';
import {after, describe, test, type TestContext} from 'node:test';
import type {CapsSnapshot, CustomerCapsSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {assertServes} from '#test/support/attack.ts';
import {makeClientHello} from '#test/support/client-hello.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {HTTP, HTTPS, TIMEOUTS, certificate, customer, node as makeNode, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const PAIRS = {acme: await makeCertificate(['acme.test']), globex: await makeCertificate(['globex.test'])} as const;
type Name = keyof typeof PAIRS;

function owner(name: Name, caps: Partial<CustomerCapsSnapshot> = {}): CustomerSnapshot {
  const made = customer(name, {certificates: [certificate(PAIRS[name], [`${name}.test`])], pools: [pool('app', [upstream.port])], sites: [site([`${name}.test`], [route('/')])]});
  return {...made, caps: {...made.caps, ...caps}};
}

async function start(context: TestContext, caps: {readonly node?: Partial<CapsSnapshot>; readonly acme?: Partial<CustomerCapsSnapshot>}): Promise<ProxyHarness> {
  const node = {listeners: [HTTP, HTTPS], caps: {...makeNode().caps, ...caps.node}};
  return ProxyHarness.start(context, {customers: [owner('acme', caps.acme), owner('globex')], node});
}

/** Says which customer it wants, and nothing more. */
async function hang(context: TestContext, proxy: ProxyHarness, name: Name): Promise<RawClient> {
  const client = await proxy.connect(context, 'https');
  client.socket.write(await makeClientHello({servername: `${name}.test`, rejectUnauthorized: false}));
  return client;
}

async function hangMany(context: TestContext, proxy: ProxyHarness, name: Name, count: number): Promise<readonly RawClient[]> {
  const before = proxy.placesOf('handshakes', name);
  const clients = await Promise.all(Array.from({length: count}, () => hang(context, proxy, name)));
  await eventually('all are in flight', () => proxy.placesOf('handshakes', name) === before + count);
  return clients;
}

async function succeeds(context: TestContext, proxy: ProxyHarness, name: Name): Promise<boolean> {
  const client = await proxy.connectTls(context, {servername: `${name}.test`});
  const {isSecure} = client;
  client.destroy();
  return isSecure;
}

describe('the cap', () => {
  test('handshakes_per_customer: one more than the cap ends at its hello; other customers are not concerned', async (context) => {
    const proxy = await start(context, {acme: {handshakesMax: 2}});
    const hanging = await hangMany(context, proxy, 'acme', 2);
    const before = upstream.bytesReceived;
    const refused = await hang(context, proxy, 'acme');
    await refused.ended();
    assert.equal(refused.received, '', 'nothing was signed for it');
    assert.deepEqual([upstream.bytesReceived, proxy.faults()], [before, {handshakes_per_customer: 1}]);
    assert.equal(await succeeds(context, proxy, 'globex'), true);
    assert.deepEqual([proxy.placesOf('handshakes', 'acme'), proxy.connectionsOf('acme')], [2, 2], 'what was refused has no place left');
    for (const client of hanging) client.destroy();
    await eventually('the places are free', () => proxy.placesOf('handshakes') === 0 && proxy.placesOf('connections') === 0);
    assert.deepEqual([proxy.placesOf('handshakes', 'acme'), proxy.connectionsOf('acme')], [0, 0]);
    assert.equal(await succeeds(context, proxy, 'acme'), true);
    await assertServes(context, {proxy, upstream});
    assert.deepEqual(proxy.faults(), {handshakes_per_customer: 1, tls_failed: 2});
  });

  test('handshakes that are done have no place, and the connections keep theirs', async (context) => {
    const proxy = await start(context, {acme: {handshakesMax: 1}});
    for (const protocol of ['http/1.1', 'h2', 'http/1.1']) {
      const client = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: [protocol]});
      assert.equal(client.isSecure, true);
      await eventually('the handshake is done on this side, too', () => proxy.placesOf('handshakes', 'acme') === 0);
    }
    assert.equal(proxy.connectionsOf('acme'), 3);
  });

  const ENDS: Readonly<Record<string, (hanging: RawClient, proxy: ProxyHarness) => Promise<void>>> = {
    'speaks no TLS any more': async (hanging) => { hanging.send('\x00'.repeat(100)); },
    'has taken too long': async (_, proxy) => { proxy.pass(TIMEOUTS.tlsHandshakeMs + 500); },
    'ends its side': async (hanging) => { hanging.socket.end(); },
  };
  for (const [what, end] of Object.entries(ENDS)) {
    test(`a place is free again when the client ${what}`, async (context) => {
      const proxy = await start(context, {acme: {handshakesMax: 1}});
      const [hanging = assert.fail()] = await hangMany(context, proxy, 'acme', 1);
      await end(hanging, proxy);
      await eventually('the places are free', () => proxy.placesOf('handshakes', 'acme') === 0 && proxy.connectionsOf('acme') === 0);
      assert.equal(proxy.placesOf('handshakes'), 0);
    });
  }

  test('a session that is resumed signs nothing, and needs no place of the customer', async (context) => {
    const proxy = await start(context, {acme: {handshakesMax: 1}});
    const first = await proxy.connectTls(context, {servername: 'acme.test'});
    await eventually('a session is here', () => first.session !== null);
    await hangMany(context, proxy, 'acme', 1);
    assert.ok(first.session !== null);
    const resumed = await proxy.connectTls(context, {servername: 'acme.test', session: first.session});
    assert.deepEqual([resumed.isSecure, resumed.tls.isSessionReused()], [true, true]);
  });
});

test('handshake_share_exceeded: who floods with hellos is refused in the reserve, and the other customer is let in', async (context) => {
  const proxy = await start(context, {node: {handshakesMax: 20}});
  await hangMany(context, proxy, 'acme', 15);
  const before = upstream.bytesReceived;
  for (let i = 0; i < 3; i++) {
    const refused = await hang(context, proxy, 'acme');
    await refused.ended();
    assert.equal(refused.received, '');
  }
  assert.deepEqual([upstream.bytesReceived, proxy.faults()], [before, {handshake_share_exceeded: 3}]);
  await hangMany(context, proxy, 'globex', 4);
  assert.equal(await succeeds(context, proxy, 'globex'), true);
  proxy.pass(LIMITS.shareLevelMs);
  assert.equal(await succeeds(context, proxy, 'acme'), false, 'acme has more than its half still');
  await assertServes(context, {proxy, upstream});
});
