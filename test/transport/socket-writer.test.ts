/** The sending side of a socket: order, backlog and ends, whatever way the bytes take. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {test, type TestContext} from 'node:test';
import {SocketWriter} from '#src/transport/socket-writer.ts';
import {eventually} from '#test/support/eventually.ts';

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
  return {socket, peer, writer: new SocketWriter(socket, isCleartext)};
}

/** Writes until the kernel takes no more, then some, each piece numbered. Returns all of it. */
function fill({writer}: Pair): string {
  let all = '';
  for (let number = 0, rest = 3; rest > 0; number++) {
    const piece = `${String(number).padStart(7, '0')}${'x'.repeat(20_000)}\n`;
    if (number % 3 === 0) writer.writeBytes(Buffer.from(piece, 'latin1'));
    else writer.writeText(piece);
    all += piece;
    if (writer.isBackedUp) rest--;
  }
  return all;
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
    pair.writer.writeText('the end');
    await eventually('all has arrived', () => received.text.length === sent.length + 'the end'.length);
    assert.equal(received.text, `${sent}the end`);
  });
}

test('a single write that is larger than the kernel takes makes a backlog, and drains', async (context) => {
  const pair = await openPair(context);
  const large = Buffer.alloc(16 * 1024 * 1024, 'a');
  pair.writer.writeBytes(large);
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

test('corked text leaves in its order', async (context) => {
  const {writer, peer} = await openPair(context);
  const received = collect(peer);
  writer.writeText('1');
  writer.cork();
  writer.writeText('2');
  writer.writeBytes(Buffer.from('3'), () => undefined);
  writer.writeText('4');
  writer.uncork();
  writer.writeText('5');
  await eventually('all has arrived', () => received.text.length === 5);
  assert.equal(received.text, '12345');
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
  const writer = new SocketWriter(socket, true);
  writer.writeText('early');
  const [peer] = await accepted;
  const received = collect(peer);
  await eventually('it has arrived', () => received.text === 'early');
  peer.destroy();
});

test('a peer that is gone ends the socket, and later writes harm nobody', async (context) => {
  const pair = await openPair(context);
  pair.peer.resetAndDestroy();
  for (let i = 0; i < 4; i++) pair.writer.writeText('x');
  await eventually('the socket is closed', () => pair.socket.closed);
  pair.writer.writeText('y');
  pair.writer.writeBytes(Buffer.from('z'));
  assert.equal(pair.socket.readyState, 'closed');
});
