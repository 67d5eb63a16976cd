/** Which tunnels a reload leaves standing, and how the daemon's end comes to them. */
import assert from 'node:assert/strict';
import {suite, test} from 'node:test';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme, customer, node, pool, route, site} from '#test/support/snapshots.ts';
import {WEBSOCKET, accept, acceptance, handshake, openTunnel} from '#test/websocket/handshakes.ts';

/** Customers as they stand after the reload, made from the ports of the first server and of another one. */
type Change = (port: number, other: number) => readonly CustomerSnapshot[];

const ROUTE = {websocket: WEBSOCKET};

const STANDING: Readonly<Record<string, Change>> = {
  'nothing': (port) => [acme([port], {route: ROUTE})],
  'another server beside its own': (port, other) => [acme([other, port], {route: ROUTE})],
  'the settings of its pool': (port) => [acme([port], {route: ROUTE, pool: {connectionsMax: 7, balance: 'least_requests'}})],
  'the fields and timeouts of its route': (port) => [acme([port], {route: {...ROUTE, maxBodyBytes: 1, responseFields: {set: [['x-a', '1']], remove: []}}})],
  'another route for the same path and server': (port) => [customer('acme', {
    pools: [pool('other', [port])],
    sites: [site(['*.test', 'acme.test'], [route('/', {action: {type: 'respond', status: 503, contentType: 'text/plain', body: ''}}), route('/ws', {...ROUTE, action: {type: 'pool', pool: 'other'}})])],
  })],
  'another customer': (port) => [acme([port], {route: ROUTE}), customer('globex', {pools: [pool('app', [port])], sites: [site(['globex.test'], [route('/')])]})],
};

const ENDING: Readonly<Record<string, Change>> = {
  'its customer': () => [],
  'its host': (port) => [customer('acme', {pools: [pool('app', [port])], sites: [site(['www.acme.test'], [route('/', ROUTE)])]})],
  'its host, which is another customer\'s now': (port) => [
    customer('acme', {}), customer('globex', {pools: [pool('app', [port])], sites: [site(['acme.test'], [route('/', ROUTE)])]}),
  ],
  'its route': (port) => [customer('acme', {pools: [pool('app', [port])], sites: [site(['acme.test'], [route('/else', ROUTE)])]})],
  'its WebSockets': (port) => [acme([port], {route: {websocket: null}})],
  'its server': (_port, other) => [acme([other], {route: ROUTE})],
  'its client\'s access': (port) => [acme([port], {route: {...ROUTE, deny: ['127.0.0.0/8']}})],
  'its pool, for maintenance': () => [customer('acme', {sites: [site(['acme.test'], [route('/', {action: {type: 'respond', status: 503, contentType: 'text/plain', body: ''}})])]})],
};

suite('a reload changes', () => {
  for (const [what, change] of Object.entries(STANDING)) {
    test(`${what}: the tunnel stands`, async (context) => {
      const [upstream, other] = [await FakeUpstream.start(context), await FakeUpstream.start(context)];
      upstream.respond = accept;
      const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: ROUTE})]});
      const {client, peer} = await openTunnel(context, {proxy, upstream});
      await proxy.reload({customers: change(upstream.port, other.port)});
      client.send('still here');
      await eventually('it carries bytes', () => peer.received === 'still here');
      peer.send('so am I');
      await eventually('and back', () => client.received === 'so am I');
      peer.socket.end();
      await client.ended();
      assert.deepEqual([(await proxy.nextLogLine())['fault'], proxy.faults()], [null, {}]);
    });
  }
});

suite('a reload takes away', () => {
  for (const [what, change] of Object.entries(ENDING)) {
    test(`${what}: the tunnel ends`, async (context) => {
      const [upstream, other] = [await FakeUpstream.start(context), await FakeUpstream.start(context)];
      upstream.respond = accept;
      const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: ROUTE})]});
      const {client, peer} = await openTunnel(context, {proxy, upstream});
      peer.send('last words');
      await eventually('they are there', () => client.received !== '');
      await proxy.reload({customers: change(upstream.port, other.port)});
      assert.equal(await client.ended(), 'orderly');
      await eventually('the application\'s side ends', () => !peer.isOpen);
      assert.deepEqual([(await proxy.nextLogLine())['fault'], proxy.faults()], ['route_withdrawn', {route_withdrawn: 1}]);
    });
  }
});

test('a reload gives the path another route, to applications that decode its slashes: the tunnel ends', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = accept;
  const slashed = {...ROUTE, encodedSlashAllowed: true};
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: slashed})]});
  const {client} = await openTunnel(context, {proxy, upstream}, handshake({}, 'GET /ws%2fadmin HTTP/1.1'));
  await proxy.reload({customers: [customer('acme', {pools: [pool('app', [upstream.port])], sites: [site(['acme.test'], [route('/', slashed), route('/ws/admin', slashed)])]})]});
  assert.equal(await client.ended(), 'orderly');
  assert.deepEqual([(await proxy.nextLogLine())['fault'], proxy.faults()], ['route_withdrawn', {route_withdrawn: 1}]);
});

suite('a reload takes away, while the application takes its time,', () => {
  for (const [what, change] of Object.entries(ENDING)) {
    test(`${what}: no tunnel begins`, async (context) => {
      const [upstream, other] = [await FakeUpstream.start(context), await FakeUpstream.start(context)];
      upstream.respond = () => null;
      const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: ROUTE})]});
      const client = await proxy.connect(context);
      client.send(handshake());
      const {peer} = await upstream.nextRequest();
      await proxy.reload({customers: change(upstream.port, other.port)});
      peer.send(acceptance());
      await client.ended();
      await eventually('the application\'s side ends', () => !peer.isOpen);
      assert.deepEqual([client.received, (await proxy.nextLogLine())['fault'], proxy.faults()], ['', 'route_withdrawn', {route_withdrawn: 1}]);
    });
  }
});

test('a customer that is changed does not touch another one\'s tunnels', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = accept;
  const globex = customer('globex', {pools: [pool('app', [upstream.port])], sites: [site(['globex.test'], [route('/', ROUTE)])]});
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: ROUTE}), globex]});
  const {client, peer} = await openTunnel(context, {proxy, upstream});
  await proxy.reload({customers: [acme([upstream.port], {route: ROUTE})]});
  client.send('still here');
  await eventually('it carries bytes', () => peer.received === 'still here');
});

test('the end of the daemon leaves tunnels their time, then cuts them', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = accept;
  const proxy = await ProxyHarness.start(context, {node: node(), customers: [acme([upstream.port], {route: ROUTE})]});
  const {client, peer} = await openTunnel(context, {proxy, upstream});
  proxy.proxy.beginDrain();
  await settle();
  client.send('still here');
  await eventually('it carries bytes', () => peer.received === 'still here');
  assert.equal(proxy.proxy.openConnections, 1, 'the drain waits for it');
  await proxy.proxy.finish();
  await client.ended();
  await eventually('the application\'s side ends', () => !peer.isOpen);
  assert.deepEqual(proxy.faults(), {drain_expired: 1});
});
