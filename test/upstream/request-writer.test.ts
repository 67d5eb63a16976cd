/** Requests over HTTP/1.1: their framing, and how many writes they take. */
import assert from 'node:assert/strict';
import {beforeEach, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {RequestWriter} from '#src/upstream/request-writer.ts';
import {NO_BODY} from '#src/upstream/upstream-stream.ts';

const HEAD = 'POST / HTTP/1.1\r\nhost: a\r\n';
const PIECE = Buffer.from('x');

/** Counts what a socket would have to do. */
const socket = {
  text: '',
  writes: 0,
  isBackedUp: false,
  backlogBytes: 0,
  corks: 0,
  uncorks: 0,
  writeText(latin1: string): void {
    socket.text += latin1;
    socket.writes++;
  },
  writeBytes(bytes: Buffer): void {
    socket.writeText(bytes.toString('latin1'));
  },
  cork: () => { socket.corks++; },
  uncork: () => { socket.uncorks++; },
};

beforeEach(() => Object.assign(socket, {text: '', writes: 0, corks: 0, uncorks: 0}));

for (const [what, length, pieces, expected, writes] of [
  ['no body', NO_BODY, [], `${HEAD}\r\n`, 1],
  ['an empty body', 0, [], `${HEAD}content-length: 0\r\n\r\n`, 1],
  ['a small body leaves with its head', 5, ['hello'], `${HEAD}content-length: 5\r\n\r\nhello`, 1],
  ['a body of two pieces', 7, ['hel', 'lo !'], `${HEAD}content-length: 7\r\n\r\nhello !`, 3],
  ['a large body', LIMITS.singleWriteBytesMax, ['x'.repeat(LIMITS.singleWriteBytesMax)], `${HEAD}content-length: ${LIMITS.singleWriteBytesMax}\r\n\r\n${'x'.repeat(LIMITS.singleWriteBytesMax)}`, 2],
  ['the beginning of a body', 100, ['hello'], `${HEAD}content-length: 100\r\n\r\nhello`, 2],
  ['the beginning of a chunked body', BODY_CHUNKED, ['hello'], `${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, 3],
] as const) {
  test(what, () => {
    const writer = new RequestWriter(socket);
    writer.begin(HEAD, length, pieces.map((piece) => Buffer.from(piece)));
    writer.end();
    assert.equal(socket.text, expected);
    assert.equal(socket.writes, writes);
    assert.equal(socket.corks, socket.uncorks);
  });
}

test('pieces that come in one turn leave in one write', async () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, BODY_CHUNKED, [PIECE]);
  Object.assign(socket, {text: '', corks: 0, uncorks: 0});
  for (let i = 0; i < 1000; i++) writer.write(PIECE);
  assert.deepEqual([socket.corks, socket.uncorks], [1, 0]);
  writer.end();
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual([socket.corks, socket.uncorks], [1, 1]);
  assert.equal(socket.text, `${'1\r\nx\r\n'.repeat(1000)}0\r\n\r\n`);
});

test('a piece of a body without chunks leaves at once, and those that come in the same turn in one write', async () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, 1001, [PIECE]);
  Object.assign(socket, {text: '', writes: 0, corks: 0, uncorks: 0});
  writer.write(PIECE);
  assert.deepEqual([socket.writes, socket.corks], [1, 0]);
  for (let i = 1; i < 1000; i++) writer.write(PIECE);
  assert.deepEqual([socket.corks, socket.uncorks], [1, 0]);
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual([socket.text, socket.corks, socket.uncorks], ['x'.repeat(1000), 1, 1]);
});

test('a chunk that is not small is not copied', () => {
  const writer = new RequestWriter(socket);
  writer.begin(HEAD, BODY_CHUNKED, []);
  writer.write(Buffer.alloc(2000, 'y'));
  writer.end();
  writer.end();
  assert.equal(socket.text, `${HEAD}transfer-encoding: chunked\r\n\r\n7d0\r\n${'y'.repeat(2000)}\r\n0\r\n\r\n`);
  assert.equal(socket.writes, 5);
});
