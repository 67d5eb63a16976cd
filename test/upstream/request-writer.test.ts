/** Requests over HTTP/1.1: their framing, and how many writes they take. */
import assert from 'node:assert/strict';
import {beforeEach, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {RequestWriter} from '#src/upstream/request-writer.ts';
import {NO_BODY} from '#src/upstream/upstream-stream.ts';

const HEAD = 'POST / HTTP/1.1\r\nhost: a\r\n';
const PIECE = Buffer.from('x');

/** What leaves with each write. */
const socket = {
  collected: '',
  writes: [] as string[],
  isBackedUp: false,
  backlogBytes: 0,
  addText: (latin1: string) => { socket.collected += latin1; },
  addBytes: (bytes: Buffer) => { socket.collected += bytes.toString('latin1'); },
  addLent: (bytes: Buffer, start: number, end: number) => { socket.collected += bytes.toString('latin1', start, end); },
  flush: () => {
    if (socket.collected !== '') socket.writes.push(socket.collected);
    socket.collected = '';
  },
};

beforeEach(() => Object.assign(socket, {collected: '', writes: []}));

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}

for (const [what, length, pieces, expected] of [
  ['no body', NO_BODY, [], `${HEAD}\r\n`],
  ['an empty body', 0, [], `${HEAD}content-length: 0\r\n\r\n`],
  ['a small body', 5, ['hello'], `${HEAD}content-length: 5\r\n\r\nhello`],
  ['a body of two pieces', 7, ['hel', 'lo !'], `${HEAD}content-length: 7\r\n\r\nhello !`],
  ['a large body', LIMITS.singleWriteBytesMax, ['x'.repeat(LIMITS.singleWriteBytesMax)], `${HEAD}content-length: ${LIMITS.singleWriteBytesMax}\r\n\r\n${'x'.repeat(LIMITS.singleWriteBytesMax)}`],
  ['the beginning of a body', 100, ['hello'], `${HEAD}content-length: 100\r\n\r\nhello`],
  ['the beginning of a chunked body', BODY_CHUNKED, ['hello'], `${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`],
] as const) {
  test(`${what} leaves with the head`, () => {
    const writer = new RequestWriter(socket);
    writer.begin(HEAD, length, pieces.map((piece) => Buffer.from(piece)));
    assert.deepEqual(socket.writes, [expected]);
    writer.end();
    assert.deepEqual(socket.writes.slice(1), length === BODY_CHUNKED ? ['0\r\n\r\n'] : []);
  });
}

test('chunks that come in one turn leave in one write', async () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, BODY_CHUNKED, [PIECE]);
  for (let i = 0; i < 1000; i++) writer.write(PIECE, 0, 1);
  assert.equal(socket.writes.length, 1);
  await endOfTurn();
  assert.deepEqual(socket.writes.slice(1), ['1\r\nx\r\n'.repeat(1000)]);
  writer.write(PIECE, 0, 1);
  writer.end();
  assert.deepEqual(socket.writes.slice(2), ['1\r\nx\r\n0\r\n\r\n']);
  await endOfTurn();
  assert.equal(socket.writes.length, 3);
});

test('a piece of a body without chunks leaves at once, and those that come in the same turn in one write', async () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, 1001, [PIECE]);
  writer.write(PIECE, 0, 1);
  assert.deepEqual(socket.writes.slice(1), ['x']);
  for (let i = 1; i < 1000; i++) writer.write(PIECE, 0, 1);
  assert.equal(socket.writes.length, 2);
  await endOfTurn();
  assert.deepEqual(socket.writes.slice(2), ['x'.repeat(999)]);
});

test('each message of a tunnel leaves at once', () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, NO_BODY, []);
  for (let i = 0; i < 3; i++) writer.writeTunnel(Buffer.from('<x>'), 1, 2);
  assert.deepEqual(socket.writes.slice(1), ['x', 'x', 'x']);
});
