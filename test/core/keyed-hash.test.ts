import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {testProperty} from '#test/support/property.ts';

/**
 * From `vectors_hsip64` of the reference implementation (https://github.com/veorq/SipHash): key 00 01 … 07, message 00 01 02 … of the
 * length given, output as bytes. Only even lengths, because a UTF-16 code unit is two bytes.
 */
const VECTORS: readonly (readonly [length: number, output: string])[] = [
  [0, '218d1f59b9b83cc8'], [2, '064f39ef7c50eb57'], [4, 'd5e78a175be52ea1'], [6, 'ce3e91358aa2bc25'], [8, 'edfee820bce4858c'],
  [10, '95b0469f06a6f2ee'], [12, '7bc71f9faef5c799'], [14, '3bb1a870eae8e658'], [16, '7336aad25f7bf3b5'], [62, 'f90b3ab572d46693'],
];

const KEY = Uint8Array.from({length: 16}, (_, index) => index);

function outputOf(hash: KeyedHash): string {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(hash.low, 0);
  bytes.writeInt32LE(hash.high, 4);
  return bytes.toString('hex');
}

test('text gives the output of the reference for its UTF-16 bytes', () => {
  const hash = new KeyedHash(KEY);
  for (const [length, output] of VECTORS) {
    hash.hashText(Buffer.from(Array.from({length}, (_, index) => index)).toString('utf16le'));
    assert.equal(outputOf(hash), output, `length ${length}`);
  }
});

test('four words give the output of the reference for their 16 bytes', () => {
  const hash = new KeyedHash(KEY.subarray(0, 8));
  hash.hashWords(0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
  assert.equal(outputOf(hash), '7336aad25f7bf3b5');
});

test('the key is read from where the secret lies in its buffer', () => {
  const hash = new KeyedHash(Uint8Array.from([9, 9, 9, ...KEY]).subarray(3));
  hash.hashText('');
  assert.equal(outputOf(hash), '218d1f59b9b83cc8');
});

test('a secret that is too short is refused', () => {
  assert.throws(() => new KeyedHash(new Uint8Array(7)), RangeError);
});

testProperty('words are hashed like the text of their bytes, and leave signed words', fc.property(
  fc.uint8Array({minLength: 8, maxLength: 32}), fc.uint8Array({minLength: 16, maxLength: 16}),
  (secret, message) => {
    const view = new DataView(message.buffer, message.byteOffset, 16);
    const words = new KeyedHash(secret), text = new KeyedHash(secret);
    words.hashWords(view.getUint32(0, true), view.getInt32(4, true), view.getUint32(8, true), view.getInt32(12, true));
    text.hashText(Buffer.from(message).toString('utf16le'));
    assert.equal(outputOf(words), outputOf(text));
    assert.deepEqual([words.high | 0, words.low | 0], [words.high, words.low]);
  },
));

testProperty('another key gives another hash', fc.property(fc.uint8Array({minLength: 8, maxLength: 8}), fc.nat(63), (secret, bit) => {
  const changed = Uint8Array.from(secret);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  const one = new KeyedHash(secret), other = new KeyedHash(changed);
  one.hashWords(0, 0, 0xffff, 0xc0000201);
  other.hashWords(0, 0, 0xffff, 0xc0000201);
  assert.notEqual(outputOf(one), outputOf(other));
}));
