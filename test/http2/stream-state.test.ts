import assert from 'node:assert/strict';
import {test} from 'node:test';
import {ERROR} from '#src/http2/frames.ts';
import {TRANSITIONS, nextState, type StreamEvent, type StreamState} from '#src/http2/stream-state.ts';
import {data, opening, request, reset, upload, windowUpdate} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';

const STATES = Object.keys(TRANSITIONS) as StreamState[];
const EVENTS: readonly StreamEvent[] = [
  'receive_headers', 'receive_data', 'receive_end', 'receive_window_update', 'receive_reset',
  'send_headers', 'send_data', 'send_end', 'send_window_update', 'send_reset',
];

/** RFC 9113 §5.1, figure 2, without pushes: all that is permitted. */
const PERMITTED: Readonly<Record<StreamState, readonly StreamEvent[]>> = {
  idle: ['receive_headers', 'send_headers'],
  open: EVENTS,
  half_closed_remote: ['receive_window_update', 'receive_reset', 'send_headers', 'send_data', 'send_end', 'send_reset'],
  half_closed_local: ['receive_headers', 'receive_data', 'receive_end', 'receive_window_update', 'receive_reset', 'send_window_update', 'send_reset'],
  closed: [],
};

for (const state of STATES) {
  for (const event of EVENTS.filter((name) => !PERMITTED[state].includes(name))) {
    test(`${state}: ${event} is forbidden`, () => assert.equal(nextState(state, event), null));
  }
  test(`${state}: everything else is permitted`, () => {
    for (const event of PERMITTED[state]) assert.notEqual(nextState(state, event), null, event);
  });
}

test('a reset closes from either side, and the two ends together', () => {
  for (const state of STATES.filter((name) => name !== 'idle' && name !== 'closed')) {
    assert.equal(nextState(state, 'receive_reset'), 'closed');
    assert.equal(nextState(state, 'send_reset'), 'closed');
  }
  assert.equal(nextState('half_closed_remote', 'send_end'), 'closed');
  assert.equal(nextState('half_closed_local', 'receive_end'), 'closed');
});

test('content after the end, while the response is awaited, is an error of the stream', () => {
  for (const more of [data(1, 'more'), upload(1), request(1)]) {
    const peer = new Peer();
    peer.send(opening(), request(1), more);
    assert.equal(peer.events.at(-1), 'reset 1 STREAM_CLOSED h2_protocol');
    assert.deepEqual(peer.takeLines(), ['> RST_STREAM 1 STREAM_CLOSED']);
    assert.equal(peer.session.isFinished, false);
  }
});

test('what is said to a stream that is over is not heard', () => {
  const peer = new Peer();
  peer.send(opening(), request(1), reset(1));
  peer.answer(1, 'late');
  peer.session.resetStream(peer.stream(1), ERROR.CANCEL);
  peer.session.pauseBody(peer.stream(1));
  peer.session.resumeBody(peer.stream(1));
  assert.deepEqual(peer.takeLines(), []);
});

test('a response that is complete before its request ends the request without an error', () => {
  const peer = new Peer();
  peer.send(opening(), upload(1), data(1, 'begin'));
  peer.answer(1, 'enough');
  assert.deepEqual(peer.takeLines(), ['> HEADERS 1 :status: 200', '> DATA 1 end "enough"', '> RST_STREAM 1 NO_ERROR']);
  // What was under way is no offence, and heard by nobody.
  peer.send(data(1, 'more'), windowUpdate(1, 5), data(1, 'last', 1), request(3));
  assert.deepEqual(peer.events.slice(-3), ['data 1 "begin"', 'request 3 GET / for a.example, body 0', 'field host: a.example']);
});

test('content after the end of a response is a mistake of this program', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1));
  peer.answer(1, 'waits');
  assert.throws(() => peer.session.sendContent(peer.stream(1), Buffer.from('x'), 0, 1), /after the end/);
  assert.throws(() => peer.session.endMessage(peer.stream(1)), /second end/);
});
