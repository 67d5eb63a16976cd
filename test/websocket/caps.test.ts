/** How many WebSockets there may be, for a client and for a customer. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {parseIp} from '#src/core/ip.ts';
import {createSharedMemory, forgetPlacesOfThread} from '#src/control/shared-memory.ts';
import {identifyClient} from '#src/policy/client-identity.ts';
import {Tunnels, compileTunnelCaps, type TunnelPlace} from '#src/proxy/tunnels.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {acme, customer} from '#test/support/snapshots.ts';
import {WEBSOCKET, accept, handshake, openTunnel, type Stage} from '#test/websocket/handshakes.ts';

async function startCapped(context: TestContext, websocketsMax: number, websocketsPerClientMax: number): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = accept;
  const capped = {...acme([upstream.port], {route: {websocket: WEBSOCKET}}), caps: {websocketsMax, websocketsPerClientMax, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}};
  return {upstream, proxy: await ProxyHarness.start(context, {customers: [capped]})};
}

async function statusFrom(context: TestContext, {proxy}: Stage, address: string): Promise<number> {
  const client = await proxy.connect(context, 'http', address);
  client.send(handshake());
  return statusOf(await client.response());
}

test('a client has its cap; another one is not concerned; a place that is free again is given again', async (context) => {
  const stage = await startCapped(context, 10, 2);
  const first = await openTunnel(context, stage);
  await openTunnel(context, stage);
  const client = await stage.proxy.connect(context);
  client.send(handshake());
  const refusal = await client.response();
  assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after')], [429, '5']);
  assert.deepEqual(stage.proxy.faults(), {websockets_per_client: 1});
  assert.equal(await statusFrom(context, stage, '127.0.0.9'), 101);
  first.client.destroy();
  await eventually('its place is free', () => stage.proxy.customerCounter('acme', 'tunnelsClosed') === 1);
  client.send(handshake());
  assert.equal(statusOf(await client.response()), 101);
});

test('a customer has its cap', async (context) => {
  const stage = await startCapped(context, 2, 2);
  for (const [address, status] of [['127.0.0.2', 101], ['127.0.0.3', 101], ['127.0.0.4', 503]] as const) assert.equal(await statusFrom(context, stage, address), status);
  assert.deepEqual(stage.proxy.faults(), {websockets_total: 1});
});

test('a handshake that comes to nothing takes no place', async (context) => {
  const stage = await startCapped(context, 1, 1);
  stage.upstream.respond = () => OK;
  for (let i = 0; i < 3; i++) assert.equal(await statusFrom(context, stage, '127.0.0.1'), 200);
  stage.upstream.respond = () => 'HTTP/1.1 101 Switching Protocols\r\n\r\n';
  for (let i = 0; i < 3; i++) assert.equal(await statusFrom(context, stage, '127.0.0.1'), 502);
  stage.upstream.respond = accept;
  assert.equal(await statusFrom(context, stage, '127.0.0.1'), 101);
});

test('a cap that a reload changes counts those that are open', async (context) => {
  const stage = await startCapped(context, 2, 2);
  await openTunnel(context, stage);
  await openTunnel(context, stage);
  const more = {...acme([stage.upstream.port], {route: {websocket: WEBSOCKET}}), caps: {websocketsMax: 3, websocketsPerClientMax: 3, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}};
  await stage.proxy.reload({customers: [more]});
  assert.equal(await statusFrom(context, stage, '127.0.0.1'), 101);
  assert.equal(await statusFrom(context, stage, '127.0.0.1'), 503);
});

test('caps hold over all threads; customers are apart; what a dead thread held is free', () => {
  const memory = createSharedMemory(2, 100);
  const hash = new KeyedHash(memory.hashSecret);
  const ip = parseIp('192.0.2.1');
  assert.ok(ip !== null);
  const client = identifyClient(ip, 'https', hash);
  const [one, two] = [0, 1].map((thread) => new Tunnels(new ClientCounts(memory.tunnels, 2, thread)));
  assert.ok(one !== undefined && two !== undefined);
  const placeOf = (name: string): TunnelPlace => ({caps: compileTunnelCaps(customer(name, {caps: {websocketsMax: 3, websocketsPerClientMax: 2, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}}), hash), client});
  const [acmePlace, globexPlace] = [placeOf('acme'), placeOf('globex')];
  assert.deepEqual([one.takePlace(acmePlace), two.takePlace(acmePlace), one.takePlace(acmePlace)], [null, null, 'websockets_per_client']);
  assert.equal(two.takePlace(globexPlace), null, 'the same client has places of its own with another customer');
  forgetPlacesOfThread(memory, 2, 1);
  assert.deepEqual([one.takePlace(acmePlace), one.takePlace(acmePlace)], [null, 'websockets_per_client']);
  one.freePlace(acmePlace);
  one.freePlace(acmePlace);
  assert.equal(new ClientCounts(memory.tunnels, 2, 0).countOf(acmePlace.caps.keyHigh, acmePlace.caps.keyLow), 0);
});
