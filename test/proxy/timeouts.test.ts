/** Every timeout, by moving the clock: it has not fired just before its time, and has fired right after. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {PROBE} from '#test/support/attack.ts';
import {startDeafListener} from '#test/support/deaf-listener.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS, TIMEOUTS, acme} from '#test/support/snapshots.ts';
import type {RawClient} from '#test/support/raw-client.ts';

/** All of them differ, so that one that is mistaken for another shows. */
const ROUTE: RouteTimeoutsSnapshot = {connectMs: 4_000, requestBodyIdleMs: 7_000, requestBodyRateMin: 512, responseHeadMs: 11_000, responseIdleMs: 17_000, responseRateMin: 512, eventStreamIdleMs: 23_000};

interface Stage {
  readonly upstream: FakeUpstream;
  readonly proxy: ProxyHarness;
  readonly client: RawClient;
}

async function stage(context: TestContext, requestBufferBytes = 64 * 1024): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {timeouts: ROUTE, requestBufferBytes}})]});
  return {upstream, proxy, client: await proxy.connect(context)};
}

/** Passes the time; the client reads nothing before, and the answer after. */
async function expectAnswer({proxy, client}: Stage, timeoutMs: number, status: number): Promise<void> {
  proxy.passAlmost(timeoutMs);
  assert.equal(client.received, '');
  proxy.passRest();
  assert.equal(statusOf(await client.response()), status);
}

/** Sends a request that the upstream gets and does not answer. */
async function ask({upstream, client}: Stage, request = PROBE): Promise<UpstreamRequest> {
  upstream.respond = () => null;
  client.send(request);
  return upstream.nextRequest();
}

/** What buys the whole time of silence back. */
const PIECE_BYTES = 7 * 512;

/** Sends a piece each time that the client's patience is nearly over. */
async function sendPieces({upstream, proxy, client}: Stage, pieces: number): Promise<void> {
  for (let i = 0; i < pieces; i++) {
    proxy.passAlmost(ROUTE.requestBodyIdleMs);
    const before = upstream.bytesReceived;
    client.send('b'.repeat(PIECE_BYTES));
    await eventually('the piece is handed on', () => upstream.bytesReceived === before + PIECE_BYTES);
  }
}

describe('the client is slow', () => {
  test('with its first byte: the connection ends without a word', async (context) => {
    const {proxy, client} = await stage(context);
    await eventually('the connection is accepted', () => proxy.proxy.openConnections === 1);
    proxy.passAlmost(TIMEOUTS.requestHeadMs);
    assert.equal(proxy.proxy.openConnections, 1);
    proxy.passRest();
    assert.equal(proxy.proxy.openConnections, 0);
    assert.equal(await client.ended(), 'orderly');
    assert.equal(client.received, '');
    assert.deepEqual(proxy.faults(), {client_idle: 1});
  });

  test('within a body that no route waits for: it has the time of the node, not that of the route before', async (context) => {
    const {proxy, client} = await stage(context);
    client.send(PROBE);
    await client.response();
    client.send('POST / HTTP/1.1\r\nhost: unknown.test\r\ncontent-length: 10\r\n\r\nhello');
    assert.equal(statusOf(await client.response()), 421);
    proxy.passAlmost(TIMEOUTS.requestBodyIdleMs);
    assert.equal(proxy.proxy.openConnections, 1);
    proxy.passRest();
    assert.equal(proxy.proxy.openConnections, 0);
  });

  test('and a bug is met at its deadline: its connection is lost, and the others are answered', async (context) => {
    const {proxy, client} = await stage(context);
    const other = await proxy.connect(context);
    for (const each of [client, other]) each.send('GET / HTTP/1.1\r\n');
    await eventually('both are here', () => proxy.proxy.openConnections === 2);
    await settle();
    const {time} = proxy;
    const unixMs = time.unixMs.bind(time);
    time.unixMs = (): never => {
      time.unixMs = unixMs;
      throw new Error('broken');
    };
    proxy.pass(TIMEOUTS.requestHeadMs + 500);
    assert.equal(proxy.fault('internal'), 1);
    assert.equal(proxy.reports.length, 1);
    await eventually('the other one is answered', () => client.received.startsWith('HTTP/1.1 408') !== other.received.startsWith('HTTP/1.1 408'));
  });

  test('within a head, whatever it sends meanwhile: 408', async (context) => {
    const set = await stage(context);
    const {proxy, client} = set;
    client.send(`${PROBE}GET / HTTP/1.1\r\n`);
    await client.response();
    proxy.passAlmost(TIMEOUTS.requestHeadMs);
    client.send('x-a: 1\r\n');
    await settle();
    assert.equal(client.received, '');
    proxy.passRest();
    assert.equal(statusOf(await client.response()), 408);
    assert.equal(proxy.fault('request_head_timeout'), 1);
    assert.equal(await client.ended(), 'orderly');
  });

  test('within a body that is collected: 408, and the upstream has not been bothered', async (context) => {
    const set = await stage(context);
    const {upstream, proxy, client} = set;
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n');
    assert.equal(statusOf(await client.response()), 100);
    await expectAnswer(set, ROUTE.requestBodyIdleMs, 408);
    assert.equal(proxy.fault('request_body_timeout'), 1);
    assert.equal(upstream.peers.length, 0);
  });

  test('within a body that streams: 408, and the upstream request ends', async (context) => {
    const set = await stage(context);
    const {upstream, proxy, client} = set;
    upstream.respond = () => null;
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 200000\r\n\r\n${'a'.repeat(100_000)}`);
    await eventually('the body streams', () => upstream.bytesReceived > 100_000);
    await expectAnswer(set, ROUTE.requestBodyIdleMs, 408);
    assert.equal(proxy.fault('request_body_timeout'), 1);
    await eventually('the upstream connection is gone', () => upstream.openConnections === 0);
  });

  test('between requests: the connection ends without a word', async (context) => {
    const {proxy, client} = await stage(context);
    client.send(PROBE);
    await client.response();
    proxy.passAlmost(TIMEOUTS.keepAliveMs);
    assert.equal(proxy.proxy.openConnections, 1);
    proxy.passRest();
    assert.equal(await client.ended(), 'orderly');
    assert.deepEqual(proxy.faults(), {client_idle: 1});
  });

  test('to close after a refusal: the connection does not linger for ever', async (context) => {
    const {proxy, client} = await stage(context);
    client.send('GET / HTTP/1.1\r\n\r\n');
    assert.equal(statusOf(await client.response()), 400);
    assert.equal(await client.ended(), 'orderly');
    assert.equal(proxy.proxy.openConnections, 1, 'the client has not closed its side');
    proxy.pass(LIMITS.lingerMs + 2 * LIMITS.wheelTickMs);
    assert.equal(proxy.proxy.openConnections, 0);
  });

  test('to close after a body that was refused in its last byte', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {maxBodyBytes: 4}})]});
    const client = await proxy.connect(context);
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    assert.equal(statusOf(await client.response()), 413);
    await client.ended();
    proxy.pass(LIMITS.lingerMs + 2 * LIMITS.wheelTickMs);
    assert.equal(proxy.proxy.openConnections, 0);
  });
});

describe('the upstream is slow', () => {
  test('to accept: another server is tried', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const deafPort = await startDeafListener(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([deafPort, upstream.port], {route: {timeouts: ROUTE}})]});
    const client = await proxy.connect(context);
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello');
    await eventually('the server is dialled', () => proxy.counter('upstreamConnectionsOpened') === 1);
    proxy.passAlmost(ROUTE.connectMs);
    assert.equal(proxy.counter('retries'), 0);
    proxy.passRest();
    assert.equal((await upstream.nextRequest()).body, 'hello');
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(proxy.fault('connect_timeout'), 1);
    assert.equal(proxy.counter('retries'), 1);
  });

  test('with its head: 504, and a POST is not sent again', async (context) => {
    const set = await stage(context);
    const {peer} = await ask(set, 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 0\r\n\r\n');
    await expectAnswer(set, ROUTE.responseHeadMs, 504);
    assert.equal(set.proxy.fault('response_head_timeout'), 1);
    await eventually('the upstream connection is gone', () => !peer.isOpen);
    assert.equal(set.upstream.requests.length, 1);
  });

  test('with its head, although it sends some of it: 504', async (context) => {
    const set = await stage(context);
    const {peer} = await ask(set);
    peer.send('HTTP/1.1 200 OK\r\n');
    await expectAnswer(set, ROUTE.responseHeadMs, 504);
  });

  test('within a body of which nothing has left: 504', async (context) => {
    const set = await stage(context);
    const {peer} = await ask(set);
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n');
    await eventually('the head is handed on', () => set.client.received !== '');
    set.proxy.passAlmost(ROUTE.responseIdleMs);
    assert.equal(set.client.end, 'none');
    set.proxy.passRest();
    await set.client.ended();
    assert.equal(set.proxy.fault('response_idle_timeout'), 1);
  });

  test('within a body: the client is cut off', async (context) => {
    const set = await stage(context);
    const {peer} = await ask(set);
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345');
    await eventually('the beginning is handed on', () => set.client.received.endsWith('12345'));
    set.proxy.passAlmost(ROUTE.responseIdleMs);
    peer.send('6');
    await eventually('more is handed on', () => set.client.received.endsWith('6'));
    set.proxy.passAlmost(ROUTE.responseIdleMs);
    assert.equal(set.client.end, 'none', 'every byte gives it the whole time again');
    set.proxy.passRest();
    await set.client.ended();
    assert.equal(set.proxy.fault('response_idle_timeout'), 1);
    await eventually('the upstream connection is gone', () => !peer.isOpen);
  });

  test('with its next request: an idle connection ends', async (context) => {
    const {upstream, proxy, client} = await stage(context);
    client.send(PROBE);
    await client.response();
    proxy.passAlmost(TIMEOUTS.upstreamKeepAliveMs);
    assert.equal(upstream.openConnections, 1);
    proxy.passRest();
    await eventually('the connection ends', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {});
  });
});

describe('nobody is slow', () => {
  test('an upload may take longer than every timeout, as long as it goes on', async (context) => {
    const set = await stage(context);
    set.client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${100_000 + 10 * PIECE_BYTES}\r\n\r\n${'a'.repeat(100_000)}`);
    await eventually('the body streams', () => set.upstream.bytesReceived > 100_000);
    await sendPieces(set, 10);
    assert.equal(statusOf(await set.client.response()), 200);
    assert.deepEqual(set.proxy.faults(), {});
  });

  test('the same over a connection that was idle before', async (context) => {
    const set = await stage(context, 4);
    const {upstream, proxy, client} = set;
    client.send(PROBE);
    await client.response();
    proxy.passAlmost(TIMEOUTS.upstreamKeepAliveMs);
    client.send(`PUT / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${5 + 10 * PIECE_BYTES}\r\n\r\nhello`);
    await eventually('the body streams', () => upstream.peers[0]?.received.endsWith('hello') === true);
    await sendPieces(set, 10);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(upstream.peers.length, 1, 'the connection was used again');
    assert.deepEqual(proxy.faults(), {});
  });

  test('a timer of one phase does not fire in the next', async (context) => {
    const {upstream, proxy, client} = await stage(context);
    client.send(PROBE);
    await client.response();
    proxy.passAlmost(TIMEOUTS.keepAliveMs);
    upstream.respond = () => null;
    client.send(PROBE);
    upstream.forget();
    await eventually('the request is there', () => upstream.requests.length === 2);
    proxy.passAlmost(ROUTE_TIMEOUTS.connectMs);
    assert.equal(client.end, 'none');
    upstream.requests.at(-1)?.peer.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
  });
});
