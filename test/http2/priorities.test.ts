/** Which response leaves first (RFC 9218). */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {WINDOW_BYTES_MAX} from '#src/http2/frames.ts';
import {priorityOf} from '#src/http2/priority.ts';
import {StreamRegistry} from '#src/http2/stream-registry.ts';
import {REQUEST, opening, priorityUpdate, request, windowUpdate, type Fields} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';
import {contentOf} from '#test/http2/sent-frames.ts';

function withPriority(value: string): Fields {
  return [...REQUEST, ['priority', value]];
}

/** Lets all answers wait for the connection's window, opens it, and tells in which order they leave. */
function orderOf(peer: Peer, streamIds: readonly number[], length: number): number[] {
  peer.send(request(99));
  peer.answer(99, Buffer.alloc(65_535));
  peer.takeFrames();
  for (const streamId of streamIds) peer.answer(streamId, Buffer.alloc(length));
  peer.takeFrames();
  peer.send(windowUpdate(0, 1_000_000));
  return contentOf(peer.takeFrames()).map(({streamId}) => streamId);
}

test('the most urgent response leaves first, others in their order (RFC 9218 §10)', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1), request(3, withPriority('u=5')), request(5, withPriority('u=0')), request(7, withPriority('u=1')), request(9));
  assert.deepEqual(orderOf(peer, [1, 3, 5, 7, 9], 20_000), [5, 5, 7, 7, 1, 1, 9, 9, 3, 3]);
});

test('incremental responses of one urgency take turns', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1, withPriority('i')), request(3, withPriority('i')), request(5, withPriority('u=2')));
  assert.deepEqual(orderOf(peer, [1, 3, 5], 40_000), [5, 5, 5, 1, 3, 1, 3, 1, 3]);
});

test('nobody overtakes because there is room by now', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1), request(3));
  peer.answer(1, Buffer.alloc(65_536));
  peer.takeFrames();
  peer.send(windowUpdate(0, 1000));
  peer.answer(3, 'late');
  assert.deepEqual(contentOf(peer.takeFrames()).map(({streamId}) => streamId), [1, 3]);
});

test('priorities of streams to come are kept up to a limit', () => {
  const registry = new StreamRegistry<null>();
  for (let i = 0; i <= LIMITS.h2EarlyPrioritiesMax; i++) registry.keepPriority(2 * i + 1, priorityOf(0, false));
  assert.deepEqual(registry.takePriority(2 * LIMITS.h2EarlyPrioritiesMax - 1), priorityOf(0, false));
  assert.equal(registry.takePriority(2 * LIMITS.h2EarlyPrioritiesMax + 1), undefined);
});

test('a change of priority counts, before the request and after it (RFC 9218 §7)', () => {
  const peer = new Peer();
  peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), priorityUpdate(3, 'u=1'), request(1), request(3, withPriority('u=7')), request(5), priorityUpdate(5, 'u=0'));
  assert.deepEqual(orderOf(peer, [1, 3, 5], 100), [5, 3, 1]);
});

test('priorities that cannot be read are the default', () => {
  const values = ['u=9', 'u=-1', 'u=1.5', 'u="0"', 'u=0, ,', 'U=0', '=', 'u=0;', `${'a,'.repeat(40)}u=0`];
  for (const value of values) {
    const peer = new Peer();
    peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1), request(3, withPriority(value)));
    assert.deepEqual(orderOf(peer, [1, 3], 100), [1, 3], value);
  }
  for (const value of ['u=1', 'a, u=1', 'u=1;x=y, z="a b"', 'u=5, u=1', ' u=1\t,i=?0']) {
    const peer = new Peer();
    peer.send(opening({INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}), request(1), request(3, withPriority(value.trim())));
    assert.deepEqual(orderOf(peer, [1, 3], 100), [3, 1], value);
  }
});
