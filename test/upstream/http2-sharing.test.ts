/** HTTP/2 to applications: who shares a connection, and that nobody pays for the others. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {GET, ask, startProxy} from '#test/upstream/http2-stage.ts';
import {END_HEADERS, END_STREAM, RawHttp2, TYPE, frame, head, uint32, type RawPeer} from '#test/upstream/raw-http2.ts';

const OK_HEAD = [[':status', '200']] as const;

function answer(stream: number, peer: RawPeer): void {
  peer.send(head(stream, OK_HEAD, END_HEADERS | END_STREAM));
}

/** One setting. */
function settings(identifier: number, value: number): Buffer {
  return frame(TYPE.settings, 0, 0, Buffer.concat([Buffer.from([0, identifier]), uint32(value)]));
}

const MAX_CONCURRENT_STREAMS = 3;

test('requests that came before the server said that it takes one at once are moved to other connections', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = settings(MAX_CONCURRENT_STREAMS, 1);
  const held: [number, RawPeer][] = [];
  upstream.respond = (stream, peer) => held.push([stream, peer]);
  const proxy = await startProxy(context, [upstream.port]);
  const answers = Array.from({length: 10}, () => ask(context, proxy));
  await eventually('all are there', () => held.length === 10);
  assert.deepEqual(new Set(held.map(([stream]) => stream)), new Set([1]));
  assert.equal(upstream.peers.length, 10);
  for (const [stream, peer] of held) answer(stream, peer);
  for (const response of await Promise.all(answers)) assert.equal(statusOf(response), 200);
  assert.deepEqual(proxy.faults(), {});
});

test('a server that never takes any gets no endless supply of connections', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = settings(MAX_CONCURRENT_STREAMS, 0);
  const proxy = await startProxy(context, [upstream.port]);
  assert.equal(statusOf(await ask(context, proxy)), 502);
  assert.deepEqual(proxy.faults(), {upstream_refused: 1});
  assert.equal(upstream.peers.length, 1 + LIMITS.h2UpstreamMovesMax);
});

test('nor does one that sends everybody away at once', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = Buffer.concat([frame(TYPE.settings, 0, 0), frame(TYPE.goaway, 0, 0, uint32(0, 0))]);
  const proxy = await startProxy(context, [upstream.port]);
  assert.equal(statusOf(await ask(context, proxy)), 502);
  assert.deepEqual(proxy.faults(), {upstream_refused: 1});
  await eventually('nothing is left open', () => upstream.openConnections === 0);
});

test('a server that says nothing of HTTP/2 is no server: the connection is given up in time', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = Buffer.alloc(0);
  const proxy = await startProxy(context, [upstream.port]);
  const client = await proxy.connect(context);
  client.send(GET);
  await eventually('it is connected to', () => upstream.peers.length === 1);
  await settle();
  proxy.pass(3_500);
  assert.equal(statusOf(await client.response()), 504);
  assert.deepEqual(proxy.faults(), {connect_timeout: 1});
  await eventually('nothing is left open', () => upstream.openConnections === 0);
  assert.equal(upstream.peers[0]?.of(TYPE.headers).length, 0, 'nothing of the request was sent');
});

test('after many resets requests take a fresh connection: the server may soon end this one (CVE-2023-44487)', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.respond = () => undefined;
  const proxy = await startProxy(context, [upstream.port], {connectionsMax: 1000});
  const sibling = ask(context, proxy);
  await eventually('the sibling is there', () => upstream.peers[0]?.of(TYPE.headers).length === 1);
  for (let i = 0; i < LIMITS.h2UpstreamResetsMax; i++) {
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('it is there', () => upstream.peers[0]?.of(TYPE.headers).length === i + 2);
    client.destroy();
    await eventually('it is reset', () => upstream.peers[0]?.of(TYPE.rst).length === i + 1);
  }
  upstream.respond = answer;
  assert.equal(statusOf(await ask(context, proxy)), 200);
  assert.equal(upstream.peers.length, 2);
  answer(1, upstream.peers[0] as RawPeer);
  assert.equal(statusOf(await sibling), 200, 'what was under way goes on');
  await eventually('the first connection ends', () => upstream.openConnections === 1);
});

test('a client that reads nothing stops no other response, however large', async (context) => {
  const upstream = await RawHttp2.start(context);
  const chunk = frame(TYPE.data, 0, 1, 'x'.repeat(16_384));
  /** As much as its window takes. */
  upstream.respond = (stream, peer) => {
    if (stream > 39) answer(stream, peer);
    else peer.send(head(stream, OK_HEAD), ...Array.from({length: 8}, () => Buffer.concat([chunk.subarray(0, 5), uint32(stream), chunk.subarray(9)])));
  };
  const proxy = await startProxy(context, [upstream.port]);
  for (let i = 0; i < 20; i++) {
    const client = await proxy.connect(context);
    client.socket.pause();
    client.send(GET);
  }
  await eventually('all are being answered', () => upstream.peers[0]?.of(TYPE.headers).length === 20);
  assert.equal(statusOf(await ask(context, proxy)), 200);
  assert.equal(upstream.peers.length, 1);
});

test('an application that takes nothing of uploads stops no other upload', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = settings(4, 0);
  upstream.respond = () => undefined;
  const proxy = await startProxy(context, [upstream.port]);
  const upload = `POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 900000\r\n\r\n${'x'.repeat(900_000)}`;
  for (let i = 0; i < 20; i++) (await proxy.connect(context)).send(upload);
  await eventually('all are begun', () => upstream.peers[0]?.of(TYPE.headers).length === 20);
  await settle();
  const client = await proxy.connect(context);
  client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 1000\r\n\r\n');
  client.send('y'.repeat(1000));
  await eventually('one more is begun', () => upstream.peers[0]?.of(TYPE.headers).length === 21);
  upstream.peers[0]?.send(frame(8, 0, 41, uint32(1000)));
  await eventually('it is taken', () => upstream.peers[0]?.of(TYPE.data).some(({stream, payload}) => stream === 41 && payload.length === 1000) === true);
  answer(41, upstream.peers[0] as RawPeer);
  assert.equal(statusOf(await client.response()), 200);
});
