/**
 * Whatever an application sends: a client's session never throws, always ends, keeps its bounds, says the same however the network cut the
 * bytes, and what it takes for responses is well-formed and of a stream that was opened.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {CUTS, cutAt} from '#test/http1/messages.ts';
import {ApplicationPeer} from '#test/http2/application-peer.ts';
import {EDITED_RESPONSES, RESPONSES} from '#test/http2/application-sessions.ts';
import {SETTINGS_ACK, settings} from '#test/http2/frames.ts';
import {testProperty} from '#test/support/property.ts';

const REQUESTS = 5;
const RUNS = 1000;

function replay(pieces: readonly Buffer[]): string[] {
  const peer = new ApplicationPeer();
  peer.send(settings(), SETTINGS_ACK);
  for (let i = 0; i < REQUESTS; i++) peer.ask('GET', {isOpen: i === 1});
  peer.send(...pieces);
  const lines = [...peer.events, ...peer.takeLines()];
  if (peer.session.isFinished) assert.equal(peer.session.streamCount, 0, 'streams outlive their session');
  peer.session.lose('upstream_closed');
  assert.ok([...peer.streams.values()].every((stream) => stream.isClosed && stream.queuedBytes === 0), 'a stream was not told of the end');
  return lines;
}

function checkSplits(bytes: Buffer, cuts: readonly number[]): void {
  const whole = replay([bytes]);
  assert.deepEqual(replay(cutAt(bytes, cuts)), whole);
  if (bytes.length < 500) assert.deepEqual(replay(Array.from(bytes, (byte) => Buffer.of(byte))), whole);
  const ends = new Map<string, number>();
  for (const event of whole) {
    assert.doesNotMatch(event, /^(?:response|field|trailer).*[\r\n\0]/s);
    assert.doesNotMatch(event, /^(?:field|trailer) (?:connection|transfer-encoding|upgrade|keep-alive|proxy-connection|te|:.*): /);
    const [, kind = '', id = ''] = /^(response|end|reset) (\d+)/.exec(event) ?? [];
    if (kind === '') continue;
    assert.ok(Number(id) % 2 === 1 && Number(id) < 2 * REQUESTS, event);
    const key = `${kind === 'response' ? kind : 'end'} ${id}`;
    ends.set(key, (ends.get(key) ?? 0) + 1);
    assert.equal(ends.get(key), 1, `${event}: the second of its kind`);
  }
}

testProperty('sessions with edits', fc.property(EDITED_RESPONSES, CUTS, checkSplits), RUNS);
testProperty('noise', fc.property(fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes)), CUTS, checkSplits), RUNS);

testProperty('well-formed responses are never refused', fc.property(RESPONSES, CUTS, ({responses, frames}, cuts) => {
  const events = replay(cutAt(Buffer.concat(frames), cuts));
  assert.deepEqual(events.filter((event) => /^(?:error|reset \d+ \S+ upstream_(?!closed))/.test(event)), []);
  assert.equal(events.filter((event) => event.startsWith('response')).length, responses.length);
  assert.equal(events.filter((event) => event.startsWith('end')).length, responses.length);
  assert.equal(events.filter((event) => event.startsWith('interim')).length, responses.reduce((sum, {interims}) => sum + interims.length, 0));
}), 300);
