/** Whoever is slow slows the other side down, and never fills the memory between. */
import assert from 'node:assert/strict';
import type {Socket} from 'node:net';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTP, HTTPS, ROUTE_TIMEOUTS, acme, certificate, customer, pool, route, site} from '#test/support/snapshots.ts';

const PAIR = await makeCertificate(['acme.test']);

const MIB = 1024 * 1024;
const TOTAL_BYTES = 64 * MIB;
/** What the kernel's buffers of two connections may take, generously; the proxy's own share is far smaller. */
const KERNEL_BYTES = 24 * MIB;

/** What a route collects of a body before it streams. */
const ROUTE_BUFFER_BYTES = 64 * 1024;

const BLOCK = Buffer.alloc(64 * 1024, 'x');

/** Writes `bytes` bytes as fast as the socket takes them. */
function pump(socket: Socket, bytes: number): void {
  let left = bytes;
  const write = (): void => {
    while (left > 0 && !socket.destroyed) {
      const piece = BLOCK.subarray(0, Math.min(left, BLOCK.length));
      left -= piece.length;
      if (!socket.write(piece)) break;
    }
  };
  socket.on('drain', write);
  write();
}

/** Waits until the number has stopped growing; returns it. */
async function standstill(value: () => number): Promise<number> {
  let before = -1;
  while (value() !== before) {
    before = value();
    await settle(50);
  }
  return before;
}

function handedOver(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength;
}

async function stage(context: TestContext): Promise<{upstream: FakeUpstream; proxy: ProxyHarness}> {
  const upstream = await FakeUpstream.start(context);
  const customers = [{...acme([upstream.port], {route: {maxBodyBytes: 2 * TOTAL_BYTES}}), certificates: [certificate(PAIR, ['acme.test'])]}];
  const proxy = await ProxyHarness.start(context, {customers, node: {listeners: [HTTP, HTTPS]}});
  return {upstream, proxy};
}

for (const listener of ['http', 'https'] as const) test(`a client of ${listener} that reads slowly slows the application down, and gets everything`, async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.respond = ({peer}) => {
    peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
    pump(peer.socket, TOTAL_BYTES);
    return null;
  };
  const client = listener === 'http' ? await proxy.connect(context) : await proxy.connectTls(context, {servername: 'acme.test'});
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(PROBE);
  const {peer} = await upstream.nextRequest();
  const sent = await standstill(() => handedOver(peer.socket));
  assert.ok(sent < KERNEL_BYTES, `${sent} bytes were read from the application`);

  let read = 0;
  client.socket.on('data', (chunk: Buffer) => { read += chunk.length; });
  client.socket.resume();
  await eventually('everything is read', () => read > TOTAL_BYTES);
  assert.deepEqual(proxy.faults(), {});
  await eventually('the connection is idle', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
});

test('a client that stops reading is given up, and with it the upstream request', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.respond = ({peer}) => {
    peer.send('HTTP/1.1 200 OK\r\n\r\n');
    pump(peer.socket, TOTAL_BYTES);
    return null;
  };
  const client = await proxy.connect(context);
  client.socket.pause();
  client.send(PROBE);
  const {peer} = await upstream.nextRequest();
  await standstill(() => handedOver(peer.socket));
  proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
  assert.ok(peer.isOpen);
  proxy.passRest();
  await eventually('the upstream connection is gone', () => !peer.isOpen);
  assert.deepEqual(proxy.faults(), {client_stalled: 1});
  assert.equal(proxy.proxy.openConnections, 0);
});

/** The client has the time of the route and no more, and both connections end with it. */
async function expectGivenUp(upstream: FakeUpstream, proxy: ProxyHarness): Promise<void> {
  proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
  assert.equal(proxy.proxy.openConnections, 1);
  proxy.passRest();
  await eventually('the upstream connection is gone', () => upstream.openConnections === 0);
  assert.deepEqual(proxy.faults(), {client_stalled: 1});
  assert.equal(proxy.proxy.openConnections, 0);
}

/** An application that gives back what comes, and stops reading when nobody takes that. */
function echo(upstream: FakeUpstream): void {
  upstream.isParsing = false;
  upstream.onPeer = (peer) => {
    let isAnswered = false;
    peer.socket.on('data', (chunk: Buffer) => {
      if (!isAnswered) peer.send('HTTP/1.1 200 OK\r\n\r\n');
      isAnswered = true;
      if (!peer.socket.write(chunk)) peer.socket.pause();
    });
    peer.socket.on('drain', () => { peer.socket.resume(); });
  };
}

test('a client that ends its request and does not read the early answer is given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => {
    peer.send('HTTP/1.1 200 OK\r\n\r\n');
    pump(peer.socket, TOTAL_BYTES);
  };
  const client = await proxy.connect(context);
  client.socket.pause();
  const bodyBytes = 2 * ROUTE_BUFFER_BYTES;
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${bodyBytes}\r\n\r\n${'x'.repeat(bodyBytes - 1)}`);
  await eventually('the application answers', () => upstream.peers.length === 1);
  await standstill(() => handedOver(upstream.peers[0]!.socket));
  const received = upstream.bytesReceived;
  client.send('x');
  await eventually('the request is complete', () => upstream.bytesReceived > received);
  await expectGivenUp(upstream, proxy);
});

test('a client that only sends to an application that gives it back is given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  echo(upstream);
  const client = await proxy.connect(context);
  client.socket.pause();
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
  pump(client.socket, TOTAL_BYTES);
  await standstill(() => handedOver(client.socket));
  await expectGivenUp(upstream, proxy);
});

test('a client that sends and reads, however slowly, is not given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  echo(upstream);
  const client = await proxy.connect(context);
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
  pump(client.socket, TOTAL_BYTES);
  let read = 0;
  client.socket.on('data', (chunk: Buffer) => { read += chunk.length; });
  for (let turn = 0; turn < 3; turn++) {
    client.socket.pause();
    await standstill(() => handedOver(client.socket));
    proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
    const wanted = read + KERNEL_BYTES / 4;
    client.socket.resume();
    await eventually('some of it is read', () => read > wanted);
  }
  await eventually('everything came back', () => read > TOTAL_BYTES);
  assert.deepEqual(proxy.faults(), {});
});

test('a client that has read the answer so far, and stops sending, is given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => {
    peer.send('HTTP/1.1 200 OK\r\n\r\n');
    pump(peer.socket, KERNEL_BYTES);
  };
  const client = await proxy.connect(context);
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n${'x'.repeat(2 * ROUTE_BUFFER_BYTES)}`);
  await eventually('the application answers', () => upstream.peers.length === 1);
  await standstill(() => handedOver(upstream.peers[0]!.socket));
  let read = 0;
  client.socket.on('data', (chunk: Buffer) => { read += chunk.length; });
  client.socket.resume();
  await eventually('the answer is read', () => read > KERNEL_BYTES);
  proxy.passAlmost(ROUTE_TIMEOUTS.requestBodyIdleMs);
  assert.equal(proxy.proxy.openConnections, 1);
  proxy.passRest();
  await eventually('the upstream connection is gone', () => upstream.openConnections === 0);
  assert.deepEqual(proxy.faults(), {request_body_timeout: 1});
  assert.equal(proxy.proxy.openConnections, 0);
});

test('an application may answer early and be silent until the upload has ended, and not for ever after that', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => { peer.send('HTTP/1.1 200 OK\r\n\r\n'); };
  const client = await proxy.connect(context);
  const pieces = 5;
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${(pieces + 1) * BLOCK.length}\r\n\r\n`);
  client.socket.write(BLOCK);
  for (let piece = 1; piece <= pieces; piece++) {
    client.socket.write(BLOCK);
    await eventually('the piece arrives', () => upstream.bytesReceived > (piece + 1) * BLOCK.length);
    if (piece < pieces) proxy.passAlmost(ROUTE_TIMEOUTS.requestBodyIdleMs);
  }
  assert.deepEqual(proxy.faults(), {});
  proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
  assert.deepEqual(proxy.faults(), {});
  proxy.passRest();
  assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
});

test('an application that answers early and then neither reads nor writes is given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => {
    peer.socket.pause();
    peer.send('HTTP/1.1 200 OK\r\n\r\n');
  };
  const client = await proxy.connect(context);
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
  pump(client.socket, TOTAL_BYTES);
  await standstill(() => handedOver(client.socket));
  proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
  assert.deepEqual(proxy.faults(), {});
  proxy.passRest();
  assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
});

test('an application that reads slowly slows the client down, and gets everything', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => { peer.socket.pause(); };
  const client = await proxy.connect(context);
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
  pump(client.socket, TOTAL_BYTES);
  const sent = await standstill(() => handedOver(client.socket));
  assert.ok(sent < KERNEL_BYTES, `${sent} bytes were read from the client`);

  upstream.peers[0]?.socket.resume();
  await eventually('everything is read', () => upstream.bytesReceived > TOTAL_BYTES);
  upstream.peers[0]?.send('HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal((await client.response()).startLine, 'HTTP/1.1 204 No Content');
  assert.deepEqual(proxy.faults(), {});
});

for (const listener of ['http', 'https'] as const) test(`a client of ${listener} that resets its connection while its upload has to wait is noticed before its deadline`, async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => { peer.socket.pause(); };
  const connection = await proxy.connect(context, listener);
  const client = listener === 'http' ? connection : await proxy.connectTls(context, {servername: 'acme.test', socket: connection.socket});
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${TOTAL_BYTES}\r\n\r\n`);
  pump(client.socket, TOTAL_BYTES);
  await standstill(() => handedOver(client.socket));
  proxy.pass(2 * LIMITS.absenceMs);
  assert.equal(proxy.proxy.openConnections, 1);
  connection.socket.resetAndDestroy();
  await settle();
  proxy.pass(LIMITS.absenceMs + LIMITS.wheelTickMs);
  assert.deepEqual(proxy.faults(), {client_gone: 1});
  assert.equal(proxy.proxy.openConnections, 0);
  assert.equal(proxy.placesOf('buffers'), 0);
  assert.equal(proxy.slot('acme', 'app', upstream.port).requests, 0);
  await eventually('its place is free', () => proxy.placesOf('connections') === 0);
});

test('an application that stops reading is given up', async (context) => {
  const {upstream, proxy} = await stage(context);
  upstream.isParsing = false;
  upstream.onPeer = (peer) => { peer.socket.pause(); };
  const client = await proxy.connect(context);
  client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n${TOTAL_BYTES.toString(16)}\r\n`);
  pump(client.socket, TOTAL_BYTES);
  await standstill(() => handedOver(client.socket));
  proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
  assert.match((await client.response()).startLine, /^HTTP\/1\.1 504 /);
  assert.deepEqual(proxy.faults(), {response_head_timeout: 1});
});

test('a client that asks and asks and reads no answer has to wait', async (context) => {
  const answers = 20_000;
  const page = 'x'.repeat(4000);
  const talkative = customer('acme', {pools: [pool('app', [1])], sites: [site(['acme.test'], [
    route('/', {action: {type: 'respond', status: 200, contentType: 'text/plain', body: page}}),
  ])]});
  const proxy = await ProxyHarness.start(context, {customers: [talkative], node: {log: {access: 'off', level: 'info'}}});
  const client = await proxy.connect(context);
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(PROBE.repeat(answers));
  const answered = await standstill(() => proxy.counter('requests'));
  assert.ok(answered * page.length < KERNEL_BYTES, `${answered} answers were made`);

  let read = 0;
  client.socket.on('data', (chunk: Buffer) => { read += chunk.length; });
  client.socket.resume();
  await eventually('everything is answered', () => proxy.counter('requests') === answers && read > answers * page.length);
});

test('a client that asks and asks and never reads an answer is given up', async (context) => {
  const talkative = customer('acme', {pools: [pool('app', [1])], sites: [site(['acme.test'], [
    route('/', {action: {type: 'respond', status: 200, contentType: 'text/plain', body: 'x'.repeat(4000)}}),
  ])]});
  const proxy = await ProxyHarness.start(context, {customers: [talkative], node: {log: {access: 'off', level: 'info'}}});
  const client = await proxy.connect(context);
  client.socket.pause();
  client.send(PROBE.repeat(20_000));
  await standstill(() => proxy.counter('requests'));
  proxy.passAlmost(proxy.node.timeouts.responseIdleMs);
  assert.equal(proxy.proxy.openConnections, 1);
  proxy.passRest();
  assert.equal(proxy.proxy.openConnections, 0);
});

for (const [what, chunks] of [['collected', 10_000], ['streamed', 100_000]] as const) {
  test(`a body of tiny chunks arrives whole, ${what}`, async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(chunks)}0\r\n\r\n`);
    assert.equal((await upstream.nextRequest()).body, 'x'.repeat(chunks));
    assert.equal((await client.response()).body, 'ok');
  });
}
