/** HTTP/2 to applications: what one of them can make the process hold, whatever its clients read, and that it hears of those who leave. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {data, request, reset, upload} from '#test/http2/frames.ts';
import {PAIR, startStage} from '#test/http2-edge/stage.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {GET, Http2Client, POST} from '#test/support/http2-client.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme, certificate} from '#test/support/snapshots.ts';
import {RawHttp2, TYPE, frame, head, uint32, type RawPeer} from '#test/upstream/raw-http2.ts';

const MIB = 1024 * 1024;
const WINDOW_UPDATE = 8, INITIAL_WINDOW_SIZE = 4;
const OK_HEAD = [[':status', '200']] as const;
const CONTENT = Buffer.alloc(LIMITS.h2FrameBytesMax, 'x');

/** Of nearly a frame, none of it in a table. */
function largeHead(status: string, stream: number, round: number): Buffer {
  return head(stream, [[':status', status], ...Array.from({length: 130}, (_, i) => ['link', `</${stream}-${round}-${i}-${'x'.repeat(90)}>`] as const)]);
}

/** Sends as much content on each stream as the windows that it was granted allow. */
class Windows {
  readonly sent = new Map<number, number>();
  readonly #peer: RawPeer;

  constructor(peer: RawPeer) {
    this.#peer = peer;
  }

  get bytesSent(): number {
    return [...this.sent.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  #granted(stream: number): number {
    const updates = this.#peer.of(WINDOW_UPDATE).filter((heard) => heard.stream === stream).reduce((sum, {payload}) => sum + payload.readUInt32BE(0), 0);
    const [settings] = this.#peer.of(TYPE.settings);
    if (stream === 0 || settings === undefined) return 65_535 + updates;
    for (let at = 0; at < settings.payload.length; at += 6) if (settings.payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE) return settings.payload.readUInt32BE(at + 2) + updates;
    return 65_535 + updates;
  }

  /** Until nothing more is granted. */
  async fillAll(streams: readonly number[], bytesPerFrame = CONTENT.length): Promise<void> {
    for (let before = -1; this.bytesSent !== before; await settle(50)) {
      before = this.bytesSent;
      for (const id of streams) this.#fill(id, bytesPerFrame);
    }
  }

  #fill(stream: number, bytesPerFrame: number): void {
    const connection = this.#granted(0), own = this.#granted(stream);
    for (;;) {
      const sent = this.sent.get(stream) ?? 0;
      const length = Math.min(bytesPerFrame, own - sent, connection - this.bytesSent);
      if (length <= 0) return;
      this.#peer.send(frame(TYPE.data, 0, stream, CONTENT.subarray(0, length)));
      this.sent.set(stream, sent + length);
    }
  }
}

async function start(context: TestContext): Promise<{readonly proxy: ProxyHarness; readonly upstream: RawHttp2}> {
  const upstream = await RawHttp2.start(context);
  const {proxy} = await startStage(context);
  await proxy.reload({customers: [{...acme([upstream.port], {pool: {protocol: 'h2c', connectionsMax: 1000}}), revision: '2', certificates: [certificate(PAIR, ['acme.test'])]}]});
  context.after(() => proxy.reload({customers: []}));
  return {proxy, upstream};
}

function held(proxy: ProxyHarness): number {
  proxy.proxy.tick();
  return proxy.placesOf('buffers') * LIMITS.heldBlockBytes;
}

describe('a client that reads none of its responses costs under 4 MiB', () => {
  test('and whose application sends hints and heads that are as large as they may be', async (context) => {
    const {proxy, upstream} = await start(context);
    upstream.respond = (stream, peer) => peer.send(...Array.from({length: LIMITS.interimResponsesMax}, (_, round) => largeHead('103', stream, round)), largeHead('200', stream, -1));
    const client = await Http2Client.open(context, proxy);
    client.tls.socket.pause();
    for (let i = 0; i < LIMITS.h2StreamsMax; i++) client.send(request(2 * i + 1, GET));
    await eventually('all have been answered', () => upstream.peers.reduce((sum, peer) => sum + peer.of(TYPE.headers).length, 0) === LIMITS.h2StreamsMax);
    for (let before = -1; held(proxy) !== before; await settle(100)) before = held(proxy);
    assert.ok(held(proxy) < 4 * MIB, `${held(proxy)} bytes are held`);
    client.tls.socket.resume();
    await eventually('all heads arrive', () => Array.from({length: LIMITS.h2StreamsMax}, (_, i) => client.peek(2 * i + 1)).every(({status}) => status === 200));
    client.destroy();
    await eventually('nothing is held any more', () => held(proxy) === 0);
  });

  for (const bytesPerFrame of [LIMITS.h2FrameBytesMax, 1000]) {
    test(`as many as there can be at once, in frames of ${bytesPerFrame} bytes`, async (context) => {
      const {proxy, upstream} = await start(context);
      upstream.respond = (stream, peer) => peer.send(head(stream, OK_HEAD));
      const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0});
      const streams = Array.from({length: LIMITS.h2StreamsMax}, (_, i) => 2 * i + 1);
      client.send(...streams.map((id) => request(id, GET)));
      await eventually('all are here', () => upstream.peers.reduce((sum, peer) => sum + peer.of(TYPE.headers).length, 0) === streams.length);
      const [peer] = upstream.peers;
      if (peer === undefined) throw new Error('there is a connection');
      const windows = new Windows(peer);
      await windows.fillAll(streams, bytesPerFrame);
      assert.equal(upstream.peers.length, 1);
      assert.ok(windows.bytesSent < 4 * MIB, `${windows.bytesSent} bytes were taken of the application`);
      assert.ok(held(proxy) < 4 * MIB, `${held(proxy)} bytes are held`);
      client.destroy();
      await eventually('nothing is held any more', () => held(proxy) === 0);
    });
  }
});

describe('a client that goes away from an event stream is missed by the application at once, without a tick of the clock', () => {
  const EVENTS = [[':status', '200'], ['content-type', 'text/event-stream']] as const;
  const rows = (['HTTP/1.1', 'HTTP/2'] as const).flatMap((protocol) => ([['while it is silent', false], ['with events that it has not read', true]] as const).map(([when, isFull]) => ({protocol, when, isFull})));
  for (const {protocol, when, isFull} of rows) {
    test(`over ${protocol}, ${when}`, async (context) => {
      const {proxy, upstream} = await start(context);
      upstream.respond = (stream, peer) => peer.send(head(stream, EVENTS));
      let leave: () => void;
      if (protocol === 'HTTP/1.1') {
        const client = await proxy.connect(context);
        client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
        await eventually('the head is there', () => client.received.includes('\r\n\r\n'));
        if (isFull) client.socket.pause();
        leave = () => { client.destroy(); };
      } else {
        const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: isFull ? 0 : 65_535});
        client.send(request(1, GET));
        await eventually('the head is there', () => client.peek(1).status === 200);
        leave = () => { client.send(reset(1)); };
      }
      const [peer] = upstream.peers;
      if (peer === undefined) throw new Error('there is a connection');
      const windows = new Windows(peer);
      if (isFull) await windows.fillAll([1]);
      leave();
      await eventually('its stream is reset', () => peer.of(TYPE.rst).length === 1);
      assert.deepEqual(proxy.faults(), {client_gone: 1});
      assert.equal(peer.isOpen, true);
    });
  }
});

test('an application that takes nothing of many uploads: what waits for it is no more than their client\'s window', async (context) => {
  const {proxy, upstream} = await start(context);
  upstream.greeting = frame(TYPE.settings, 0, 0, Buffer.concat([Buffer.from([0, INITIAL_WINDOW_SIZE]), uint32(0)]));
  upstream.respond = () => undefined;
  const client = await Http2Client.open(context, proxy);
  const streams = Array.from({length: LIMITS.h2StreamsMax}, (_, i) => 2 * i + 1);
  client.send(...streams.map((id) => upload(id, POST)));
  const share = Math.floor(LIMITS.h2ConnectionWindowBytes / streams.length);
  client.send(...streams.map((id) => data(id, Buffer.alloc(share))));
  for (let before = -1; held(proxy) !== before || before === 0; await settle(50)) before = held(proxy);
  assert.ok(held(proxy) < 2 * MIB, `${held(proxy)} bytes are held`);
  client.destroy();
  await eventually('nothing is held any more', () => held(proxy) === 0);
});
