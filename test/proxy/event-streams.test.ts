/** Server-sent events and long polls: what there is to say is said at once, silence is no fault, and a client that goes is missed at once. */
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import {request, reset, windowUpdate} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, type UpstreamPeer} from '#test/support/fake-upstream.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {ROUTE_TIMEOUTS, acme} from '#test/support/snapshots.ts';

const REQUEST = 'GET /events HTTP/1.1\r\nhost: acme.test\r\naccept: text/event-stream\r\n\r\n';
const TIMEOUTS = {...ROUTE_TIMEOUTS, responseIdleMs: 5_000, eventStreamIdleMs: 50_000};

function streamHead(type = 'text/event-stream', framing = 'transfer-encoding: chunked'): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`;
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

interface Stage {
  readonly proxy: ProxyHarness;
  readonly client: RawClient;
  readonly peer: UpstreamPeer;
}

/** A client that has asked, and an application that has not answered. */
async function ask(context: TestContext): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => null;
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {timeouts: TIMEOUTS}})]});
  const client = await proxy.connect(context);
  client.send(REQUEST);
  const {peer} = await upstream.nextRequest();
  return {proxy, client, peer};
}

test('each event leaves when it comes, however small', async (context) => {
  const {client, peer} = await ask(context);
  peer.send(streamHead());
  await eventually('the head is there', () => client.received.endsWith('\r\n\r\n'));
  for (let i = 0; i < 5; i++) {
    client.received = '';
    peer.send(chunk(`data: ${i}\n\n`));
    await eventually('the event is there', () => client.received === chunk(`data: ${i}\n\n`));
  }
});

suite('an event stream may be silent for longer than other responses', () => {
  for (const [why, head] of [
    ['in chunks', streamHead()],
    ['with a parameter and in another case', streamHead('Text/Event-Stream ;charset=utf-8')],
    ['until the end of the connection', streamHead('text/event-stream', 'connection: close')],
  ] as const) {
    test(why, async (context) => {
      const {proxy, client, peer} = await ask(context);
      peer.send(head);
      await eventually('the head is there', () => client.received.includes('\r\n\r\n'));
      for (let i = 0; i < 3; i++) {
        proxy.passAlmost(TIMEOUTS.eventStreamIdleMs);
        const {length} = client.received;
        peer.send(head.includes('chunked') ? chunk(': ping\n\n') : ': ping\n\n');
        await eventually('the comment is there', () => client.received.length > length);
      }
      proxy.passAlmost(TIMEOUTS.eventStreamIdleMs);
      proxy.passRest();
      await client.ended();
      assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
    });
  }

  for (const [why, head] of [
    ['not a stream of another type', streamHead('text/event-stream-not')],
    ['not a type that only mentions it', streamHead('text/html; x=text/event-stream')],
    ['not one of known length', streamHead('text/event-stream', 'content-length: 100')],
  ] as const) {
    test(why, async (context) => {
      const {proxy, client, peer} = await ask(context);
      peer.send(head);
      await eventually('the head is there', () => client.received.endsWith('\r\n\r\n'));
      proxy.pass(TIMEOUTS.responseIdleMs + 500);
      await client.ended();
      assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
    });
  }

  test('and the next response on the same connections has the usual time again', async (context) => {
    const {proxy, client, peer} = await ask(context);
    peer.send(`${streamHead()}0\r\n\r\n`);
    await client.response();
    client.send(REQUEST);
    await eventually('the second request is there', () => peer.requests.length === 2);
    peer.send(streamHead('text/plain'));
    await eventually('the head is there', () => client.received.endsWith('\r\n\r\n'));
    proxy.pass(TIMEOUTS.responseIdleMs + 500);
    await client.ended();
    assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
  });
});

suite('a client that goes away is missed at once, without a tick of the clock', () => {
  for (const [when, head] of [['before a long poll is answered', ''], ['while an event stream is silent', streamHead()]] as const) {
    for (const way of ['end', 'reset'] as const) {
      test(`${when}, by ${way}`, async (context) => {
        const {proxy, client, peer} = await ask(context);
        if (head !== '') {
          peer.send(head);
          await eventually('the head is there', () => client.received.endsWith('\r\n\r\n'));
        }
        if (way === 'end') client.socket.end();
        else client.socket.resetAndDestroy();
        await eventually('the application sees its connection end', () => !peer.isOpen);
        assert.deepEqual(proxy.faults(), {client_gone: 1});
      });
    }
  }
});

suite('a client that goes away with events that it has not read is missed at once as well', () => {
  /** An application that goes on until nobody takes anything any more. */
  async function fill(peer: UpstreamPeer): Promise<void> {
    const events = Buffer.from(`data: ${'x'.repeat(65_000)}\n\n`);
    const block = Buffer.concat([Buffer.from(`${events.length.toString(16)}\r\n`), events, Buffer.from('\r\n')]);
    const write = (): void => {
      while (!peer.socket.destroyed && peer.socket.write(block));
    };
    peer.socket.on('drain', write);
    write();
    for (let before = -1; peer.socket.bytesWritten !== before; await settle(50)) before = peer.socket.bytesWritten;
    peer.socket.removeListener('drain', write);
  }

  for (const way of ['end', 'reset'] as const) {
    test(`over HTTP/1.1, by ${way}`, async (context) => {
      const {proxy, client, peer} = await ask(context);
      peer.send(streamHead());
      await eventually('the head is there', () => client.received.includes('\r\n\r\n'));
      client.socket.pause();
      await fill(peer);
      // Whoever closes a socket with something unread in it resets it, but one may also only say that nothing more comes.
      if (way === 'end') client.socket.end();
      else client.socket.resetAndDestroy();
      await eventually('the application sees its connection end', () => !peer.isOpen);
      assert.deepEqual(proxy.faults(), {client_gone: 1});
    });
  }

  for (const window of [65_535, 0x7fff_ffff]) {
    for (const way of ['a reset of its stream', 'the end of its connection', 'a reset of its connection'] as const) {
      test(`over HTTP/2 with a window of ${window}, by ${way}`, async (context) => {
        const {proxy, upstream} = await startStage(context);
        upstream.respond = () => streamHead();
        const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: window});
        if (window > 65_535) client.send(windowUpdate(0, 0x7000_0000));
        client.send(request(1, GET));
        const {peer} = await upstream.nextRequest();
        await eventually('the head is there', () => client.peek(1).status === 200);
        if (window > 65_535) client.tls.socket.pause();
        await fill(peer);
        if (way === 'a reset of its stream') client.send(reset(1));
        else if (way === 'the end of its connection') client.tls.socket.end();
        else client.tls.socket.destroy();
        await eventually('the application sees its connection end', () => !peer.isOpen);
        assert.deepEqual(proxy.faults(), {client_gone: 1});
      });
    }
  }
});
