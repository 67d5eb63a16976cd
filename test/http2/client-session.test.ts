/** A client's session: what it sends, its windows, its time, and that one stream harms no other. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME} from '#src/http2/frames.ts';
import {ApplicationPeer, KEEP_ALIVE_MS} from '#test/http2/application-peer.ts';
import {SETTINGS_ACK, data, frame, indexedLiterals, literals, reset, settings, uint32, windowUpdate, type Fields} from '#test/http2/frames.ts';
import {contentOf} from '#test/http2/sent-frames.ts';

const OK: Fields = [[':status', '200']];

function head(streamId: number, fields: Fields = OK, flags = 0): Buffer {
  return frame(FRAME.HEADERS, FLAG.END_HEADERS | flags, streamId, literals(fields));
}

function ready(values: Parameters<typeof settings>[0] = {}): ApplicationPeer {
  const peer = new ApplicationPeer();
  peer.send(settings(values), SETTINGS_ACK);
  peer.takeFrames();
  return peer;
}

/** Of a stream's window. */
const HALF = Buffer.alloc(LIMITS.h2UpstreamWindowBytes / 2);
const WIDENING = LIMITS.h2UpstreamWideWindowBytes - LIMITS.h2UpstreamWindowBytes;

describe('requests', () => {
  test('begin with the preface, settings without push, and a window for all streams', () => {
    const peer = new ApplicationPeer();
    assert.equal(peer.session.hasRoom, false, 'before the settings of the server its limits are unknown');
    assert.throws(() => peer.ask('GET'), /without room/);
    const [first] = peer.opening;
    assert.deepEqual([first?.type, first?.payload.subarray(0, 6).toString('hex')], [FRAME.SETTINGS, '000200000000']);
    assert.equal(peer.opening[1]?.payload.readUInt32BE(0), LIMITS.h2UpstreamStreamsMax * LIMITS.h2UpstreamWindowBytes + LIMITS.h2UpstreamWideStreamsMax * WIDENING - 65_535);
  });

  test('pseudo-header fields first, and the end in the last frame', () => {
    const peer = ready();
    peer.ask('GET', {path: '/a', more: 'X-A: 1\r\n'});
    assert.deepEqual(peer.takeLines(), ['> HEADERS 1 end :method: GET | :scheme: http | :authority: a.example | :path: /a | x-a: 1']);
    const post = peer.ask('POST', {isOpen: true});
    peer.session.sendContent(post, Buffer.from('hi'), 0, 2);
    peer.session.endMessage(post, 'x-trailer: 1\r\n');
    assert.deepEqual(peer.takeLines(), ['> HEADERS 3 :method: POST | :scheme: http | :authority: a.example | :path: /', '> DATA 3 "hi"', '> HEADERS 3 end x-trailer: 1']);
  });

  test('no more at once than the server takes, and than we let it', () => {
    const peer = ready({MAX_CONCURRENT_STREAMS: 2});
    peer.ask('GET');
    peer.ask('GET');
    assert.equal(peer.session.hasRoom, false);
    peer.send(head(1, OK, FLAG.END_STREAM));
    assert.equal(peer.session.hasRoom, true);
    const generous = ready({MAX_CONCURRENT_STREAMS: 1_000_000});
    for (let i = 0; i < LIMITS.h2UpstreamStreamsMax; i++) generous.ask('GET');
    assert.equal(generous.session.hasRoom, false);
  });

  test('content waits for the window of its own stream and stops no other', () => {
    const peer = ready({INITIAL_WINDOW_SIZE: 10});
    const [one, two] = [peer.ask('POST', {isOpen: true}), peer.ask('POST', {isOpen: true})];
    peer.session.sendContent(one, Buffer.alloc(2 * LIMITS.h2SessionQueueBytesMax), 0, 2 * LIMITS.h2SessionQueueBytesMax);
    peer.session.sendContent(two, Buffer.alloc(5), 0, 5);
    assert.deepEqual([one.isBackedUp, two.isBackedUp], [true, false]);
    assert.deepEqual(contentOf(peer.takeFrames()).map(({streamId, length}) => [streamId, length]), [[1, 10], [3, 5]]);
    peer.send(windowUpdate(3, 100), windowUpdate(1, 7));
    assert.deepEqual(contentOf(peer.takeFrames()).map(({streamId, length}) => [streamId, length]), [[1, 7]]);
    peer.session.resetStream(one, ERROR.CANCEL);
    assert.deepEqual(peer.takeLines(), ['> RST_STREAM 1 CANCEL']);
  });

  test('a small dynamic table is obeyed, and its secrets are never in it', () => {
    const peer = ready({HEADER_TABLE_SIZE: 0});
    for (let i = 0; i < 3; i++) peer.ask('GET', {more: 'cookie: secret=1\r\nx-same: 1\r\n'});
    const blocks = peer.takeFrames().map(({payload}) => payload.length);
    assert.equal(blocks[2], blocks[1]);
    const usual = ready();
    for (let i = 0; i < 4; i++) usual.ask('GET', {more: 'cookie: secret=1\r\nx-same: 1\r\n'});
    const last = usual.takeFrames().at(-1);
    assert.ok(last?.payload.includes('secret=1') === true && !last.payload.includes('x-same'));
  });
});

describe('responses', () => {
  test('more content than the window of a stream: the connection ends', () => {
    const peer = ready();
    const stream = peer.ask('GET');
    peer.session.pauseBody(stream);
    peer.send(head(1));
    peer.send(data(1, HALF), data(1, HALF));
    assert.equal(peer.session.isFinished, false);
    peer.send(data(1, 'x'));
    assert.equal(peer.events.at(-1), 'error FLOW_CONTROL_ERROR upstream_h2_protocol');
  });

  test('streams that are paused shut no window but their own', () => {
    const peer = ready();
    const streams = Array.from({length: LIMITS.h2UpstreamStreamsMax}, () => peer.ask('GET'));
    for (const stream of streams.slice(1)) {
      peer.session.pauseBody(stream);
      peer.send(head(stream.id));
      peer.send(data(stream.id, HALF), data(stream.id, HALF));
    }
    peer.takeFrames();
    peer.send(head(1));
    for (let i = 0; i < 40; i++) peer.send(data(1, Buffer.alloc(LIMITS.h2FrameBytesMax)));
    assert.equal(peer.session.isFinished, false);
    assert.equal(streams[0]?.contentReceived, 40 * LIMITS.h2FrameBytesMax, 'more than four of its windows');
  });

  test('a paused stream gets no credit until it goes on', () => {
    const peer = ready();
    const stream = peer.ask('GET');
    peer.send(head(1));
    peer.takeFrames();
    peer.session.pauseBody(stream);
    peer.send(data(1, HALF), data(1, HALF));
    assert.deepEqual(peer.takeLines(), []);
    peer.session.resumeBody(stream);
    assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE 1 ${LIMITS.h2UpstreamWindowBytes + WIDENING}`]);
  });

  test('the window of a stream becomes wide, once, while there are few streams; so those with a wide one are few', () => {
    const peer = ready();
    const few = Array.from({length: LIMITS.h2UpstreamWideStreamsMax}, () => peer.ask('GET'));
    peer.takeFrames();
    for (const {id} of few) peer.send(head(id), data(id, HALF));
    assert.deepEqual(peer.takeLines(), few.map(({id}) => `> WINDOW_UPDATE ${id} ${HALF.length + WIDENING}`));
    peer.send(...Array.from({length: 4}, () => data(1, Buffer.alloc(LIMITS.h2UpstreamWideWindowBytes / 8))));
    assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE 1 ${LIMITS.h2UpstreamWideWindowBytes / 2}`]);
    const another = peer.ask('GET');
    peer.takeFrames();
    peer.send(head(another.id), data(another.id, HALF));
    assert.deepEqual(peer.takeLines(), [`> WINDOW_UPDATE ${another.id} ${HALF.length}`]);
  });

  test('fields of more than 64 KiB once decompressed end the connection, less end the stream ("HPACK bomb")', () => {
    for (const [repeats, expected] of [[15, 'reset 3 PROTOCOL_ERROR upstream_head_too_large'], [40, 'error ENHANCE_YOUR_CALM upstream_h2_flood']] as const) {
      const peer = ready();
      peer.ask('GET');
      peer.ask('GET');
      peer.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, Buffer.concat([literals(OK), indexedLiterals([['x', 'a'.repeat(3000)]])])));
      peer.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 3, Buffer.concat([literals(OK), Buffer.alloc(repeats, 0x80 | 62)])));
      assert.equal(peer.events.at(-1), expected);
      assert.equal(peer.session.isFinished, repeats === 40);
    }
  });

  test('many that are malformed, or reset, or refused, end no connection', () => {
    const peer = ready();
    for (let i = 0; i < 300; i++) {
      const {id} = peer.ask('GET');
      peer.send(i % 3 === 0 ? head(id, [['x-evil', '1']]) : reset(id, i % 3 === 1 ? ERROR.REFUSED_STREAM : ERROR.INTERNAL_ERROR));
    }
    assert.equal(peer.session.isFinished, false);
    assert.equal(peer.session.streamCount, 0);
  });

  test('what was on its way to a stream that was reset here is no offence', () => {
    const peer = ready();
    peer.ask('GET');
    const {id} = peer.ask('GET');
    peer.session.resetStream(peer.streams.get(1) ?? assert.fail(), ERROR.CANCEL);
    peer.send(head(1), data(1, 'late'), head(1, [['x-trailer', '1']], FLAG.END_STREAM), head(id, OK, FLAG.END_STREAM));
    assert.deepEqual(peer.events, ['response 3 200, body 0', 'end 3']);
  });

  test('nor where clients cancel many at once, each of them with a window of small frames on its way: siblings go on', () => {
    const peer = ready();
    const sibling = peer.ask('GET');
    const cancelled = Array.from({length: LIMITS.h2UpstreamResetsMax}, () => {
      const stream = peer.ask('GET');
      peer.session.resetStream(stream, ERROR.CANCEL);
      return stream.id;
    });
    for (const id of cancelled) peer.send(head(id), ...Array.from({length: 128}, () => data(id, Buffer.alloc(LIMITS.h2UpstreamWindowBytes / 128))));
    peer.send(head(sibling.id, OK, FLAG.END_STREAM));
    assert.deepEqual(peer.events, ['response 1 200, body 0', 'end 1']);
  });

  test('nor may a server send more than those windows for ever', () => {
    const peer = ready();
    peer.session.resetStream(peer.ask('GET'), ERROR.CANCEL);
    for (let sent = 0; sent < LIMITS.h2UpstreamWindowBytes; sent += 1024) peer.send(data(1, Buffer.alloc(1024)));
    for (let i = 0; i < 1500; i++) peer.send(data(1, 'x'));
    assert.deepEqual(peer.events, ['error ENHANCE_YOUR_CALM upstream_h2_flood']);
  });

  test('an empty frame before the trailers of each response is no flood (nghttp2 sends one)', () => {
    const peer = ready();
    for (let i = 0; i < 500; i++) {
      const {id} = peer.ask('GET');
      peer.send(head(id), data(id, 'x'), data(id, ''), head(id, [['grpc-status', '0']], FLAG.END_STREAM));
    }
    assert.equal(peer.session.isFinished, false);
  });

  test('windows widened and pings sent for each piece of content are none either (gRPC measures so)', () => {
    const peer = ready();
    const stream = peer.ask('POST', {isOpen: true});
    for (let i = 0; i < 5000; i++) {
      peer.session.sendContent(stream, Buffer.from('small'), 0, 5);
      peer.takeFrames();
      peer.send(windowUpdate(stream.id, 5), windowUpdate(0, 5), frame(FRAME.PING, 0, 0, Buffer.alloc(8)));
    }
    assert.equal(peer.session.isFinished, false);
  });
});

describe('time', () => {
  test('settings that are not acknowledged', () => {
    const peer = new ApplicationPeer();
    peer.send(settings());
    peer.ask('GET');
    peer.pass(LIMITS.h2SettingsAckMs - 1);
    assert.equal(peer.session.isFinished, false);
    peer.pass(1);
    assert.equal(peer.events.at(-1), 'error SETTINGS_TIMEOUT upstream_h2_protocol');
  });

  test('a frame that does not end', () => {
    const peer = ready();
    peer.ask('GET');
    peer.send(head(1).subarray(0, 10));
    peer.pass(LIMITS.h2UpstreamFrameMs - 1);
    assert.equal(peer.session.isFinished, false);
    peer.pass(1);
    assert.equal(peer.events.at(-1), 'error ENHANCE_YOUR_CALM upstream_h2_protocol');
  });

  test('no requests for long', () => {
    const peer = ready();
    peer.ask('GET');
    peer.pass(10 * KEEP_ALIVE_MS);
    assert.equal(peer.session.isFinished, false);
    peer.send(head(1, OK, FLAG.END_STREAM));
    peer.pass(KEEP_ALIVE_MS - 1);
    assert.equal(peer.session.isFinished, false);
    peer.pass(1);
    assert.equal(peer.session.isFinished, true);
  });

  test('a session that is retired ends with its last request', () => {
    const peer = ready();
    peer.ask('GET');
    peer.session.retire();
    assert.deepEqual([peer.session.hasRoom, peer.session.isFinished], [false, false]);
    peer.send(head(1, OK, FLAG.END_STREAM));
    assert.equal(peer.session.isFinished, true);
    assert.deepEqual(peer.events, ['response 1 200, body 0', 'end 1']);
  });

  test('GOAWAY with an error ends what it does not cover, and nothing else', () => {
    const peer = ready();
    peer.ask('GET');
    peer.ask('GET');
    peer.send(frame(FRAME.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(ERROR.INTERNAL_ERROR)])));
    assert.deepEqual(peer.events, ['reset 3 REFUSED_STREAM upstream_refused']);
  });
});
