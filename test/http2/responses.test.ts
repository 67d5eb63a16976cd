/** The way out: windows, frames, back pressure; and the credit for the way in. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG, FRAME, WINDOW_BYTES_MAX} from '#src/http2/frames.ts';
import {data, opening, request, settings, upload, windowUpdate} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';
import {contentOf} from '#test/http2/sent-frames.ts';

const WIDE = Buffer.concat([opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), windowUpdate(0, WINDOW_BYTES_MAX - 65_535)]);

test('a small response leaves in one write, its end in its last frame', () => {
  const peer = new Peer();
  peer.send(opening(), request(1), request(3));
  peer.takeFrames();
  peer.answer(1, 'one');
  peer.answer(3, '');
  const bytes = peer.session.takeOutput();
  assert.ok(bytes !== null);
  assert.equal(peer.session.takeOutput(), null);
  // HEADERS 1, DATA 1 with the end, HEADERS 3 with the end.
  assert.equal(bytes.toString('hex'), '00000101040000000188 0000030001000000016f6e65 00000101050000000388'.replaceAll(' ', ''));
});

test('the end of a response that comes after its last byte was taken', () => {
  const peer = new Peer();
  peer.send(opening(), request(1));
  peer.session.sendHead(peer.stream(1), 200, '');
  peer.session.sendContent(peer.stream(1), Buffer.from('abc'), 1, 3);
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 "bc"']);
  peer.session.endMessage(peer.stream(1));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 end ""']);
});

test('another stream\'s frame does not end a stream', () => {
  const peer = new Peer();
  peer.send(opening(), request(1), request(3));
  peer.session.sendHead(peer.stream(1), 200, '');
  peer.session.sendHead(peer.stream(3), 200, '');
  peer.session.endMessage(peer.stream(1));
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> HEADERS 3 :status: 200', '> DATA 1 end ""']);
});

test('interim responses and trailers', () => {
  const peer = new Peer();
  peer.send(opening(), request(1));
  const stream = peer.stream(1);
  peer.session.sendHead(stream, 103, 'link: </a>\r\n');
  peer.session.sendHead(stream, 200, 'trailer: grpc-status\r\n');
  peer.session.sendContent(stream, Buffer.from('x'), 0, 1);
  peer.session.endMessage(stream, 'grpc-status: 0\r\n');
  assert.deepEqual(peer.takeLines(), [
    '> HEADERS 1 :status: 103 | link: </a>', '> HEADERS 1 :status: 200 | trailer: grpc-status', '> DATA 1 "x"', '> HEADERS 1 end grpc-status: 0',
  ]);
});

test('trailers wait for the content', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 1}), request(1));
  const stream = peer.stream(1);
  peer.session.sendHead(stream, 200, '');
  peer.session.sendContent(stream, Buffer.from('xyz'), 0, 3);
  peer.session.endMessage(stream, 'grpc-status: 0\r\n');
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 "x"']);
  peer.send(windowUpdate(1, 2));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 "yz"', '> HEADERS 1 end grpc-status: 0']);
});

test('a head that does not fit into a frame goes on in others', () => {
  const peer = new Peer();
  peer.send(opening(), request(1));
  const lines = Array.from({length: 30}, (_, i) => `x-${i}: ${'v'.repeat(1200)}\r\n`).join('');
  peer.session.sendHead(peer.stream(1), 200, lines);
  peer.session.endMessage(peer.stream(1));
  const frames = peer.takeFrames().filter(({type}) => type !== FRAME.SETTINGS);
  assert.deepEqual(frames.map(({type}) => type), [FRAME.HEADERS, FRAME.CONTINUATION, FRAME.CONTINUATION, FRAME.DATA]);
  assert.deepEqual(frames.map(({flags}) => flags), [0, 0, FLAG.END_HEADERS, FLAG.END_STREAM]);
  assert.ok(frames.every(({payload}) => payload.length <= 16_384));
});

test('content is kept back by the window of its stream', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 5}), request(1));
  peer.answer(1, 'hello world');
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 "hello"']);
  peer.send(windowUpdate(1, 1));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 " "']);
  peer.send(windowUpdate(1, 100));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 end "world"']);
});

test('content is kept back by the window of the connection', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1), request(3));
  peer.answer(1, Buffer.alloc(65_535));
  peer.answer(3, 'next');
  assert.deepEqual(contentOf(peer.takeFrames()).map(({length}) => length), [16_384, 16_384, 16_384, 16_383]);
  peer.send(windowUpdate(0, 2));
  assert.deepEqual(peer.takeLines(), ['> DATA 3 "ne"']);
  peer.send(windowUpdate(0, 2));
  assert.deepEqual(peer.takeLines(), ['> DATA 3 end "xt"']);
});

test('a smaller initial window makes windows negative (RFC 9113 §6.9.2)', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 10}), request(1));
  peer.answer(1, '0123456789abcdef');
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 "0123456789"']);
  peer.send(settings({INITIAL_WINDOW_SIZE: 4}), windowUpdate(1, 6));
  assert.deepEqual(peer.takeLines(), [], 'the window is 0');
  peer.send(windowUpdate(1, 1));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 "a"']);
  peer.send(settings({INITIAL_WINDOW_SIZE: 9}));
  assert.deepEqual(peer.takeLines(), ['> DATA 1 end "bcdef"']);
});

test('a larger initial window must not make a window too large', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 10}), request(1), windowUpdate(1, WINDOW_BYTES_MAX - 10), settings({INITIAL_WINDOW_SIZE: 11}));
  assert.equal(peer.events.at(-1), 'error FLOW_CONTROL_ERROR h2_flow_control');
});

test('the largest frame of the client is kept, and larger ones are not made', () => {
  const peer = new Peer();
  peer.send(WIDE, settings({MAX_FRAME_SIZE: 100_000}), request(1));
  peer.answer(1, Buffer.alloc(50_000));
  assert.deepEqual(contentOf(peer.takeFrames()).map(({length}) => length), [16_384, 16_384, 16_384, 848]);
});

test('a stream whose window was taken back does not stand in the way of others', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(99));
  peer.answer(99, Buffer.alloc(65_535));
  peer.takeFrames();
  peer.send(settings({INITIAL_WINDOW_SIZE: 10}), request(101), request(103), windowUpdate(103, 10));
  for (const streamId of [101, 103]) peer.answer(streamId, 'content');
  peer.send(settings({INITIAL_WINDOW_SIZE: 0}), windowUpdate(0, 1000));
  assert.deepEqual(contentOf(peer.takeFrames()).map(({streamId}) => streamId), [103]);
});

test('a client that opens its window for each frame of content is no flood', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 1024}), request(1));
  const total = 3000 * 1024;
  peer.session.sendHead(peer.stream(1), 200, '');
  for (let sent = 0; sent < total; sent += 1024) {
    peer.session.sendContent(peer.stream(1), Buffer.alloc(1024), 0, 1024);
    peer.takeFrames();
    peer.send(windowUpdate(1, 1024), windowUpdate(0, 1024));
  }
  assert.deepEqual(peer.faults, []);
});

test('back pressure: a stream stops its producer, and lets it go on', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1));
  const stream = peer.stream(1);
  peer.session.sendHead(stream, 200, '');
  peer.session.sendContent(stream, Buffer.alloc(LIMITS.h2StreamQueueBytesMax), 0, LIMITS.h2StreamQueueBytesMax);
  assert.equal(stream.isBackedUp, false);
  peer.session.sendContent(stream, Buffer.alloc(1), 0, 1);
  assert.equal(stream.isBackedUp, true);
  peer.send(windowUpdate(1, 1000));
  peer.takeFrames();
  assert.equal(stream.isBackedUp, true, 'not at every byte');
  peer.send(windowUpdate(1, LIMITS.h2StreamQueueBytesMax));
  peer.takeFrames();
  assert.deepEqual([stream.isBackedUp, peer.events.at(-1)], [false, 'drain 1']);
});

test('100 streams of which none is read cost little, and all go on afterwards', () => {
  const peer = new Peer();
  const chunk = Buffer.alloc(64 * 1024);
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}));
  const streamIds = Array.from({length: LIMITS.h2StreamsMax}, (_, i) => 2 * i + 1);
  let produced = 0;
  for (const streamId of streamIds) {
    peer.send(request(streamId));
    const stream = peer.stream(streamId);
    peer.session.sendHead(stream, 200, '');
    while (!stream.isBackedUp) {
      peer.session.sendContent(stream, chunk, 0, chunk.length);
      produced += chunk.length;
    }
  }
  assert.ok(produced <= LIMITS.h2SessionQueueBytesMax + chunk.length, `${produced} bytes wait`);
  assert.ok(streamIds.every((streamId) => peer.stream(streamId).isBackedUp));
  for (const streamId of streamIds) peer.send(windowUpdate(streamId, WINDOW_BYTES_MAX));
  peer.send(windowUpdate(0, WINDOW_BYTES_MAX - 65_535));
  assert.equal(contentOf(peer.takeFrames()).reduce((sum, {length}) => sum + length, 0), produced);
  assert.ok(streamIds.every((streamId) => !peer.stream(streamId).isBackedUp));
  assert.equal(new Set(peer.events.filter((event) => event.startsWith('drain'))).size, streamIds.length);
});

test('streams that are opened already are told when others have too much waiting', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1), request(3));
  peer.session.sendHead(peer.stream(1), 200, '');
  const large = Buffer.alloc(LIMITS.h2SessionQueueBytesMax + 1);
  peer.session.sendContent(peer.stream(1), large, 0, large.length);
  assert.deepEqual(peer.events.slice(-1), ['backed up 3']);
  peer.send(request(5));
  assert.equal(peer.stream(5).isBackedUp, true);
  peer.session.resetStream(peer.stream(1), 8);
  assert.deepEqual(peer.events.slice(-2), ['drain 3', 'drain 5']);
});

test('what has been taken is not written again', () => {
  const peer = new Peer();
  peer.send(opening(), request(1), request(3));
  peer.answer(1, 'first');
  const first = peer.session.takeOutput();
  const copy = Buffer.from(first ?? []);
  peer.answer(3, 'second');
  peer.takeBytes();
  const other = new Peer('answer');
  other.send(opening(), request(1));
  other.takeBytes();
  assert.deepEqual(first, copy);
});

test('credit comes back for what is taken, and not for what is not', () => {
  const peer = new Peer();
  const full = Buffer.alloc(LIMITS.h2FrameBytesMax);
  const half = LIMITS.h2StreamWindowBytes / 2 / full.length;
  peer.send(opening(), upload(1));
  for (let i = 0; i < half; i++) peer.send(data(1, full));
  assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE 1 ${LIMITS.h2StreamWindowBytes / 2}`]);
  peer.session.pauseBody(peer.stream(1));
  for (let i = 0; i < 2 * half; i++) peer.send(data(1, full));
  assert.deepEqual(peer.takeLines(), []);
  peer.session.resumeBody(peer.stream(1));
  assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE 1 ${LIMITS.h2StreamWindowBytes}`]);
  for (let i = 0; i < half; i++) peer.send(data(1, full));
  assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE 0 ${LIMITS.h2ConnectionWindowBytes / 2}`, `> WINDOW_UPDATE 1 ${LIMITS.h2StreamWindowBytes / 2}`]);
});

test('the part of the connection\'s window that a stream held is free when it is over', () => {
  const peer = new Peer();
  const full = Buffer.alloc(LIMITS.h2FrameBytesMax);
  peer.send(opening());
  for (let streamId = 1; streamId <= 5; streamId += 2) {
    peer.send(upload(streamId));
    peer.session.pauseBody(peer.stream(streamId));
    for (let sent = 0; sent < LIMITS.h2StreamWindowBytes; sent += full.length) peer.send(data(streamId, full));
  }
  assert.deepEqual(peer.takeLines(), []);
  for (const streamId of [1, 3]) peer.session.resetStream(peer.stream(streamId), 8);
  const update = `> WINDOW_UPDATE 0 ${LIMITS.h2StreamWindowBytes}`;
  assert.deepEqual(peer.takeLines().sort(), ['> RST_STREAM 1 CANCEL', '> RST_STREAM 3 CANCEL', update]);
  peer.session.resetStream(peer.stream(5), 8);
  assert.deepEqual(peer.takeLines(), ['> RST_STREAM 5 CANCEL', `> WINDOW_UPDATE 0 ${2 * LIMITS.h2StreamWindowBytes}`]);
});

test('uploads go on while others hold most of the connection\'s window', () => {
  const peer = new Peer();
  const full = Buffer.alloc(LIMITS.h2FrameBytesMax);
  peer.send(opening());
  let window = LIMITS.h2ConnectionWindowBytes;
  for (const streamId of [1, 3, 5]) {
    peer.send(upload(streamId));
    peer.session.pauseBody(peer.stream(streamId));
    for (let sent = 0; sent < LIMITS.h2StreamWindowBytes; sent += full.length) peer.send(data(streamId, full));
    window -= LIMITS.h2StreamWindowBytes;
  }
  peer.send(upload(7));
  for (let sent = 0; sent < 4 * LIMITS.h2ConnectionWindowBytes; sent += full.length) {
    assert.ok(window >= full.length, `stuck after ${sent} bytes`);
    peer.send(data(7, full));
    window -= full.length;
    for (const {type, streamId, payload} of peer.takeFrames()) {
      if (type === FRAME.WINDOW_UPDATE && streamId === 0) window += payload.readUInt32BE(0);
    }
  }
  assert.deepEqual(peer.faults, []);
});

test('bytes are counted for each request', () => {
  const peer = new Peer('answer');
  const bytes = upload(1);
  peer.send(opening(), bytes, data(1, 'abc', FLAG.END_STREAM));
  const sent = peer.takeFrames().filter(({streamId}) => streamId === 1).reduce((sum, {payload}) => sum + 9 + payload.length, 0);
  assert.equal(peer.stream(1).bytesReceived, bytes.length + 9 + 3);
  assert.equal(peer.stream(1).bytesSent, sent);
});
