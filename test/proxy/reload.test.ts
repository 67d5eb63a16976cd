/** A change of the configuration: what has not changed goes on, what is under way keeps what it was admitted with. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, acme, certificate, customer, pool, route, server, site} from '#test/support/snapshots.ts';

function get(host: string, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
}

async function ask(client: RawClient, host: string, path = '/'): Promise<number> {
  client.send(get(host, path));
  return statusOf(await client.response());
}

/** A customer whose only site answers with its own name. */
function named(name: string, hosts: readonly string[]): CustomerSnapshot {
  return customer(name, {pools: [pool('app', [1])], sites: [site(hosts, [route('/', {action: {type: 'respond', status: 200, contentType: 'text/plain', body: name}})])]});
}

async function bodyOf(client: RawClient, host: string): Promise<string> {
  client.send(get(host));
  const response = await client.response();
  return statusOf(response) === 200 ? response.body : String(statusOf(response));
}

describe('customers', () => {
  test('hosts are added, removed and moved between customers in one change, in any order', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test', 'b.test', '*.w.test']), named('two', ['c.test'])]});
    const client = await proxy.connect(context);
    const bodies = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const host of ['a.test', 'b.test', 'c.test', 'x.w.test', 'd.test']) found.push(await bodyOf(client, host));
      return found;
    };
    assert.deepEqual(await bodies(), ['one', 'one', 'two', 'one', '421']);
    await proxy.reload({customers: [named('one', ['a.test', 'c.test']), named('two', ['b.test', '*.w.test', 'd.test'])]});
    assert.deepEqual(await bodies(), ['one', 'two', 'one', 'two', 'two']);
    await proxy.reload({customers: [named('two', ['c.test', 'a.test']), named('one', ['b.test'])]});
    assert.deepEqual(await bodies(), ['two', 'one', 'two', '421', '421']);
    await proxy.reload({customers: [named('two', ['c.test'])]});
    assert.deepEqual(await bodies(), ['421', '421', 'two', '421', '421']);
  });

  test('a host that moves to a customer that is new while its former one goes away', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test'])]});
    const client = await proxy.connect(context);
    await proxy.reload({customers: [named('two', ['a.test'])]});
    assert.equal(await bodyOf(client, 'a.test'), 'two');
  });
});

describe('pools', () => {
  test('what has not changed keeps its connections, although all around it has', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const second = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
    const client = await proxy.connect(context);
    await ask(client, 'acme.test');
    const changed = customer('acme', {
      pools: [pool('app', [upstream.port, server(second.port, {drain: true})]), pool('new', [second.port])],
      sites: [site(['acme.test', 'new.test'], [route('/', {responseFields: {set: [['x-new', '1']], remove: []}})])],
    });
    await proxy.reload({customers: [changed, named('other', ['other.test'])]});
    client.send(get('acme.test'));
    assert.equal(fieldOf(await client.response(), 'x-new'), '1');
    assert.equal(upstream.peers.length, 1);
    assert.equal(upstream.requests.length, 2);
  });

  for (const [what, change] of [
    ['its pool', (port: number) => acme([port], {pool: {connectionsMax: 5}})], ['the customer\'s networks', (port: number) => ({...acme([port]), networks: ['127.0.0.1/32']})],
    ['its weight', (port: number) => acme([server(port, {weight: 2})])],
  ] as const) {
    test(`a server whose ${what.replace('its ', '').replace('the customer\'s ', '')} changed starts anew`, async (context) => {
      const upstream = await FakeUpstream.start(context);
      const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
      const client = await proxy.connect(context);
      await ask(client, 'acme.test');
      await proxy.reload({customers: [change(upstream.port)]});
      await eventually('the idle connection ends', () => upstream.openConnections === 0);
      assert.equal(await ask(client, 'acme.test'), 200);
      assert.equal(upstream.peers.length, 2);
    });
  }

  test('a request under way ends as it began, and its connection after it', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const other = await FakeUpstream.start(context);
    upstream.respond = () => null;
    const before = acme([upstream.port], {route: {responseFields: {set: [['x-config', 'old']], remove: []}}});
    const proxy = await ProxyHarness.start(context, {customers: [before]});
    const client = await proxy.connect(context);
    client.send(PROBE);
    const {peer} = await upstream.nextRequest();
    await proxy.reload({customers: [acme([other.port])]});
    await proxy.reload({customers: []});
    peer.send(OK);
    const response = await client.response();
    assert.equal(statusOf(response), 200);
    assert.equal(fieldOf(response, 'x-config'), 'old');
    await eventually('the connection is not kept', () => !peer.isOpen);
    assert.equal(await ask(client, 'acme.test'), 421);
  });

  test('health and ejection are kept', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const health = {type: 'tcp', path: '/', host: '', expect: [], intervalMs: 1000, timeoutMs: 1000, rise: 1, fall: 1} as const;
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {health}})]});
    proxy.slot('acme', 'app', upstream.port).health = 'down';
    await proxy.reload({customers: [acme([upstream.port], {pool: {health, connectionsMax: 7}})]});
    assert.equal(await ask(await proxy.connect(context), 'acme.test'), 503);
  });
});

describe('listeners', () => {
  test('are added and removed; connections of a removed one go on', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test'])]});
    const client = await proxy.connect(context);
    assert.equal(await bodyOf(client, 'a.test'), 'one');
    const {port} = {port: proxy.ports['http']};
    await proxy.reload({node: {...proxy.node, listeners: [{...HTTP, name: 'second'}]}});
    assert.deepEqual(Object.keys(proxy.ports), ['second']);
    assert.notEqual(proxy.ports['second'], port);
    assert.equal(await bodyOf(await proxy.connect(context, 'second'), 'a.test'), 'one');
    assert.equal(await bodyOf(client, 'a.test'), 'one');
  });

  test('change in place where no new socket is needed', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test'])]});
    const before = proxy.ports;
    const client = await proxy.connect(context);
    assert.equal(await bodyOf(client, 'a.test'), 'one');
    await proxy.reload({node: {...proxy.node, listeners: [{...HTTP, redirectToHttpsPort: 443}]}});
    assert.deepEqual(proxy.ports, before);
    assert.equal(await ask(await proxy.connect(context), 'a.test'), 308);
  });

  test('one that cannot be bound changes nothing at all', async (context) => {
    const taken = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test'])]});
    const listeners = [HTTP, {...HTTP, name: 'new'}, {...HTTP, name: 'taken', port: taken.port}];
    await assert.rejects(proxy.reload({node: {...proxy.node, listeners}, customers: [named('two', ['a.test'])]}), /EADDRINUSE/);
    assert.equal(await bodyOf(await proxy.connect(context), 'a.test'), 'one');
    assert.deepEqual(Object.keys(proxy.ports), ['http']);
  });

  test('timeouts and caps are those of the reload', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [named('one', ['a.test'])]});
    const client = await proxy.connect(context);
    await proxy.reload({node: {...proxy.node, timeouts: {...proxy.node.timeouts, keepAliveMs: 1_000}, caps: {connectionsMax: 2, connectionsPerClientMax: 2, handshakesMax: 1000, handshakesPerClientMax: 1000, requestsMax: 1000, requestsPerClientMax: 1000, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30}}});
    await bodyOf(client, 'a.test');
    await bodyOf(await proxy.connect(context), 'a.test');
    await (await proxy.connect(context)).ended();
    assert.deepEqual(proxy.faults(), {connections_total: 1});
    proxy.pass(1_500);
    assert.equal(await client.ended(), 'orderly');
  });
});

describe('certificates', () => {
  test('are swapped without dropping a connection', async (context) => {
    const withPair = async (lifeDays: number): Promise<CustomerSnapshot> => {
      const pair = await makeCertificate(['a.test'], new Date(Date.now() + lifeDays * 86_400_000));
      return {...named('one', ['a.test']), certificates: [certificate(pair, ['a.test'])]};
    };
    const proxy = await ProxyHarness.start(context, {customers: [await withPair(10)], node: {listeners: [HTTPS]}});
    const client = await proxy.connectTls(context, {servername: 'a.test'});
    const before = client.tls.getPeerCertificate().fingerprint;
    await proxy.reload({customers: [await withPair(20)]});
    assert.equal(await bodyOf(client, 'a.test'), 'one');
    const next = await proxy.connectTls(context, {servername: 'a.test'});
    assert.notEqual(next.tls.getPeerCertificate().fingerprint, before);
    assert.equal(await bodyOf(next, 'a.test'), 'one');
  });

  test('of a host that moves: who connected before has to connect again', async (context) => {
    const certificates = [certificate(await makeCertificate(['a.test']), ['a.test'])];
    const proxy = await ProxyHarness.start(context, {customers: [{...named('one', ['a.test', 'b.test']), certificates}], node: {listeners: [HTTPS]}});
    const client = await proxy.connectTls(context, {servername: 'a.test'});
    assert.equal(await bodyOf(client, 'a.test'), 'one');
    await proxy.reload({customers: [named('one', ['b.test']), {...named('two', ['a.test']), certificates}]});
    assert.equal(await bodyOf(client, 'a.test'), '421');
    assert.equal(await bodyOf(client, 'b.test'), 'one');
    assert.equal(await bodyOf(await proxy.connectTls(context, {servername: 'a.test'}), 'a.test'), 'two');
    assert.deepEqual(proxy.faults(), {host_foreign: 1});
  });
});

describe('draining', () => {
  async function stage(context: TestContext): Promise<{upstream: FakeUpstream; proxy: ProxyHarness; client: RawClient}> {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
    return {upstream, proxy, client: await proxy.connect(context)};
  }

  test('ends idle connections, and the others after their response, which says so', async (context) => {
    const {upstream, proxy, client: idle} = await stage(context);
    assert.equal(await ask(idle, 'acme.test'), 200);
    upstream.forget();
    upstream.respond = () => null;
    const busy = await proxy.connect(context);
    busy.send(PROBE);
    const {peer} = await upstream.nextRequest();
    proxy.proxy.beginDrain();
    assert.equal(await idle.ended(), 'orderly');
    assert.equal(busy.end, 'none');
    peer.send(OK);
    const response = await busy.response();
    assert.deepEqual([response.body, fieldOf(response, 'connection')], ['ok', 'close']);
    assert.equal(await busy.ended(), 'orderly');
    idle.destroy();
    busy.destroy();
    await eventually('nothing is open', () => proxy.proxy.openConnections === 0);
    await assert.rejects(async () => {
      const late = await proxy.connect(context);
      late.send(PROBE);
      await late.response();
    }, 'nobody accepts');
    assert.deepEqual(proxy.faults(), {});
  });

  test('a request that has begun to arrive is answered', async (context) => {
    const {proxy, client} = await stage(context);
    client.send(PROBE + PROBE.slice(0, 10));
    await client.response();
    proxy.proxy.beginDrain();
    await settle();
    assert.equal(client.end, 'none');
    client.send(PROBE.slice(10));
    assert.equal(fieldOf(await client.response(), 'connection'), 'close');
    await client.ended();
  });

  test('a client that has not read its answers yet gets them all, and its connection ends', async (context) => {
    const {upstream, proxy, client} = await stage(context), body = 'x'.repeat(64 * 1024);
    let asked = 0;
    upstream.respond = () => {
      asked++;
      return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    };
    client.socket.pause();
    // The last one waits until there is room for its answer.
    for (let sent = 0; asked === sent; sent++) {
      client.send(PROBE);
      await settle(20);
    }
    proxy.proxy.beginDrain();
    client.socket.resume();
    for (let read = 0; read < asked; read++) assert.equal((await client.response()).body.length, body.length);
    assert.equal(await client.ended(), 'orderly');
    client.destroy();
    await eventually('nothing is open', () => proxy.proxy.openConnections === 0);
    assert.deepEqual(proxy.faults(), {});
  });

  test('what does not end by itself is cut: drain_expired', async (context) => {
    const {upstream, proxy, client} = await stage(context);
    upstream.respond = () => null;
    client.send(PROBE);
    await upstream.nextRequest();
    proxy.proxy.beginDrain();
    await proxy.proxy.finish();
    await client.ended();
    await eventually('the upstream connection ends', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {drain_expired: 1});
    assert.match(proxy.readLogText(), /"fault":"drain_expired"/);
  });
});
