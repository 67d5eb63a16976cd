import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import * as fc from 'fast-check';
import {encodeCommand, ProtocolError, ReplyParser, STORE_LIMITS, StoreRefusal, type Reply} from '#src/control/store-protocol.ts';
import {testProperty} from '#test/support/property.ts';

/** The replies, whatever way the bytes were cut. */
function parse(text: string): readonly Reply[] {
  const bytes = Buffer.from(text, 'latin1');
  const whole = new ReplyParser().push(bytes);
  for (let cut = 1; cut < Math.min(bytes.length, 300); cut++) {
    const parser = new ReplyParser();
    assert.deepEqual([...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))], whole, `cut at ${cut}`);
  }
  return whole;
}

test('answers of every type, one after the other', () => {
  assert.deepEqual(
    parse('+OK\r\n-ERR no\r\n:-1\r\n:42\r\n$-1\r\n$0\r\n\r\n$5\r\na\r\nb\0\r\n*-1\r\n*0\r\n*3\r\n:1\r\n*1\r\n+a\r\n$-1\r\n'),
    ['OK', new StoreRefusal('ERR no'), -1, 42, null, '', 'a\r\nb\0', null, [], [1, ['a'], null]],
  );
});

test('a long answer that comes byte by byte', () => {
  const parser = new ReplyParser(), items = Array.from({length: STORE_LIMITS.itemsMax}, (_none, number) => number);
  const bytes = Buffer.from(`*${items.length}\r\n${items.map((number) => `:${number}\r\n`).join('')}`);
  const replies = Array.from(bytes, (_byte, at) => parser.push(bytes.subarray(at, at + 1))).flat();
  assert.deepEqual(replies, [items]);
});

test('what a log shows of a refusal is printable', () => {
  assert.deepEqual(parse('-ERR \x1b[31m\u00e4\r\n'), [new StoreRefusal('ERR ?[31m?')]);
});

const LINE = 'x'.repeat(STORE_LIMITS.lineBytesMax);
const TEXT = 'x'.repeat(STORE_LIMITS.textBytesMax);

describe('limits, each at n and n + 1', () => {
  const pairs: readonly (readonly [what: string, allowed: string, refused: string])[] = [
    ['a line', `+${LINE.slice(1)}\r\n`, `+${LINE}\r\n`],
    ['a text', `$${TEXT.length}\r\n${TEXT}\r\n`, `$${TEXT.length + 1}\r\n`],
    ['items', `*${STORE_LIMITS.itemsMax}\r\n${':1\r\n'.repeat(STORE_LIMITS.itemsMax)}`, `*${STORE_LIMITS.itemsMax + 1}\r\n`],
    ['depth', `${'*1\r\n'.repeat(STORE_LIMITS.depthMax)}:1\r\n`, `${'*1\r\n'.repeat(STORE_LIMITS.depthMax + 1)}:1\r\n`],
    ['a number', `:${Number.MAX_SAFE_INTEGER}\r\n`, `:${Number.MAX_SAFE_INTEGER + 1}\r\n`],
  ];
  for (const [what, allowed, refused] of pairs) {
    test(what, () => {
      assert.equal(new ReplyParser().push(Buffer.from(allowed)).length, 1);
      assert.throws(() => new ReplyParser().push(Buffer.from(refused)), ProtocolError);
    });
  }

  test('a line that does not end', () => {
    const parser = new ReplyParser();
    assert.deepEqual(parser.push(Buffer.from(LINE)), []);
    assert.throws(() => parser.push(Buffer.from('x')), ProtocolError);
  });

  test('an answer that does not end', () => {
    const parser = new ReplyParser();
    const piece = Buffer.from(`$${TEXT.length}\r\n${TEXT}\r\n`);
    parser.push(Buffer.from(`*${STORE_LIMITS.itemsMax}\r\n`));
    assert.throws(() => { for (let i = 0; i < STORE_LIMITS.itemsMax; i++) parser.push(piece); }, ProtocolError);
  });
});

for (const text of ['HTTP/1.1 400 Bad Request\r\n', '%1\r\n', '_\r\n', '\r\n', ':\r\n', ':1a\r\n', ':1.5\r\n', '$-2\r\n', '*-2\r\n', '$+1\r\n', '$1\r\nab\r\n', '$ 1\r\na\r\n']) {
  test(`no answer: ${JSON.stringify(text)}`, () => {
    assert.throws(() => new ReplyParser().push(Buffer.from(text)), ProtocolError);
  });
}

testProperty('any bytes are answers, the beginning of one, or an error of the protocol', fc.property(fc.uint8Array({maxLength: 200}), (bytes) => {
  try {
    new ReplyParser().push(Buffer.from(bytes));
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
  }
}));

testProperty('words are sent as they are, whatever is in them', fc.property(fc.array(fc.string({unit: 'binary'}), {minLength: 1, maxLength: 5}), (words) => {
  const [sent] = new ReplyParser().push(Buffer.from(encodeCommand(words)));
  assert.deepEqual(sent, words.map((word) => Buffer.from(word).toString('latin1')));
}));
