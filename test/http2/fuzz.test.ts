/**
 * Whatever comes in: a session never throws, always ends, keeps its bounds, and says the same however the network cut the bytes. And whatever
 * else it does, what it takes for requests is well-formed, and what it writes is frames.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {LIMITS} from '#src/core/limits.ts';
import {CUTS, cutAt} from '#test/http1/messages.ts';
import {opening} from '#test/http2/frames.ts';
import {Peer, type Habit} from '#test/http2/peer.ts';
import {EDITED_SESSION, SESSION} from '#test/http2/sessions.ts';
import {testProperty} from '#test/support/property.ts';

const RUNS = 1000;
const HABIT = fc.constantFrom<Habit>('nothing', 'answer');

function replay(habit: Habit, pieces: readonly Buffer[]): string[] {
  const peer = new Peer(habit);
  peer.send(opening(), ...pieces);
  const lines = [...peer.events, ...peer.takeLines()];
  const [live] = [[...peer.session.streams]];
  assert.ok(live.length <= LIMITS.h2StreamsMax);
  if (peer.session.isFinished) assert.equal(live.length, 0, 'streams outlive their session');
  peer.session.lose('client_gone');
  assert.ok([...peer.streams.values()].every((stream) => stream.isClosed && stream.queuedBytes === 0), 'a stream was not told of the end');
  return lines;
}

function checkSplits(habit: Habit, bytes: Buffer, cuts: readonly number[]): void {
  const whole = replay(habit, [bytes]);
  assert.deepEqual(replay(habit, cutAt(bytes, cuts)), whole);
  if (bytes.length < 500) assert.deepEqual(replay(habit, Array.from(bytes, (byte) => Buffer.of(byte))), whole);
  for (const event of whole) {
    assert.doesNotMatch(event, /^(?:request|field).*[\r\n\0]/s);
    assert.doesNotMatch(event, /^field (?:connection|transfer-encoding|upgrade|keep-alive|proxy-connection|:.*): /);
  }
}

testProperty('sessions with edits', fc.property(HABIT, EDITED_SESSION, CUTS, checkSplits), RUNS);
testProperty('noise', fc.property(HABIT, fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes)), CUTS, checkSplits), RUNS);

testProperty('well-formed sessions are never refused', fc.property(SESSION, CUTS, ({requests, frames}, cuts) => {
  const events = replay('answer', cutAt(Buffer.concat(frames), cuts));
  assert.deepEqual(events.filter((event) => /^(?:error|reset|refused|invalid)/.test(event)), []);
  assert.equal(events.filter((event) => event.startsWith('request')).length, requests.length);
  assert.equal(events.filter((event) => /^> (?:DATA|HEADERS) \d+ end /.test(event)).length, requests.length);
}), 300);
