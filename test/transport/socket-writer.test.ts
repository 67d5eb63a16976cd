/** The sending side of a socket: order, backlog and ends, whatever way the bytes take. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {test, type TestContext} from 'node:test';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {LIMITS} from '#src/core/limits.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';
import {eventually} from '#test/support/eventually.ts';

const POOL = new BufferPool(32 * 1024, 8);

interface Pair {
  readonly socket: Socket;
  readonly writer: SocketWriter;
  readonly peer: Socket;
}

async function openPair(context: TestContext, isCleartext = true): Promise<Pair> {
  const server = createServer({pauseOnConnect: true});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[peer]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(socket, 'connect')]);
  socket.on('error', () => undefined);
  peer.on('error', () => undefined);
  context.after(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  return {socket, peer, writer: new SocketWriter(socket, isCleartext, POOL)};
}

/** Writes until the kernel takes no more, then some, each piece numbered. Returns all of it. */
function fill({writer}: Pair): string {
  let all = '';
  for (let number = 0, rest = 3; rest > 0; number++) {
    const piece = `${String(number).padStart(7, '0')}${'x'.repeat(20_000)}\n`;
    const bytes = Buffer.from(piece, 'latin1');
    if (number % 3 === 0) writer.addBytes(bytes);
    else if (number % 3 === 1) writer.addText(piece);
    else {
      writer.addLent(bytes, 0, bytes.length);
      // Who has lent it uses it for something else.
      bytes.fill('?');
    }
    if (number % 4 !== 0) writer.flush();
    all += piece;
    if (writer.isBackedUp) rest--;
  }
  writer.flush();
  return all;
}

function write(writer: SocketWriter, text: string): void {
  writer.addText(text);
  writer.flush();
}

function collect(peer: Socket): {text: string} {
  const received = {text: ''};
  peer.on('data', (chunk: Buffer) => { received.text += chunk.toString('latin1'); });
  peer.resume();
  return received;
}

for (const isCleartext of [true, false]) {
  test(`bytes arrive in the order of the writes, ${isCleartext ? 'past' : 'through'} the stream`, async (context) => {
    const pair = await openPair(context, isCleartext);
    const sent = fill(pair);
    assert.ok(pair.writer.backlogBytes > 0);
    const drained = once(pair.socket, 'drain');
    const received = collect(pair.peer);
    await drained;
    await eventually('nothing waits', () => pair.writer.backlogBytes === 0);
    assert.ok(!pair.writer.isBackedUp);
    write(pair.writer, 'the end');
    await eventually('all has arrived', () => received.text.length === sent.length + 'the end'.length);
    assert.equal(received.text, `${sent}the end`);
  });
}

test('a single write that is larger than the kernel takes makes a backlog, and drains', async (context) => {
  const pair = await openPair(context);
  const large = Buffer.alloc(16 * 1024 * 1024, 'a');
  pair.writer.addBytes(large);
  pair.writer.flush();
  assert.equal(pair.writer.backlogBytes, large.length);
  assert.ok(pair.writer.isBackedUp);
  const drained = once(pair.socket, 'drain');
  pair.peer.resume();
  await drained;
  assert.equal(pair.writer.backlogBytes, 0);
});

test('what waits leaves before an end', async (context) => {
  const pair = await openPair(context);
  const sent = fill(pair);
  pair.socket.end();
  const received = collect(pair.peer);
  await once(pair.peer, 'end');
  assert.equal(received.text, sent);
});

test('what is collected leaves in its order', async (context) => {
  const {writer, peer} = await openPair(context);
  const received = collect(peer);
  const large = Buffer.alloc(3 * POOL.bytesPerBuffer - 1, 'x'), middle = Buffer.alloc(LIMITS.singleWriteBytesMax, 'y');
  writer.addText('1');
  writer.addLent(large, 0, large.length);
  writer.addText('2');
  writer.addLent(middle, 0, middle.length);
  writer.addBytes(middle);
  writer.addLent(Buffer.from('(3)'), 1, 2);
  writer.addText('4');
  assert.equal(received.text, '');
  assert.equal(writer.backlogBytes, large.length + 2 * middle.length + 4, 'what is collected waits');
  writer.flush();
  write(writer, '5');
  const expected = `1${large.toString()}2${middle.toString()}${middle.toString()}345`;
  await eventually('all has arrived', () => received.text.length === expected.length);
  assert.equal(received.text, expected);
});

test('a write before the connection stands waits for it', async (context) => {
  const server = createServer((peer) => { peer.on('error', () => undefined); });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  context.after(() => {
    socket.destroy();
    server.close();
  });
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const writer = new SocketWriter(socket, true, POOL);
  write(writer, 'early');
  const [peer] = await accepted;
  const received = collect(peer);
  await eventually('it has arrived', () => received.text === 'early');
  peer.destroy();
});

test('a peer that is gone ends the socket, and later writes harm nobody', async (context) => {
  const pair = await openPair(context);
  pair.peer.resetAndDestroy();
  for (let i = 0; i < 4; i++) write(pair.writer, 'x');
  await eventually('the socket is closed', () => pair.socket.closed);
  write(pair.writer, 'y');
  pair.writer.addLent(Buffer.alloc(POOL.bytesPerBuffer), 0, POOL.bytesPerBuffer);
  pair.writer.flush();
  assert.equal(pair.socket.readyState, 'closed');
});

for (const isCleartext of [true, false]) {
  test(`copies of what is lent share buffers, which come back when they have been written, ${isCleartext ? 'past' : 'through'} the stream`, async (context) => {
    const {socket, peer} = await openPair(context);
    const pool = new BufferPool(32 * 1024, 8);
    let acquired = 0, released = 0;
    const counted = Object.assign(Object.create(pool) as BufferPool, {
      bytesPerBuffer: pool.bytesPerBuffer,
      acquire: () => { acquired++; return Buffer.alloc(pool.bytesPerBuffer); },
      release: () => { released++; },
    });
    const writer = new SocketWriter(socket, isCleartext, counted);
    const received = collect(peer);
    const bytes = Buffer.alloc(10_000, 'x');
    for (let i = 0; i < 6; i++) writer.addLent(bytes, 0, bytes.length);
    assert.equal(acquired, 2, '60,000 bytes in buffers of 32 KiB');
    writer.flush();
    await eventually('all has arrived', () => received.text.length === 6 * bytes.length);
    await eventually('the buffers are back', () => released === 2);
    writer.addLent(bytes, 0, 9_000);
    writer.flush();
    assert.equal(acquired, 3, 'more than an eighth of a buffer');
    await eventually('the buffer is back', () => released === 3);
  });
}

test('of a socket that broke, no buffer comes back', async (context) => {
  const pool = new BufferPool(1024 * 1024, 8);
  const pair = await openPair(context);
  let released = 0;
  const writer = new SocketWriter(pair.socket, true, Object.assign(Object.create(pool) as BufferPool, {bytesPerBuffer: pool.bytesPerBuffer, acquire: () => pool.acquire(), release: () => { released++; }}));
  const bytes = Buffer.alloc(pool.bytesPerBuffer, 'x');
  for (let i = 0; i < 16; i++) writer.addLent(bytes, 0, bytes.length);
  writer.flush();
  assert.ok(writer.backlogBytes > 0);
  pair.socket.destroy();
  await eventually('the socket is closed', () => pair.socket.closed);
  assert.equal(released, 0);
});
