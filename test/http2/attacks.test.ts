/**
 * Attacks, each made of frames by hand, in four steps: the bytes come in; nobody behind the codec works for them beyond what is allowed; another
 * connection of the same thread works; and the fault is said exactly once. A step less is no attack: every limit is tried at its bound too.
 */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {GLITCH_LIMITS, LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME, PREFACE} from '#src/http2/frames.ts';
import {GLITCH_FAULTS, type Glitch} from '#src/http2/glitches.ts';
import {REQUEST, POST, data, frame, indexedLiterals, literals, opening, ping, priorityUpdate, request, reset, settings, uint32, upload, windowUpdate} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';
import {errorName} from '#test/http2/sent-frames.ts';
import {TIMEOUTS} from '#test/http2/loopback.ts';

function assertEndedBy(peer: Peer, code: number, fault: FaultCode, requestsMax: number): void {
  assert.ok(peer.events.includes(`error ${errorName(code)} ${fault}`), `the end is ${peer.events.at(-1)}`);
  assert.ok(peer.events.filter((event) => event.startsWith('request')).length <= requestsMax, 'requests were passed on');
  assert.equal(peer.faults.filter((each) => each === fault).length, 1, `${fault} was said more than once`);
  assert.ok(peer.takeLines().at(-1)?.endsWith(` ${errorName(code)}`), 'GOAWAY is not the last');
  assert.equal(peer.session.isFinished, true);
  const fresh = new Peer('answer');
  fresh.send(opening(), request(1));
  assert.deepEqual(fresh.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 end "ok"']);
}

interface Flood {
  readonly glitch: Glitch;
  readonly name: string;
  /** How many of the same kind the beginning of the connection holds. */
  readonly begun?: number;
  readonly first?: Buffer;
  readonly frame: (i: number) => Buffer;
}

const idOf = (i: number): number => 2 * i + 1;
const EMPTY_CONTENT = frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.alloc(4, '\x03\0\0\0'));

const GOAWAY = frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8));

const FLOODS: readonly Flood[] = [
  {glitch: 'reset', name: 'rapid reset (CVE-2023-44487)', frame: (i) => Buffer.concat([request(idOf(i)), reset(idOf(i))])},
  {glitch: 'provoked', name: 'MadeYouReset by an increment of zero (CVE-2025-8671)', frame: (i) => Buffer.concat([request(idOf(i)), windowUpdate(idOf(i), 0)])},
  {glitch: 'provoked', name: 'MadeYouReset by a window that is too large', frame: (i) => Buffer.concat([request(idOf(i)), windowUpdate(idOf(i), 0x7fff_ffff)])},
  {glitch: 'provoked', name: 'MadeYouReset by content after the end', frame: (i) => Buffer.concat([request(idOf(i)), data(idOf(i), 'x')])},
  {glitch: 'provoked', name: 'MadeYouReset by a second head', frame: (i) => Buffer.concat([request(idOf(i)), request(idOf(i))])},
  {glitch: 'provoked', name: 'MadeYouReset by too much content', frame: (i) => Buffer.concat([upload(idOf(i), [...POST, ['content-length', '1']]), data(idOf(i), 'xy')])},
  {glitch: 'provoked', name: 'malformed requests', frame: (i) => request(idOf(i), [...REQUEST, ['X', 'y']])},
  {glitch: 'ping', name: 'ping flood (CVE-2019-9512)', frame: () => ping()},
  {glitch: 'ping', name: 'answers to pings that were not sent', frame: () => ping(FLAG.ACK)},
  {glitch: 'settings', name: 'settings flood (CVE-2019-9515)', begun: 1, frame: () => settings({MAX_FRAME_SIZE: 16_384})},
  {glitch: 'empty', name: 'empty frames (CVE-2019-9518)', first: upload(1), frame: () => data(1, '')},
  {glitch: 'empty', name: 'frames of padding', first: upload(1), frame: () => EMPTY_CONTENT},
  {glitch: 'priority', name: 'priorities (CVE-2019-9513)', frame: (i) => frame(FRAME.PRIORITY, 0, idOf(i), Buffer.alloc(5))},
  {glitch: 'priority', name: 'priorities of RFC 9218', frame: (i) => priorityUpdate(idOf(i), 'u=1')},
  {glitch: 'window', name: 'windows in drops (CVE-2019-9511)', first: request(1), frame: () => windowUpdate(1, 1)},
  {glitch: 'window', name: 'windows of the connection in drops', frame: () => windowUpdate(0, 1)},
  {glitch: 'window', name: 'windows of a stream that is over', first: Buffer.concat([request(1), reset(1)]), frame: () => windowUpdate(1, 1)},
  {glitch: 'unknown', name: 'unknown frames', frame: () => frame(0x63, 0, 0)},
  {glitch: 'stray', name: 'resets of a stream that is over', first: Buffer.concat([request(1), reset(1)]), frame: () => reset(1)},
  {glitch: 'stray', name: 'farewells without end', first: Buffer.concat([upload(1), GOAWAY]), frame: () => GOAWAY},
  {glitch: 'stray', name: 'content of a stream that was reset', first: upload(1, [...POST, ['X', 'y']]), frame: () => data(1, 'x')},
];

for (const {glitch, name, begun = 0, first = Buffer.alloc(0), frame: frameOf} of FLOODS) {
  test(name, () => {
    const {burst, perSecond} = GLITCH_LIMITS[glitch];
    const peer = new Peer();
    peer.send(opening(), first);
    for (let i = begun; i < burst; i++) peer.send(frameOf(i));
    assert.equal(peer.session.isFinished, false, 'ended below the limit');
    peer.pass(1000);
    for (let i = 0; i < perSecond; i++) peer.send(frameOf(burst + i));
    assert.equal(peer.session.isFinished, false, 'ended at the rate that is borne');
    peer.send(frameOf(burst + perSecond), frameOf(burst + perSecond + 1));
    assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, GLITCH_FAULTS[glitch], burst + perSecond + 1);
  });
}

test('every quarter of a burst is told, however long ago the last one was', () => {
  const {burst, perSecond} = GLITCH_LIMITS.ping;
  const peer = new Peer();
  peer.send(opening());
  assert.equal(peer.notable, 0);
  const notable: number[] = [];
  for (let i = 1; i <= burst; i++) {
    const before = peer.notable;
    peer.send(ping());
    if (peer.notable > before) notable.push(i);
  }
  assert.deepEqual(notable, [1, 2, 3, 4].map((quarter) => Math.ceil(quarter * burst / 4)));
  // All is forgiven, and counts again.
  peer.pass(1000 * burst / perSecond);
  for (let i = 0; i < burst; i++) peer.send(ping());
  assert.equal(peer.notable, 8);
  assert.deepEqual(peer.faults, []);
});

test('many settings in one frame', () => {
  const pairs = (count: number): Buffer => frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(6 * count, '\xff\xff\0\0\0\0', 'latin1'));
  const peer = new Peer();
  peer.send(opening(), pairs(LIMITS.h2SettingsPerFrameMax));
  assert.equal(peer.session.isFinished, false);
  peer.send(pairs(LIMITS.h2SettingsPerFrameMax + 1));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_settings_flood', 0);
});

test('CONTINUATION without end, of few bytes (CVE-2024-27316)', () => {
  const peer = new Peer();
  peer.send(opening(), frame(FRAME.HEADERS, FLAG.END_STREAM, 1, literals(REQUEST)));
  for (let i = 0; i < LIMITS.h2ContinuationsMax; i++) peer.send(frame(FRAME.CONTINUATION, 0, 1));
  assert.equal(peer.session.isFinished, false);
  peer.send(frame(FRAME.CONTINUATION, 0, 1), frame(FRAME.CONTINUATION, 0, 1));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_continuation_flood', 0);
});

test('CONTINUATION without end, of many bytes', () => {
  const part = Buffer.alloc(LIMITS.h2FrameBytesMax);
  const peer = new Peer();
  peer.send(opening(), frame(FRAME.HEADERS, FLAG.END_STREAM, 1, part), frame(FRAME.CONTINUATION, 0, 1, part));
  assert.equal(peer.session.isFinished, false);
  peer.send(frame(FRAME.CONTINUATION, 0, 1, part.subarray(0, 1)));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_continuation_flood', 0);
});

test('HPACK bomb (CVE-2016-6581): a large entry, referred to by single bytes', () => {
  const value = 'x'.repeat(4000);
  const bomb = (references: number): Buffer => Buffer.concat([literals(REQUEST), indexedLiterals([['a', value]]), Buffer.alloc(references, 0xbe)]);
  const peer = new Peer();
  peer.send(opening(), frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, bomb(14)));
  assert.deepEqual(peer.events, ['invalid 1 head_too_large'], 'too large, and answered');
  peer.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 3, bomb(16)));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_header_bomb', 0);
});

test('HPACK bomb in trailers, and in what follows a reset', () => {
  const block = Buffer.concat([indexedLiterals([['a', 'x'.repeat(4000)]]), Buffer.alloc(16, 0xbe)]);
  for (const first of [upload(1), upload(1, [...POST, ['X', 'y']])]) {
    const peer = new Peer();
    peer.send(opening(), first, frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, block));
    assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_header_bomb', 1);
  }
});

test('crumbs of cookies without end', () => {
  const crumbs = Buffer.concat([literals(REQUEST), indexedLiterals([['cookie', '']]), Buffer.alloc(2000, 0xbe)]);
  const peer = new Peer();
  peer.send(opening(), frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, crumbs));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_header_bomb', 0);
});

test('more streams than are allowed are refused, and may be tried again', () => {
  const peer = new Peer();
  peer.send(opening());
  for (let i = 0; i < LIMITS.h2StreamsMax; i++) peer.send(request(idOf(i)));
  assert.deepEqual(peer.takeLines(), []);
  peer.send(request(idOf(LIMITS.h2StreamsMax)));
  assert.equal(peer.events.at(-1), 'refused h2_streams_exceeded');
  assert.deepEqual(peer.takeLines(), [`> RST_STREAM ${idOf(LIMITS.h2StreamsMax)} REFUSED_STREAM`]);
  peer.answer(1, '');
  peer.send(request(1001));
  assert.equal(peer.events.at(-2), 'request 1001 GET / for a.example, body 0');
});

test('more and more streams are an attack, once the limit is known', () => {
  const beyond = LIMITS.h2StreamsMax + GLITCH_LIMITS.provoked.burst;
  const innocent = new Peer();
  innocent.send(PREFACE, settings());
  for (let i = 0; i <= beyond; i++) innocent.send(request(idOf(i)));
  assert.equal(innocent.session.isFinished, false);
  const peer = new Peer();
  peer.send(opening());
  for (let i = 0; i <= beyond; i++) peer.send(request(idOf(i)));
  assert.ok(peer.events.includes('error ENHANCE_YOUR_CALM h2_provoked_resets'));
});

test('requests without end after the last GOAWAY', () => {
  const peer = new Peer();
  peer.send(opening(), request(1));
  peer.session.drain(peer.nowMs);
  peer.send(ping(FLAG.ACK, 'draining'));
  for (let i = 1; i <= GLITCH_LIMITS.stray.burst; i++) peer.send(request(idOf(i)));
  assert.equal(peer.session.isFinished, false);
  peer.send(request(9999));
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'h2_stray_frames', 1);
});

test('flow control is disregarded', () => {
  const full = Buffer.alloc(LIMITS.h2FrameBytesMax);
  const peer = new Peer();
  peer.send(opening(), upload(1));
  peer.session.pauseBody(peer.stream(1));
  for (let sent = 0; sent < LIMITS.h2StreamWindowBytes; sent += full.length) peer.send(data(1, full));
  assert.equal(peer.session.isFinished, false);
  assert.equal(peer.stream(1).context?.length, LIMITS.h2StreamWindowBytes);
  peer.send(data(1, 'x'));
  assertEndedBy(peer, ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control', 1);
});

test('streams together exceed the connection\'s window', () => {
  const full = Buffer.alloc(LIMITS.h2FrameBytesMax);
  const peer = new Peer();
  peer.send(opening());
  const frames = LIMITS.h2ConnectionWindowBytes / full.length;
  for (let i = 0; i < frames; i++) {
    if (i % 8 === 0) {
      peer.send(upload(i + 1));
      peer.session.pauseBody(peer.stream(i + 1));
    }
    peer.send(data(i - (i % 8) + 1, full));
  }
  assert.equal(peer.session.isFinished, false);
  peer.send(upload(1001), data(1001, 'x'));
  assertEndedBy(peer, ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control', 9);
});

test('a window that stays at zero', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1));
  peer.answer(1, 'x'.repeat(5000));
  peer.pass(TIMEOUTS.responseIdleMs - 1);
  assert.deepEqual(peer.takeLines().slice(1), []);
  peer.pass(LIMITS.wheelTickMs);
  assert.equal(peer.events.at(-1), 'reset 1 ENHANCE_YOUR_CALM h2_window_stalled');
  assert.deepEqual(peer.takeLines(), ['> RST_STREAM 1 ENHANCE_YOUR_CALM']);
});

test('a response that is let out in drops', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1));
  peer.answer(1, 'x'.repeat(5000));
  for (let second = 0; second < 11 && peer.faults.length === 0; second++) {
    peer.send(windowUpdate(1, 3));
    peer.takeFrames();
    peer.pass(1000);
  }
  assert.equal(peer.events.at(-1), 'reset 1 ENHANCE_YOUR_CALM h2_trickle');
});

test('a response that is let out slowly, but is let out', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1));
  peer.answer(1, 'x'.repeat(24_000));
  for (let second = 0; second < 40; second++) {
    peer.send(windowUpdate(1, 600));
    peer.takeFrames();
    peer.pass(1000);
  }
  assert.deepEqual(peer.faults, []);
  assert.equal(peer.stream(1).isClosed, true);
});

test('a client that reads nothing from its socket', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0x7fff_ffff}), windowUpdate(0, 0x7000_0000), request(1));
  const chunk = Buffer.alloc(64 * 1024);
  peer.session.sendHead(peer.stream(1), 200, '');
  while (!peer.stream(1).isBackedUp) peer.session.sendContent(peer.stream(1), chunk, 0, chunk.length);
  assert.equal(peer.session.isOutputFull, false, 'it is still read');
  peer.send(request(3), reset(3));
  assert.equal(peer.events.at(-1), 'reset 3 CANCEL client_gone');
  // Answers without end are another matter.
  for (let i = 2; !peer.session.isOutputFull; i++) {
    assert.ok(i < 2 + LIMITS.h2AnswerBytesMax / 2000);
    peer.send(request(idOf(i)));
    peer.session.sendHead(peer.stream(idOf(i)), 200, `x: ${'y'.repeat(2000)}\r\n`);
  }
  peer.pass(TIMEOUTS.responseIdleMs + LIMITS.wheelTickMs);
  assert.equal(peer.events.at(-1), 'reset 1 ENHANCE_YOUR_CALM client_stalled');
});

const SLOW: readonly {readonly name: string; readonly bytes: Buffer; readonly code: number; readonly fault: FaultCode}[] = [
  {name: 'no preface', bytes: Buffer.alloc(0), code: ERROR.SETTINGS_TIMEOUT, fault: 'request_head_timeout'},
  {name: 'no settings', bytes: PREFACE, code: ERROR.SETTINGS_TIMEOUT, fault: 'request_head_timeout'},
  {name: 'a frame that is not completed', bytes: Buffer.concat([opening(), request(1).subarray(0, -1)]), code: ERROR.ENHANCE_YOUR_CALM, fault: 'request_head_timeout'},
  {name: 'a block that is not completed', bytes: Buffer.concat([opening(), frame(FRAME.HEADERS, 0, 1)]), code: ERROR.ENHANCE_YOUR_CALM, fault: 'request_head_timeout'},
  {name: 'settings that are not acknowledged', bytes: Buffer.concat([PREFACE, settings()]), code: ERROR.SETTINGS_TIMEOUT, fault: 'h2_settings_timeout'},
];

for (const {name, bytes, code, fault} of SLOW) {
  test(`slow: ${name}`, () => {
    const peer = new Peer();
    peer.send(bytes);
    peer.pass(TIMEOUTS.requestHeadMs - LIMITS.wheelTickMs);
    assert.equal(peer.session.isFinished, false);
    peer.pass(LIMITS.wheelTickMs);
    assertEndedBy(peer, code, fault, 0);
  });
}

test('slow: a block of fields in drops does not win time by them', () => {
  const peer = new Peer();
  peer.send(opening());
  for (const byte of request(1, [...REQUEST, ['a', 'x'.repeat(100)]])) {
    peer.send(Buffer.of(byte));
    peer.pass(100);
  }
  assertEndedBy(peer, ERROR.ENHANCE_YOUR_CALM, 'request_head_timeout', 0);
});

test('not slow: a client of which every piece ends within a frame', () => {
  const peer = new Peer('answer');
  peer.send(opening());
  let rest = Buffer.alloc(0);
  for (let i = 0; i < 100; i++) {
    const bytes = Buffer.concat([rest, request(idOf(i))]);
    peer.send(bytes.subarray(0, -5));
    rest = bytes.subarray(-5);
    peer.takeFrames();
    peer.pass(500);
  }
  assert.deepEqual(peer.faults, []);
});

test('slow: content that does not come', () => {
  const peer = new Peer();
  peer.send(opening(), upload(1), data(1, 'begin'));
  peer.pass(TIMEOUTS.requestBodyIdleMs - 1);
  assert.equal(peer.events.includes('late 1'), false);
  // Five bytes buy some time.
  peer.pass(11);
  assert.equal(peer.events.filter((event) => event === 'late 1').length, 1);
  peer.send(data(1, ' again'));
  peer.session.pauseBody(peer.stream(1));
  peer.pass(3 * TIMEOUTS.requestBodyIdleMs);
  assert.equal(peer.events.filter((event) => event === 'late 1').length, 1, 'not while it is not asked for');
});

test('an error code of the client\'s may be any number', () => {
  const peer = new Peer();
  peer.send(opening(), request(1), frame(FRAME.RST_STREAM, 0, 1, uint32(0xffff_ffff)));
  assert.equal(peer.events.at(-1), 'reset 1 4294967295 client_gone');
});
