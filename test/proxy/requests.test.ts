/** Requests and their bodies on the way to the application: persistence, order, when the upstream is dialled, what is read of an early answer. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {RouteSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {acme, customer, pool, route, site} from '#test/support/snapshots.ts';

interface Stage {
  readonly upstream: FakeUpstream;
  readonly proxy: ProxyHarness;
  readonly client: RawClient;
}

async function stage(context: TestContext, overrides: Partial<RouteSnapshot> = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: overrides})]});
  return {upstream, proxy, client: await proxy.connect(context)};
}

function post(body: string, fields = ''): string {
  return `POST / HTTP/1.1\r\nhost: acme.test\r\n${fields}content-length: ${body.length}\r\n\r\n${body}`;
}

describe('persistence (RFC 9112 §9.3)', () => {
  const rows: readonly (readonly [what: string, request: string, connection: string | undefined])[] = [
    ['HTTP/1.1', 'GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n', undefined],
    ['HTTP/1.1 that asks to keep', 'GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: keep-alive\r\n\r\n', undefined],
    ['HTTP/1.1 that asks to close', 'GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: Close\r\n\r\n', 'close'],
    ['HTTP/1.1 that asks for both', 'GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: keep-alive, close\r\n\r\n', 'close'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: acme.test\r\n\r\n', 'close'],
    ['HTTP/1.0 that asks to keep', 'GET / HTTP/1.0\r\nhost: acme.test\r\nconnection: Keep-Alive\r\n\r\n', 'keep-alive'],
  ];
  for (const [what, request, connection] of rows) {
    test(`${what}: ${connection ?? 'goes on'}`, async (context) => {
      const {client} = await stage(context);
      client.send(request);
      const response = await client.response();
      assert.equal(fieldOf(response, 'connection'), connection);
      assert.equal(response.startLine, 'HTTP/1.1 200 OK');
      if (connection === 'close') return assert.equal(await client.ended(), 'orderly');
      client.send(request);
      assert.equal((await client.response()).body, 'ok');
    });
  }

  test('the upstream is always asked to keep the connection', async (context) => {
    const {upstream, client} = await stage(context);
    client.send('GET / HTTP/1.0\r\nhost: acme.test\r\n\r\n');
    const request = await upstream.nextRequest();
    assert.equal(request.startLine, 'GET / HTTP/1.1');
    assert.equal(fieldOf(request, 'connection'), undefined);
  });

  test('what comes behind a request that closes is not read', async (context) => {
    const {upstream, client} = await stage(context);
    client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: close\r\n\r\n${PROBE}`);
    await client.response();
    await client.ended();
    assert.equal(client.received, '');
    assert.equal(upstream.requests.length, 1);
  });
});

describe('pipelined requests are answered in their order', () => {
  const withPage = (port: number): ReturnType<typeof customer> => customer('acme', {pools: [pool('app', [port])], sites: [site(['acme.test'], [
    route('/', {requestBufferBytes: 10}),
    route('/page', {action: {type: 'respond', status: 200, contentType: 'text/plain', body: 'page'}}),
  ])]});
  const requests = [
    ['GET /1 HTTP/1.1\r\nhost: acme.test\r\n\r\n', 'GET /1 '], ['GET /page HTTP/1.1\r\nhost: acme.test\r\n\r\n', 'page'],
    ['POST /2 HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello', 'POST /2 hello'],
    ['POST /page HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 39\r\n\r\nGET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n', 'page'],
    ['GET / HTTP/1.1\r\nhost: unknown.test\r\n\r\n', '421'],
    ['POST /3 HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n', 'POST /3 hello, world'],
    ['HEAD /4 HTTP/1.1\r\nhost: acme.test\r\n\r\n', ''], ['GET /page HTTP/1.1\r\nhost: acme.test\r\n\r\n', 'page'], ['GET /5 HTTP/1.1\r\nhost: acme.test\r\n\r\n', 'GET /5 '],
  ] as const;
  const stream = requests.map(([bytes]) => bytes).join('');

  /** Sends the stream in the given pieces, each after the one before was read, and checks every answer. */
  async function pipeline(context: TestContext, pieces: readonly string[]): Promise<void> {
    const upstream = await FakeUpstream.start(context);
    upstream.respond = ({startLine, body}) => {
      const text = `${startLine.slice(0, -'HTTP/1.1'.length)}${body}`;
      return `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${startLine.startsWith('HEAD') ? '' : text}`;
    };
    const proxy = await ProxyHarness.start(context, {customers: [withPage(upstream.port)]});
    const client = await proxy.connect(context);
    for (const piece of pieces) {
      client.send(piece);
      if (pieces.length > 1) await settle(1);
    }
    for (const [bytes, expected] of requests) {
      const response = await client.response(bytes.split(' ')[0]);
      if (expected === '421') assert.equal(statusOf(response), 421);
      else assert.equal(response.body, expected);
    }
    assert.equal(upstream.requests.length, 5);
    assert.equal(upstream.peers.length, 1);
    assert.deepEqual(proxy.reports, []);
  }

  test('in one piece', (context) => pipeline(context, [stream]));
  for (const size of [1, 7, 64]) {
    test(`in pieces of ${size} bytes`, (context) => pipeline(context, stream.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []));
  }

  test('while no server is there, and the answer comes within the body', async (context) => {
    const proxy = await ProxyHarness.start(context, {customers: [acme([], {route: {requestBufferBytes: 2}})]});
    const client = await proxy.connect(context);
    client.send(post('hello') + post('hello') + post('hello'));
    for (let i = 0; i < 3; i++) assert.equal(statusOf(await client.response()), 503);
    proxy.passAlmost(proxy.node.timeouts.keepAliveMs);
    assert.equal(client.end, 'none');
    proxy.passRest();
    assert.equal(await client.ended(), 'orderly');
  });

  test('further ones are kept up to a limit, and wait in the client beyond it', async (context) => {
    const {upstream, proxy, client} = await stage(context);
    upstream.respond = () => null;
    const count = Math.ceil(4 * LIMITS.pipelineBytesMax / PROBE.length);
    client.send(PROBE.repeat(count));
    const first = await upstream.nextRequest();
    upstream.respond = () => OK;
    first.peer.send(OK);
    for (let i = 0; i < count; i++) assert.equal((await client.response()).body, 'ok');
    assert.equal(proxy.counter('requests'), count);
  });
});

describe('an upstream is dialled when the body is here', () => {
  test('a body up to the buffer is collected first', async (context) => {
    const {upstream, client} = await stage(context);
    const body = 'a'.repeat(64 * 1024);
    const bytes = post(body);
    client.send(bytes.slice(0, -1));
    await settle();
    assert.equal(upstream.peers.length, 0);
    client.send(bytes.slice(-1));
    const request = await upstream.nextRequest();
    assert.equal(request.body, body);
    assert.equal((await client.response()).body, 'ok');
  });

  for (const [what, head, piece] of [
    ['a length', 'content-length: 100000\r\n', (text: string) => text],
    ['chunks', 'transfer-encoding: chunked\r\n', (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`],
  ] as const) {
    test(`a larger one with ${what} streams`, async (context) => {
      const {upstream, client} = await stage(context, {requestBufferBytes: 1000});
      client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\n${head}\r\n${piece('a'.repeat(1000))}`);
      await settle();
      assert.equal(upstream.peers.length, 0, 'the buffer holds it');
      client.send(piece('b'));
      await eventually('the upstream reads the beginning', () => upstream.peers[0]?.received.includes('b') === true);
      client.send(piece('c'.repeat(98_999)) + (what === 'chunks' ? '0\r\nx-t: 1\r\n\r\n' : ''));
      const request = await upstream.nextRequest();
      assert.equal(request.body, `${'a'.repeat(1000)}b${'c'.repeat(98_999)}`);
      assert.ok(!request.raw.includes('x-t'), 'trailers are dropped');
      assert.equal(fieldOf(request, what === 'chunks' ? 'content-length' : 'transfer-encoding'), undefined);
      assert.equal((await client.response()).body, 'ok');
    });
  }

  test('without a buffer everything streams', async (context) => {
    const {upstream, client} = await stage(context, {requestBufferBytes: 0});
    client.send(post('hello').slice(0, -4));
    await eventually('the first byte is there', () => upstream.peers[0]?.received.endsWith('h') === true);
  });
});

describe('Expect: 100-continue', () => {
  test('is answered once the body is wanted, and not handed on', async (context) => {
    const {upstream, client} = await stage(context);
    const bytes = post('hello', 'expect: 100-Continue\r\n');
    client.send(bytes.slice(0, -5));
    assert.equal((await client.response()).raw, 'HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(upstream.peers.length, 0);
    client.send('hello');
    assert.equal(fieldOf(await upstream.nextRequest(), 'expect'), undefined);
    assert.equal((await client.response()).body, 'ok');
  });

  test('without a body there is nothing to wait for', async (context) => {
    const {client} = await stage(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\nexpect: 100-continue\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
  });

  test('of an HTTP/1.0 client is ignored', async (context) => {
    const {client} = await stage(context);
    client.send(post('hello', 'expect: 100-continue\r\n').replace('HTTP/1.1', 'HTTP/1.0'));
    assert.equal(statusOf(await client.response()), 200);
  });

  test('is refused with the route, and then nobody can say what the next bytes are', async (context) => {
    const {client} = await stage(context, {methods: ['GET']});
    client.send(post('hello', 'expect: 100-continue\r\n').slice(0, -5));
    const response = await client.response();
    assert.equal(statusOf(response), 405);
    assert.equal(fieldOf(response, 'connection'), 'close');
    await client.ended();
  });

  test('the upstream\'s own 100 is consumed', async (context) => {
    const {upstream, client} = await stage(context);
    upstream.respond = () => `HTTP/1.1 100 Continue\r\n\r\n${OK}`;
    client.send(post('hello', 'expect: 100-continue\r\n'));
    assert.equal(statusOf(await client.response()), 100);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(client.received, '');
  });
});

describe('an answer before the end of the body', () => {
  test('of Torwart to a small body: the body is skipped, and the connection goes on', async (context) => {
    const {upstream, client} = await stage(context, {methods: ['GET']});
    const bytes = post('GET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    client.send(bytes.slice(0, -10));
    const response = await client.response();
    assert.equal(statusOf(response), 405);
    assert.equal(fieldOf(response, 'connection'), undefined);
    client.send(bytes.slice(-10) + PROBE);
    assert.equal((await client.response()).body, 'ok');
    assert.equal((await upstream.nextRequest()).startLine, 'GET /probe HTTP/1.1');
  });

  for (const [what, head] of [
    ['large', `content-length: ${LIMITS.pipelineBytesMax + 1}\r\n`], ['chunked', 'transfer-encoding: chunked\r\n'],
  ] as const) {
    test(`of Torwart to a ${what} body: the connection ends`, async (context) => {
      const {client} = await stage(context, {methods: ['GET']});
      client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\n${head}\r\n`);
      const response = await client.response();
      assert.equal(statusOf(response), 405);
      assert.equal(fieldOf(response, 'connection'), 'close');
      await client.ended();
    });
  }

  test('of the application: it is handed on, and the upstream connection is not used again', async (context) => {
    const {upstream, proxy, client} = await stage(context, {requestBufferBytes: 0});
    upstream.onPeer = (peer) => { peer.socket.once('data', () => { peer.send('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno'); }); };
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 200000\r\n\r\nhello');
    const response = await client.response();
    assert.equal(statusOf(response), 403);
    assert.equal(response.body, 'no');
    assert.equal(fieldOf(response, 'connection'), 'close');
    await eventually('the upstream connection ends', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {});
  });

  test('of the application to a small body: the rest of the body is skipped, and the connection goes on', async (context) => {
    const {upstream, proxy, client} = await stage(context, {requestBufferBytes: 0});
    upstream.onPeer = (peer) => { peer.socket.once('data', () => { peer.send(OK); }); };
    const smuggled = 'GET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n';
    const bytes = post(`hello${smuggled}`);
    client.send(bytes.slice(0, -smuggled.length));
    assert.equal(fieldOf(await client.response(), 'connection'), undefined);
    upstream.onPeer = () => undefined;
    client.send(smuggled + PROBE);
    assert.equal((await client.response()).body, 'ok');
    await eventually('only the second connection is kept', () => upstream.openConnections === 1);
    assert.deepEqual(upstream.peers.map(({received}) => received.split(' HTTP')[0]), ['POST /', 'GET /probe']);
    assert.deepEqual(proxy.faults(), {});
  });

  test('a body over the limit, while it streams: 413, and the upstream request ends', async (context) => {
    const {upstream, proxy, client} = await stage(context, {requestBufferBytes: 0, maxBodyBytes: 10});
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await eventually('the beginning is there', () => upstream.peers[0]?.received.includes('hello') === true);
    client.send('6\r\nhello!\r\n');
    assert.equal(statusOf(await client.response()), 413);
    await eventually('the upstream connection ends', () => upstream.openConnections === 0);
    assert.ok(!upstream.peers[0]?.received.includes('hello!'));
    assert.deepEqual(proxy.faults(), {body_too_large: 1});
  });

  test('an invalid chunk, while it streams: 400, and the upstream request ends unfinished', async (context) => {
    const {upstream, proxy, client} = await stage(context, {requestBufferBytes: 0});
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await eventually('the beginning is there', () => upstream.peers[0]?.received.includes('hello') === true);
    client.send('x\r\n');
    assert.equal(statusOf(await client.response()), 400);
    await eventually('the upstream connection ends', () => upstream.openConnections === 0);
    assert.ok(!upstream.peers[0]?.received.endsWith('0\r\n\r\n'), 'it does not look complete');
    assert.deepEqual(proxy.faults(), {chunk_invalid: 1});
  });
});

describe('a client that goes away ends its upstream request at once', () => {
  const rows: readonly (readonly [when: string, request: string, answer: string | null])[] = [
    ['while it waits', PROBE, null], ['within the response', PROBE, 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello'],
    ['within its body', `POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 200000\r\n\r\n${'a'.repeat(100_000)}`, null],
  ];
  for (const [when, request, answer] of rows) {
    for (const how of ['end', 'resetAndDestroy'] as const) {
      test(`${when}, with ${how}`, async (context) => {
        const {upstream, proxy, client} = await stage(context);
        upstream.respond = () => answer;
        client.send(request);
        await eventually('the upstream is asked', () => upstream.bytesReceived > 0 && (answer === null || client.received.endsWith('hello')));
        client.socket[how]();
        await eventually('nothing is left', () => upstream.openConnections === 0 && proxy.proxy.openConnections === 0);
        assert.deepEqual(proxy.faults(), {client_gone: 1});
        assert.equal(proxy.slot('acme', 'app', upstream.port).requests, 0);
        assert.equal(proxy.slot('acme', 'app', upstream.port).connections, 0);
        assert.equal((await proxy.nextLogLine())['fault'], 'client_gone');
      });
    }
  }
});
