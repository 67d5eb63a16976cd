/** How sessions end when nobody did anything wrong. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG, PREFACE} from '#src/http2/frames.ts';
import {opening, ping, request, settings, upload} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';
import {TIMEOUTS} from '#test/http2/loopback.ts';

test('draining: a client that has said nothing yet is not waited for', () => {
  const peer = new Peer();
  peer.session.drain(peer.nowMs);
  assert.deepEqual(peer.takeLines(), ['> GOAWAY 0 NO_ERROR']);
  assert.equal(peer.session.isFinished, true);
});

test('draining: two steps, and requests in flight are finished', () => {
  const peer = new Peer();
  peer.send(opening(), request(1));
  peer.session.drain(peer.nowMs);
  assert.deepEqual(peer.takeLines(), ['> GOAWAY 2147483647 NO_ERROR', '> PING "draining"']);
  peer.send(request(3), ping(FLAG.ACK, 'draining'), request(5));
  assert.deepEqual(peer.takeLines(), ['> GOAWAY 3 NO_ERROR', '> RST_STREAM 5 REFUSED_STREAM']);
  peer.answer(1, 'one');
  assert.equal(peer.session.isFinished, false);
  peer.answer(3, 'three');
  assert.equal(peer.session.isFinished, true);
  assert.deepEqual(peer.takeLines().slice(-1), ['> DATA 3 end "three"']);
  assert.deepEqual(peer.faults, []);
});

test('draining: a client that does not answer is not waited for', () => {
  const peer = new Peer();
  peer.send(opening());
  peer.session.drain(peer.nowMs);
  peer.pass(LIMITS.h2DrainGraceMs - 1);
  assert.equal(peer.session.isFinished, false);
  peer.pass(1);
  assert.equal(peer.session.isFinished, true);
  assert.deepEqual(peer.takeLines().slice(-1), ['> GOAWAY 0 NO_ERROR']);
});

test('a session without requests ends after a while', () => {
  const peer = new Peer('answer');
  peer.send(opening());
  peer.pass(TIMEOUTS.keepAliveMs - 1000);
  peer.send(request(1), ping());
  peer.pass(TIMEOUTS.keepAliveMs - 1);
  assert.deepEqual([peer.session.isFinished, peer.isIdle], [false, false]);
  peer.pass(1);
  assert.deepEqual([peer.session.isFinished, peer.isIdle, peer.takeLines().at(-1)], [true, true, '> GOAWAY 1 NO_ERROR']);
});

test('every stream is told when the connection is gone', () => {
  const peer = new Peer();
  peer.send(PREFACE, settings(), request(1), upload(3));
  peer.session.lose('client_gone');
  assert.deepEqual(peer.events.slice(-2), ['reset 1 NO_ERROR client_gone', 'reset 3 NO_ERROR client_gone']);
  peer.session.lose('client_gone');
  peer.send(request(5));
  peer.session.onTick(peer.nowMs + 1e9);
  assert.equal(peer.events.at(-1), 'reset 3 NO_ERROR client_gone');
});
