/** A decoder is used for one body after the other; `spec/chunked.md` and `spec/trailers.md` have the cases of a single one. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {BodyDecoder} from '#src/http1/body-decoder.ts';
import {BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';

function decode(decoder: BodyDecoder, text: string): string {
  const parts: string[] = [];
  const bytes = Buffer.from(text, 'latin1');
  decoder.decode(bytes, 0, bytes.length, {onBody: (span, start, end) => parts.push(span.toString('latin1', start, end))});
  return parts.join('');
}

test('the extensions of the body before do not count', () => {
  const decoder = new BodyDecoder();
  const chunk = `1${';'.repeat(LIMITS.chunkExtensionBytesMax)}\r\na\r\n`;
  const chunks = LIMITS.chunkExtensionBytesTotalMax / LIMITS.chunkExtensionBytesMax;
  for (let i = 0; i < 2; i++) {
    decoder.begin(BODY_CHUNKED);
    assert.equal(decode(decoder, `${chunk.repeat(chunks)}0\r\n\r\n`), 'a'.repeat(chunks));
    assert.equal(decoder.state, 'complete');
  }
});

test('a body that was given up leaves nothing behind', () => {
  const beginnings = ['', '5', '5;a', '5\r', '5\r\nab', '1\r\na', '1\r\na\r', '0\r\nx: ', '5 '];
  for (const beginning of beginnings) {
    const decoder = new BodyDecoder();
    decoder.begin(BODY_CHUNKED);
    decode(decoder, beginning);
    assert.equal(decoder.isComplete, false, JSON.stringify(beginning));
    decoder.begin(BODY_CHUNKED);
    assert.equal(decode(decoder, '1\r\nz\r\n0\r\n\r\n'), 'z', JSON.stringify(beginning));
    assert.equal(decoder.isComplete, true, JSON.stringify(beginning));
  }
});

test('the end of the connection completes only what ends with it', () => {
  const decoder = new BodyDecoder();
  const outcomes = [0, 3, BODY_CHUNKED, BODY_UNTIL_CLOSE].map((length) => {
    decoder.begin(length);
    return decoder.finish();
  });
  assert.deepEqual(outcomes, [true, false, false, true]);
});

test('a complete or invalid body takes no more bytes', () => {
  const decoder = new BodyDecoder();
  for (const text of ['0\r\n\r\n', 'x']) {
    decoder.begin(BODY_CHUNKED);
    decode(decoder, text);
    const {state} = decoder;
    assert.equal(decoder.decode(Buffer.from('0\r\n\r\n'), 2, 5, {onBody: () => assert.fail('content')}), 2);
    assert.equal(decoder.state, state);
  }
});
