/** When a request is sent a second time: never, where it could be carried out twice. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {acme, customer, pool, route, server, site} from '#test/support/snapshots.ts';

const GET = 'GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello';
const PUT = POST.replace('POST', 'PUT');
/** Larger than the buffer of its route. */
const STREAMED = `PUT / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 50\r\n\r\n${'a'.repeat(50)}`;

/** A port where nobody listens. */
async function deadPort(context: TestContext): Promise<number> {
  const upstream = await FakeUpstream.start(context);
  const {port} = upstream;
  await upstream.stop();
  return port;
}

describe('the race of a connection that ends while a request is on its way', () => {
  interface Race {
    readonly proxy: ProxyHarness;
    readonly upstream: FakeUpstream;
    readonly client: RawClient;
  }

  /** A connection has answered once; the next request on it is met with `end`. */
  async function race(context: TestContext, end: (request: UpstreamRequest) => void): Promise<Race> {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {requestBufferBytes: 40}, pool: {passive: {failures: 1, forMs: 60_000}}})]});
    const client = await proxy.connect(context);
    client.send(GET);
    await client.response();
    const first = upstream.peers[0];
    upstream.respond = (request) => {
      if (request.peer !== first) return OK;
      end(request);
      return null;
    };
    return {proxy, upstream, client};
  }

  for (const [what, request] of [['GET', GET], ['PUT', PUT]] as const) {
    test(`${what} is sent again over a new connection`, async (context) => {
      const {proxy, upstream, client} = await race(context, ({peer}) => { peer.socket.resetAndDestroy(); });
      client.send(request);
      assert.equal(statusOf(await client.response()), 200);
      assert.equal(upstream.peers.length, 2);
      assert.equal(upstream.requests.at(-1)?.body, request === GET ? '' : 'hello');
      assert.equal(proxy.counter('retries'), 1);
      assert.equal(proxy.slot('acme', 'app', upstream.port).failures, 0, 'it is nobody\'s failure');
    });
  }

  for (const [what, end] of [
    ['a reset', ({peer}) => { peer.socket.resetAndDestroy(); }], ['an orderly end', ({peer}) => { peer.socket.end(); }],
    ['the beginning of an answer', ({peer}) => { peer.socket.end('HTTP/1.1 2'); }],
  ] as const satisfies readonly (readonly [string, (request: UpstreamRequest) => void])[]) {
    test(`POST is not, after ${what}: the application may have taken the order and died (RFC 9110 §9.2.2)`, async (context) => {
      const {proxy, upstream, client} = await race(context, end);
      client.send(POST);
      assert.equal(statusOf(await client.response()), 502);
      assert.equal(upstream.requests.length, 2);
      assert.deepEqual([proxy.faults(), proxy.counter('retries')], [{upstream_closed: 1}, 0]);
    });
  }

  for (const [what, request, idleMs, connections] of [
    ['POST goes over a connection that has just answered', POST, LIMITS.unsafeIdleMs, 1], ['but not over one that was idle for longer', POST, LIMITS.unsafeIdleMs + 1, 2],
    ['GET does', GET, 19_000, 1],
  ] as const) {
    test(what, async (context) => {
      const {proxy, upstream, client} = await race(context, ({peer}) => { peer.send(OK); });
      proxy.time.pass(idleMs);
      client.send(request);
      assert.equal(statusOf(await client.response()), 200);
      assert.equal(upstream.peers.length, connections);
      client.send(GET);
      await client.response();
      assert.equal(upstream.peers.length, connections, 'the one that was used last is used again');
    });
  }

  test('a body that was not kept is not', async (context) => {
    const {proxy, upstream, client} = await race(context, ({peer}) => { peer.socket.resetAndDestroy(); });
    client.send(STREAMED.slice(0, -5));
    await eventually('it streams', () => upstream.bytesReceived > GET.length + 45);
    client.send(STREAMED.slice(-5));
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(proxy.counter('retries'), 0);
    assert.equal(upstream.peers.length, 1);
  });

  test('more than once is not', async (context) => {
    const {upstream, client} = await race(context, () => undefined);
    upstream.respond = ({peer}) => {
      peer.socket.resetAndDestroy();
      return null;
    };
    client.send(GET);
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(upstream.requests.length, 3);
  });
});

describe('a server that fails', () => {
  for (const [what, request] of [['GET', GET], ['POST', POST]] as const) {
    test(`where nobody listens, ${what} goes to another one, once`, async (context) => {
      const upstream = await FakeUpstream.start(context);
      const proxy = await ProxyHarness.start(context, {customers: [acme([await deadPort(context), upstream.port])]});
      const client = await proxy.connect(context);
      client.send(request);
      assert.equal(statusOf(await client.response()), 200);
      assert.deepEqual(proxy.faults(), {connect_failed: 1});
      assert.equal(proxy.counter('retries'), 1);
      const line = await proxy.nextLogLine();
      assert.deepEqual([line['fault'], line['upstream']], [null, `127.0.0.1:${upstream.port}`]);
    });
  }

  test('and no other one: 502', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [acme([await deadPort(context)])]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 502);
    assert.deepEqual(proxy.faults(), {connect_failed: 1});
    assert.equal(proxy.counter('retries'), 0);
  });

  test('two of three where nobody listens: only two are tried', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([await deadPort(context), await deadPort(context), upstream.port])]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(upstream.peers.length, 0);
  });

  for (const [what, request, status, tried] of [['GET', GET, 200, 1], ['POST', POST, 502, 0]] as const) {
    test(`on a new connection: ${what} ${status === 200 ? 'goes to another one' : 'does not'}`, async (context) => {
      const broken = await FakeUpstream.start(context);
      broken.respond = ({peer}) => {
        peer.socket.resetAndDestroy();
        return null;
      };
      const upstream = await FakeUpstream.start(context);
      const proxy = await ProxyHarness.start(context, {customers: [acme([broken.port, upstream.port])]});
      const client = await proxy.connect(context);
      client.send(request);
      assert.equal(statusOf(await client.response()), status);
      assert.equal(upstream.requests.length, tried);
      assert.equal(broken.requests.length, 1);
      assert.deepEqual(proxy.faults(), {upstream_closed: 1});
    });
  }

  test('with an invalid answer is not replaced: the request was carried out', async (context) => {
    const broken = await FakeUpstream.start(context);
    broken.respond = () => 'nonsense\r\n\r\n';
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([broken.port, upstream.port])]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(upstream.requests.length, 0);
  });
});

describe('nothing of one customer is used for another', () => {
  test('no connection, although both have the same server', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const other = customer('other', {pools: [pool('app', [upstream.port])], sites: [site(['other.test'], [route('/')])]});
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port]), other]});
    const client = await proxy.connect(context);
    for (const host of ['acme.test', 'other.test', 'acme.test', 'other.test']) {
      client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      await client.response();
    }
    assert.deepEqual(upstream.peers.map(({requests}) => requests.map(({fields}) => fields[0]?.[1])), [['acme.test', 'acme.test'], ['other.test', 'other.test']]);
  });

  test('no connection of another pool or server of the same customer', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const second = await FakeUpstream.start(context);
    const two = customer('acme', {pools: [pool('app', [upstream.port, second.port]), pool('b', [upstream.port])], sites: [site(['acme.test'], [
      route('/'), route('/b', {action: {type: 'pool', pool: 'b'}}),
    ])]});
    const proxy = await ProxyHarness.start(context, {customers: [two]});
    const client = await proxy.connect(context);
    for (const path of ['/', '/b', '/', '/b', '/']) {
      client.send(`GET ${path} HTTP/1.1\r\nhost: acme.test\r\n\r\n`);
      await client.response();
    }
    assert.deepEqual(upstream.peers.map(({requests}) => requests.map(({startLine}) => startLine)), [
      ['GET / HTTP/1.1', 'GET / HTTP/1.1'], ['GET /b HTTP/1.1', 'GET /b HTTP/1.1'],
    ]);
    assert.equal(second.requests.length, 1);
  });

  test('an address outside the customer\'s networks is never dialled, whatever the configuration says', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [{...acme([upstream.port]), networks: ['10.0.0.0/8']}]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(upstream.peers.length, 0);
    assert.deepEqual(proxy.faults(), {endpoint_forbidden: 1});
    assert.equal(proxy.slot('acme', 'app', upstream.port).connections, 0);
  });
});

describe('which server', () => {
  async function serve(context: TestContext, count: number, overrides: Parameters<typeof acme>[1] = {}): Promise<{upstreams: FakeUpstream[]; proxy: ProxyHarness}> {
    const upstreams: FakeUpstream[] = [];
    for (let i = 0; i < count; i++) upstreams.push(await FakeUpstream.start(context));
    return {upstreams, proxy: await ProxyHarness.start(context, {customers: [acme(upstreams.map(({port}) => port), overrides)]})};
  }

  test('the one with the fewest requests in flight', async (context) => {
    const {upstreams: [busy, free], proxy} = await serve(context, 2, {pool: {balance: 'least_requests'}});
    assert.ok(busy !== undefined && free !== undefined);
    busy.respond = () => null;
    (await proxy.connect(context)).send(GET);
    await busy.nextRequest();
    const client = await proxy.connect(context);
    for (let i = 0; i < 5; i++) {
      client.send(GET);
      await client.response();
    }
    assert.equal(free.requests.length, 5);
    assert.equal(proxy.slot('acme', 'app', busy.port).requests, 1);
  });

  test('not one that has failed repeatedly, for a while', async (context) => {
    const {upstreams: [broken, sound], proxy} = await serve(context, 2, {pool: {passive: {failures: 2, forMs: 5_000}}});
    assert.ok(broken !== undefined && sound !== undefined);
    broken.respond = () => 'nonsense\r\n\r\n';
    const client = await proxy.connect(context);
    const statuses = async (count: number): Promise<number[]> => {
      const found: number[] = [];
      for (let i = 0; i < count; i++) {
        client.send(GET);
        found.push(statusOf(await client.response()));
      }
      return found;
    };
    assert.deepEqual(await statuses(7), [502, 200, 502, 200, 200, 200, 200]);
    proxy.pass(5_500);
    assert.ok((await statuses(2)).includes(502), 'it gets another chance');
  });

  test('a backup while no other one can be; a drained one never', async (context) => {
    const backup = await FakeUpstream.start(context);
    const drained = await FakeUpstream.start(context);
    const dead = await deadPort(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([server(drained.port, {drain: true}), dead, server(backup.port, {backup: true})])]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(backup.requests.length, 1);
    assert.equal(drained.peers.length, 0);
  });

  test('none that probes found down: 503', async (context) => {
    const {upstreams: [upstream], proxy} = await serve(context, 1, {pool: {health: {
      type: 'tcp', path: '/', host: '', expect: [], intervalMs: 1000, timeoutMs: 1000, rise: 1, fall: 1,
    }}});
    assert.ok(upstream !== undefined);
    const slot = proxy.slot('acme', 'app', upstream.port);
    const client = await proxy.connect(context);
    const statuses: number[] = [];
    for (const state of ['pending', 'down', 'up'] as const) {
      slot.health = state;
      client.send(GET);
      statuses.push(statusOf(await client.response()));
    }
    assert.deepEqual(statuses, [200, 503, 200]);
    assert.deepEqual(proxy.faults(), {endpoint_unavailable: 1});
  });

  test('none that has all the connections that it may have: 503', async (context) => {
    const {upstreams: [upstream], proxy} = await serve(context, 1, {pool: {connectionsMax: 1}});
    assert.ok(upstream !== undefined);
    upstream.respond = () => null;
    (await proxy.connect(context)).send(GET);
    const {peer} = await upstream.nextRequest();
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 503);
    assert.deepEqual(proxy.faults(), {endpoint_saturated: 1});
    upstream.respond = () => OK;
    peer.send(OK);
    await eventually('the connection is free', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 200);
  });

  test('idle connections of other threads are in the way of nobody, and are not added to beyond the cap', async (context) => {
    const {upstreams: [upstream], proxy} = await serve(context, 1, {pool: {connectionsMax: 1}});
    assert.ok(upstream !== undefined);
    const slot = proxy.slot('acme', 'app', upstream.port);
    const client = await proxy.connect(context);
    // The idle connection of another thread.
    slot.openConnection();
    for (let i = 0; i < 3; i++) {
      client.send(GET);
      assert.equal(statusOf(await client.response()), 200);
      assert.deepEqual([slot.requests, slot.connections], [0, 1], 'it is not kept');
    }
    slot.closeConnection();
    for (let i = 0; i < 3; i++) {
      client.send(GET);
      assert.equal(statusOf(await client.response()), 200);
      assert.deepEqual([slot.requests, slot.connections], [0, 1], 'it is kept');
    }
    assert.equal(proxy.counter('upstreamConnectionsReused'), 2);
  });

  test('no connection beyond the cap where one is too old for a request that must not be sent twice: it makes room', async (context) => {
    const {upstreams: [upstream], proxy} = await serve(context, 1, {pool: {connectionsMax: 1}});
    assert.ok(upstream !== undefined);
    const client = await proxy.connect(context);
    for (const request of [GET, POST, GET]) {
      client.send(request);
      assert.equal(statusOf(await client.response()), 200);
      proxy.time.pass(LIMITS.unsafeIdleMs + 1);
    }
    await eventually('one is left', () => upstream.openConnections === 1);
    assert.equal(upstream.peers.length, 2);
  });

  test('one that this machine cannot connect to: 503, no other attempt, and the server is not blamed', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const owner = {...acme([upstream.port], {pool: {passive: {failures: 1, forMs: 60_000}}}), sourceAddress: {ipv4: '192.0.2.1', ipv6: null}};
    const proxy = await ProxyHarness.start(context, {customers: [owner]});
    const client = await proxy.connect(context);
    client.send(GET);
    assert.equal(statusOf(await client.response()), 503);
    assert.deepEqual(proxy.faults(), {connect_unavailable: 1});
    const slot = proxy.slot('acme', 'app', upstream.port);
    assert.deepEqual([slot.failures, slot.isEjected(proxy.time.monotonicMs())], [0, false]);
  });
});
