/** Many requests on one connection: none of them costs another one anything, and all of them together cost little. */
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {platform} from 'node:os';
import {describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG} from '#src/http2/frames.ts';
import {data, request, reset, upload, windowUpdate} from '#test/http2/frames.ts';
import {PAIR, startStage} from '#test/http2-edge/stage.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {GET, Http2Client, POST} from '#test/support/http2-client.ts';
import {acme, certificate} from '#test/support/snapshots.ts';

const idOf = (i: number): number => 2 * i + 1;
const MIB = 1024 * 1024;

function withPath(path: string): readonly (readonly [string, string])[] {
  return [...GET.slice(0, 3), [':path', path]];
}

async function standstill(value: () => number): Promise<number> {
  let before = -1;
  while (value() !== before) {
    before = value();
    await settle(100);
  }
  return before;
}

describe('siblings', () => {
  test('a reset ends the request at the upstream at once, and no other', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => null;
    const client = await Http2Client.open(context, proxy);
    client.send(request(1, withPath('/cancelled')), request(3, withPath('/kept')));
    const requests = [await upstream.nextRequest(), await upstream.nextRequest()];
    const peerOf = (path: string): UpstreamRequest['peer'] => requests.find(({startLine}) => startLine.includes(path))?.peer ?? assert.fail(path);
    client.send(reset(1));
    await eventually('the upstream request ends', () => !peerOf('/cancelled').isOpen);
    assert.equal(peerOf('/kept').isOpen, true);
    peerOf('/kept').send(OK);
    assert.equal((await client.response(3)).body, 'ok');
    assert.deepEqual(proxy.faults(), {client_gone: 1});
    assert.equal(client.peek(1).status, 0);
  });

  test('a reset within a response ends it at the upstream', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => 'HTTP/1.1 200 OK\r\n\r\nbegin';
    const client = await Http2Client.open(context, proxy);
    client.send(request(1, GET));
    await eventually('the beginning is here', () => client.peek(1).body === 'begin');
    client.send(reset(1));
    await eventually('the upstream request ends', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {client_gone: 1});
  });

  test('a reset within a request ends it at the upstream', async (context) => {
    const {proxy, upstream} = await startStage(context, {acme: {route: {requestBufferBytes: 10}}});
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, POST), data(1, 'x'.repeat(100)));
    await eventually('its beginning is here', () => upstream.bytesReceived > 100);
    client.send(reset(1));
    await eventually('the upstream request ends', () => upstream.openConnections === 0);
    assert.deepEqual([proxy.faults(), upstream.requests.length], [{client_gone: 1}, 0]);
  });

  test('a client that goes away ends all of its requests', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => null;
    const client = await Http2Client.open(context, proxy);
    client.send(...Array.from({length: 10}, (_, i) => request(idOf(i), GET)));
    await eventually('all are here', () => upstream.requests.length === 10);
    client.destroy();
    await eventually('all have ended', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {client_gone: 10});
  });

  test('a request that fails at the upstream fails alone', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = ({startLine, peer}) => {
      if (!startLine.includes('/broken')) return null;
      peer.socket.resetAndDestroy();
      return null;
    };
    const client = await Http2Client.open(context, proxy);
    const count = 20;
    client.send(...Array.from({length: count}, (_, i) => request(idOf(i), [[':method', 'POST'], ...withPath(i % 2 === 0 ? '/broken' : '/good').slice(1)])));
    await eventually('all are here', () => upstream.requests.length === count);
    for (const {startLine, peer} of upstream.requests) if (startLine.includes('/good')) peer.send(OK);
    for (let i = 0; i < count; i++) assert.equal((await client.response(idOf(i))).status, i % 2 === 0 ? 502 : 200);
    assert.deepEqual(proxy.faults(), {upstream_closed: count / 2});
  });

  test('a server that is not there: the request is sent to another one', async (context) => {
    const dead = await FakeUpstream.start(context);
    const {port} = dead;
    await dead.stop();
    const {proxy, upstream} = await startStage(context);
    await proxy.reload({customers: [{...acme([port, upstream.port]), revision: '2', certificates: [certificate(PAIR, ['acme.test'])]}]});
    const client = await Http2Client.open(context, proxy);
    const statuses = await Promise.all([1, 3, 5, 7].map(async (streamId) => (await client.ask(streamId)).status));
    assert.deepEqual(statuses, [200, 200, 200, 200]);
    assert.deepEqual([proxy.counter('retries'), proxy.faults()], [2, {connect_failed: 2}]);
  });

  test('responses come in the order in which they are ready', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => null;
    const client = await Http2Client.open(context, proxy);
    const count = 50;
    client.send(...Array.from({length: count}, (_, i) => request(idOf(i), withPath(`/${i}`))));
    await eventually('all are here', () => upstream.requests.length === count);
    for (const {startLine, peer} of upstream.requests.toReversed()) {
      const path = startLine.split(' ')[1] ?? '';
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${path.length + 20_000}\r\n\r\n`;
      peer.send(`${head}${path}${'x'.repeat(20_000)}`);
    }
    client.send(windowUpdate(0, 2 * MIB));
    for (let i = 0; i < count; i++) assert.equal((await client.response(idOf(i))).body, `/${i}${'x'.repeat(20_000)}`);
    assert.deepEqual(proxy.faults(), {});
  });
});

/** How much is read from applications; what that costs in memory is counted in test/cli/unread-streams.test.ts. */
describe('backpressure', () => {
  /** What has left the application and is in no buffer of the kernel any more: the proxy has read it. */
  function bytesRead(upstream: FakeUpstream): number {
    const port = upstream.port.toString(16).toUpperCase().padStart(4, '0');
    const handedOver = upstream.peers.reduce((sum, {socket}) => sum + socket.bytesWritten - socket.writableLength, 0);
    const inKernel = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1).reduce((sum, line) => {
      const [, local = '', remote = '', , queues = ''] = line.trim().split(/\s+/);
      const [sending = '0', received = '0'] = queues.split(':');
      return sum + (local.endsWith(`:${port}`) ? Number.parseInt(sending, 16) : 0) + (remote.endsWith(`:${port}`) ? Number.parseInt(received, 16) : 0);
    }, 0);
    return handedOver - inKernel;
  }

  const skip = platform() === 'linux' ? false : 'the kernel\'s buffers are read from /proc';

  for (const [what, window] of [['windows of zero', 0], ['the windows that it began with', 65_535], ['windows that are never used up', 0x7fff_ffff]] as const) {
    test(`a client with ${LIMITS.h2StreamsMax} large responses that reads none of them: ${what}`, {skip}, async (context) => {
      const {proxy, upstream} = await startStage(context);
      const body = Buffer.alloc(MIB, 'x');
      upstream.respond = ({peer}) => {
        peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
        peer.socket.write(body);
        return null;
      };
      const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: window});
      client.tls.socket.pause();
      if (window > 65_535) client.send(windowUpdate(0, 0x7000_0000));
      client.send(...Array.from({length: LIMITS.h2StreamsMax}, (_, i) => request(idOf(i), GET)));
      await eventually('all are here', () => upstream.requests.length === LIMITS.h2StreamsMax);
      const read = await standstill(() => bytesRead(upstream));
      // What its own socket has taken is not in the proxy.
      const passedOn = window > 65_535 ? client.tls.socket.bytesRead + 8 * MIB : window;
      assert.ok(read - passedOn < 4 * MIB, `${read} bytes were read from the application`);
      client.destroy();
      await eventually('all requests have ended', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
    });
  }

  test('everything arrives at a client that reads slowly, of all streams', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const bytes = 300_000;
    upstream.respond = ({startLine}) => `HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n${(startLine.split('/')[1]?.[0] ?? '').repeat(bytes)}`;
    const client = await Http2Client.open(context, proxy);
    const count = 10;
    client.send(...Array.from({length: count}, (_, i) => request(idOf(i), withPath(`/${i}`))));
    let granted = 65_535;
    const received = (): number => Array.from({length: count}, (_, i) => client.peek(idOf(i)).body.length).reduce((sum, length) => sum + length, 0);
    while (received() < count * bytes) {
      const before = received();
      for (let i = 0; i < count; i++) client.send(windowUpdate(idOf(i), 50_000));
      client.send(windowUpdate(0, 100_000));
      granted += 100_000;
      await eventually('more comes', () => received() > before);
      assert.ok(received() <= granted, 'no more than was granted');
    }
    for (let i = 0; i < count; i++) {
      const {body, isComplete} = client.peek(idOf(i));
      assert.ok(isComplete && body === String(i).repeat(bytes));
    }
    assert.deepEqual(proxy.faults(), {});
  });

  test('a connection that is told to wait by the last bytes of its response reads the next one', async (context) => {
    const {proxy, upstream} = await startStage(context);
    // No stream has too much waiting by itself; all together have it while one of them is at its end.
    const bytes = LIMITS.h2StreamQueueBytesMax - 1, count = Math.floor(LIMITS.h2SessionQueueBytesMax / bytes) + 1;
    upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;
    const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0});
    for (let i = 0; i < count; i++) {
      client.send(request(idOf(i), GET));
      await eventually('the head is here', () => client.peek(idOf(i)).status === 200);
    }
    client.send(windowUpdate(0, count * bytes), ...Array.from({length: count}, (_, i) => windowUpdate(idOf(i), bytes)));
    for (let i = 0; i < count; i++) assert.equal((await client.response(idOf(i))).body.length, bytes);
    upstream.respond = () => OK;
    client.send(request(idOf(count), GET), windowUpdate(idOf(count), bytes));
    assert.equal((await client.response(idOf(count))).status, 200);
  });

  test('an upload into an application that reads nothing stops at the window, and other uploads go on', async (context) => {
    const {proxy, upstream} = await startStage(context, {acme: {route: {maxBodyBytes: 1024 * MIB, requestBufferBytes: 10}}});
    upstream.onPeer = (peer) => { if (upstream.peers.length === 1) peer.socket.pause(); };
    const client = await Http2Client.open(context, proxy);
    const windows = new Map<number, number>();
    let seen = 0;
    const sent = {bytes: 0};
    /** Sends as much as the window allows; true where it is shut. */
    const pump = (): boolean => {
      for (; seen < client.frames.length; seen++) {
        const frame = client.frames[seen];
        if (frame?.type === 0x8) windows.set(frame.streamId, (windows.get(frame.streamId) ?? 0) + frame.payload.readUInt32BE(0));
      }
      while (LIMITS.h2StreamWindowBytes + (windows.get(1) ?? 0) - sent.bytes >= 16_384 && LIMITS.h2ConnectionWindowBytes + (windows.get(0) ?? 0) - sent.bytes >= 16_384) {
        client.send(data(1, Buffer.alloc(16_384)));
        sent.bytes += 16_384;
      }
      return client.tls.socket.writableLength === 0;
    };
    windows.set(0, 65_535 - LIMITS.h2ConnectionWindowBytes);
    client.send(upload(1, POST));
    await standstill(() => (pump(), sent.bytes));
    assert.ok(sent.bytes < 24 * MIB, `${sent.bytes} bytes were taken`);
    client.send(upload(3, POST), data(3, 'x'.repeat(1000), FLAG.END_STREAM));
    assert.equal((await client.response(3)).status, 200);
    upstream.isParsing = false;
    upstream.peers[0]?.socket.resume();
    const before = sent.bytes;
    await eventually('the upload goes on', () => (pump(), sent.bytes > before + MIB));
    client.send(reset(1));
    assert.equal(client.peek(1).reset, null);
    assert.deepEqual(client.goAways, []);
  });
});

test('a stream that is reset while its response waits for the windows is forgotten, and the connection\'s window is not used up by it', async (context) => {
  const {proxy, upstream} = await startStage(context);
  upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n${'x'.repeat(50_000)}`;
  const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0});
  for (let i = 0; i < 20; i++) {
    client.send(request(idOf(i), GET));
    await eventually('the head is here', () => client.peek(idOf(i)).status === 200);
    client.send(reset(idOf(i), ERROR.CANCEL));
  }
  client.send(request(101, GET), windowUpdate(101, 50_000));
  assert.equal((await client.response(101)).body.length, 50_000);
});
