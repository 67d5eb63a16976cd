/**
 * Whatever comes in: the codec never throws, always ends, stays within its bounds (`replay` checks that), and says the same however the
 * network cut the bytes.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {BodyDecoder} from '#src/http1/body-decoder.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {CHUNKED, CUTS, REQUESTS, RESPONSE, cutAt, mutate} from '#test/http1/messages.ts';
import {replay, type Subject} from '#test/http1/replay.ts';
import {testProperty} from '#test/support/property.ts';

const RUNS = 1500;
const NOISE = fc.uint8Array({maxLength: 200}).map((bytes) => Buffer.from(bytes));
const REQUEST_SUBJECT = fc.constantFrom<Subject>(
  {type: 'request', scheme: null, encodedSlashAllowed: false},
  {type: 'request', scheme: 'http', encodedSlashAllowed: true},
);
const RESPONSE_SUBJECT = fc.constantFrom('GET', 'HEAD').map((requestMethod): Subject => ({type: 'response', requestMethod}));

function checkSplits(subject: Subject, bytes: Buffer, cuts: readonly number[]): void {
  const whole = replay(subject, [bytes]);
  assert.deepEqual(replay(subject, cutAt(bytes, cuts)), whole);
  assert.deepEqual(replay(subject, Array.from(bytes, (byte) => Buffer.of(byte))), whole);
}

testProperty('requests, well-formed and mutated', fc.property(REQUEST_SUBJECT, mutate(REQUESTS), CUTS, checkSplits), RUNS);
testProperty('responses, well-formed and mutated', fc.property(RESPONSE_SUBJECT, mutate(RESPONSE), CUTS, checkSplits), RUNS);
testProperty('noise', fc.property(fc.oneof(REQUEST_SUBJECT, RESPONSE_SUBJECT), NOISE, CUTS, checkSplits), RUNS);

testProperty('noise after a head that announces chunks', fc.property(NOISE, CUTS, (noise, cuts) => {
  const head = Buffer.from('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
  checkSplits({type: 'request', scheme: null, encodedSlashAllowed: false}, Buffer.concat([head, noise]), cuts);
}), RUNS);

testProperty('chunks that are complete are decoded, and only then', fc.property(CHUNKED, CUTS, (text, cuts) => {
  const bytes = Buffer.from(text, 'latin1');
  const decoder = new BodyDecoder();
  decoder.begin(BODY_CHUNKED);
  const pieces = cutAt(bytes, cuts);
  let used = 0;
  for (const piece of pieces) {
    assert.equal(decoder.isComplete, used === bytes.length);
    used += decoder.decode(piece, 0, piece.length, {onBody: () => {}});
  }
  assert.equal(used, bytes.length);
  assert.equal(decoder.isComplete, true);
}), RUNS);
