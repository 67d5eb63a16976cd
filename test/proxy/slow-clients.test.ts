/** Clients that are never silent for long, and never get done: each byte just before its deadline. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {data, upload, request, windowUpdate} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {PROBE, assertServes} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, type UpstreamPeer} from '#test/support/fake-upstream.ts';
import {GET, Http2Client, POST} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS, acme} from '#test/support/snapshots.ts';

const MIB = 1024 * 1024;
const UPLOAD = 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 64000\r\n\r\n';

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
  readonly client: RawClient;
}

async function stage(context: TestContext, timeouts: Partial<RouteTimeoutsSnapshot> = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {timeouts: {...ROUTE_TIMEOUTS, ...timeouts}}})]});
  return {proxy, upstream, client: await proxy.connect(context)};
}

/** Sends `piece` each time that the silence is nearly too long, until there is an answer or it was enough. Returns how often. */
async function trickle({proxy, client}: Stage, piece: string, timesMax: number): Promise<number> {
  for (let times = 0; times < timesMax; times++) {
    proxy.passAlmost(ROUTE_TIMEOUTS.requestBodyIdleMs);
    await settle();
    if (client.received !== '') return times;
    client.send(piece);
    await settle();
  }
  return timesMax;
}

describe('a body in drops', () => {
  test('request_body_timeout: a byte before each deadline', async (context) => {
    const set = await stage(context);
    set.client.send(UPLOAD);
    await eventually('the connection is there', () => set.proxy.proxy.openConnections === 1);
    await settle();
    assert.equal(await trickle(set, 'x', 10), 1);
    assert.equal(statusOf(await set.client.response()), 408);
    assert.deepEqual(set.proxy.faults(), {request_body_timeout: 1});
    assert.equal(set.upstream.peers.length, 0);
    await assertServes(context, set);
  });

  test('request_body_timeout: chunks of one byte, over a route without a buffer', async (context) => {
    const set = await stage(context);
    set.upstream.isParsing = false;
    set.client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n${'x'.repeat(70_000)}\r\n`);
    await eventually('it streams', () => set.upstream.bytesReceived >= 70_000);
    assert.equal(await trickle(set, '1\r\nx\r\n', 10), 1);
    assert.equal(statusOf(await set.client.response()), 408);
    await eventually('the upstream request ends', () => set.upstream.openConnections === 0);
  });

  test('a bad line is no attack: pauses of nearly the whole time, made good by a few kilobytes', async (context) => {
    const set = await stage(context);
    set.client.send(UPLOAD);
    await settle();
    assert.equal(await trickle(set, 'x'.repeat(16_000), 4), 4);
    assert.equal(statusOf(await set.client.response()), 200);
    assert.deepEqual(set.proxy.faults(), {});
  });

  test('without a rate a byte is enough', async (context) => {
    const set = await stage(context, {requestBodyRateMin: 0});
    set.client.send(UPLOAD);
    await settle();
    assert.equal(await trickle(set, 'x', 6), 6);
    assert.deepEqual(set.proxy.faults(), {});
  });

  test('request_body_timeout: over HTTP/2, and the connection goes on', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, POST));
    for (let times = 0; times < 3 && client.peek(1).status === 0; times++) {
      client.send(data(1, 'x'));
      await settle();
      proxy.passAlmost(ROUTE_TIMEOUTS.requestBodyIdleMs);
      proxy.pass(250);
      await settle();
    }
    assert.equal((await client.response(1)).status, 408);
    assert.equal((await client.ask(3)).status, 200);
    assert.deepEqual(proxy.faults(), {request_body_timeout: 1});
    await assertServes(context, {proxy, upstream});
  });
});

/** An application that always has more. */
function pour(peer: UpstreamPeer, head: string): void {
  const block = Buffer.alloc(256 * 1024, 'x');
  peer.send(head);
  const write = (): void => {
    while (!peer.socket.destroyed && peer.socket.write(block));
  };
  peer.socket.on('drain', write);
  write();
}

/** Reads some each time that a third of the patience is over; returns how often that went well. */
async function sip({proxy, client}: Stage, peer: UpstreamPeer, timesMax: number): Promise<number> {
  const handedOver = (): number => peer.socket.bytesWritten - peer.socket.writableLength;
  client.socket.pause();
  for (let times = 0; times < timesMax; times++) {
    for (let before = -1; before !== handedOver(); await settle(50)) before = handedOver();
    proxy.pass(ROUTE_TIMEOUTS.responseIdleMs / 3);
    await settle();
    if (!peer.isOpen) return times;
    const before = handedOver();
    client.socket.resume();
    await eventually('some of the response moves', () => handedOver() > before + MIB);
    client.socket.pause();
  }
  return timesMax;
}

describe('a response in sips', () => {
  /** So high that what the kernel's buffers move in a test is a drop. */
  const RATE = 1024 * MIB;

  test('client_stalled: a client that is never silent for long', async (context) => {
    const set = await stage(context, {responseRateMin: RATE});
    set.upstream.respond = () => null;
    set.client.send(PROBE);
    const {peer} = await set.upstream.nextRequest();
    pour(peer, 'HTTP/1.1 200 OK\r\n\r\n');
    const times = await sip(set, peer, 8);
    assert.ok(times >= 2 && times <= 4, `${times} sips`);
    assert.deepEqual(set.proxy.faults(), {client_stalled: 1});
  });

  for (const [what, head, rate] of [
    ['without a rate', 'HTTP/1.1 200 OK\r\n\r\n', 0],
    ['an event stream', 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n', RATE],
  ] as const) {
    test(`goes on: ${what}`, async (context) => {
      const set = await stage(context, {responseRateMin: rate});
      set.upstream.respond = () => null;
      set.client.send(PROBE);
      const {peer} = await set.upstream.nextRequest();
      pour(peer, head);
      assert.equal(await sip(set, peer, 8), 8);
      assert.deepEqual(set.proxy.faults(), {});
    });
  }

  test('over HTTP/2 what siblings move counts, where they share the line', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 65000\r\n\r\n${'x'.repeat(65_000)}`;
    const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0x7fff_ffff});
    client.send(request(1, GET), request(3, GET));
    await eventually('both have begun', () => client.peek(1).status === 200 && client.peek(3).status === 200);
    const moved = (): number => client.peek(1).body.length + client.peek(3).body.length;
    for (let rest = 130_000 - 65_535; rest > 0; rest -= 16_000) {
      const before = moved();
      // Alone, each would be half as fast as it must be.
      proxy.pass(25_000);
      client.send(windowUpdate(0, Math.min(rest, 16_000)));
      await eventually('the next piece is there', () => moved() === before + Math.min(rest, 16_000));
    }
    assert.equal(moved(), 130_000);
    assert.deepEqual(proxy.faults(), {});
  });
});
