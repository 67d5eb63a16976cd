import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {LIMITS} from '#src/core/limits.ts';
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import {HpackDecoder, makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {HpackEncoder, encodedBytesMax} from '#src/http2/hpack-encoder.ts';
import {decodeHuffman, encodeHuffman, huffmanDecodedBytesMax, huffmanEncodedBytes} from '#src/http2/huffman.ts';
import {OutputBuffer, SlabPool} from '#src/http2/output-buffer.ts';
import {indexedLiterals} from '#test/http2/frames.ts';
import {testProperty} from '#test/support/property.ts';

class Decoding {
  readonly table = new DynamicTable();
  readonly #decoder = new HpackDecoder(makeHuffmanScratch(), this.table);

  /** The fields of a block, or what is wrong with it. */
  decode(block: Buffer): string[] | string {
    const fields: string[] = [];
    const result = this.#decoder.decode(block, 0, block.length, {add: ({name, value}) => fields.push(`${name.text}: ${value}`) > 0});
    return result === 'complete' ? fields : result;
  }

  decodeHex(hex: string): string[] | string {
    return this.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  }

  /** The table from its newest entry on. */
  entries(): string[] {
    return Array.from({length: this.table.count}, (_, age) => `${this.table.get(age)?.name.text}: ${this.table.get(age)?.value}`);
  }
}

class Encoding {
  readonly encoder = new HpackEncoder();
  readonly #out = new OutputBuffer(new SlabPool());

  encode(status: number, lines: string): Buffer {
    this.#out.reserve(encodedBytesMax(lines.length));
    this.encoder.encode(this.#out, status, lines);
    return this.#out.take() ?? Buffer.alloc(0);
  }
}

test('RFC 7541 C.1: integers', () => {
  for (const [size, hex] of [[10, '2a'], [1337, '3f9a0a']] as const) {
    const encoding = new Encoding();
    encoding.encoder.resize(size);
    assert.equal(encoding.encode(0, '').toString('hex'), hex);
    assert.deepEqual(new Decoding().decodeHex(hex), []);
  }
});

test('RFC 7541 C.2: kinds of fields', () => {
  const cases = [
    ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key: custom-header', 55],
    ['040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path', 0],
    ['1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret', 0],
    ['82', ':method: GET', 0],
  ] as const;
  for (const [hex, field, size] of cases) {
    const decoding = new Decoding();
    assert.deepEqual(decoding.decodeHex(hex), [field]);
    assert.equal(decoding.table.size, size);
  }
});

const REQUESTS = [
  {fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'], size: 57, entries: [':authority: www.example.com']},
  {
    fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
    size: 110,
    entries: ['cache-control: no-cache', ':authority: www.example.com'],
  },
  {
    fields: [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
    size: 164,
    entries: ['custom-key: custom-value', 'cache-control: no-cache', ':authority: www.example.com'],
  },
] as const;

const DATES = ['date: Mon, 21 Oct 2013 20:13:21 GMT', 'date: Mon, 21 Oct 2013 20:13:22 GMT'] as const;
const COOKIE = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const RESPONSES = [
  {
    fields: [':status: 302', 'cache-control: private', DATES[0], 'location: https://www.example.com'],
    size: 222,
    entries: ['location: https://www.example.com', DATES[0], 'cache-control: private', ':status: 302'],
  },
  {
    fields: [':status: 307', 'cache-control: private', DATES[0], 'location: https://www.example.com'],
    size: 222,
    entries: [':status: 307', 'location: https://www.example.com', DATES[0], 'cache-control: private'],
  },
  {
    fields: [':status: 200', 'cache-control: private', DATES[1], 'location: https://www.example.com', 'content-encoding: gzip', COOKIE],
    size: 215,
    entries: [COOKIE, 'content-encoding: gzip', DATES[1]],
  },
] as const;

const EXAMPLES = [
  {name: 'C.3: requests without Huffman coding', expected: REQUESTS, tableBytes: 4096, blocks: [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ]},
  {name: 'C.4: requests with Huffman coding', expected: REQUESTS, tableBytes: 4096, blocks: [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ]},
  {name: 'C.5: responses without Huffman coding', expected: RESPONSES, tableBytes: 256, blocks: [
    '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '4803 3330 37c1 c0bf',
    '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
  ]},
  {name: 'C.6: responses with Huffman coding', expected: RESPONSES, tableBytes: 256, blocks: [
    '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
    '4883 640e ffc1 c0bf',
    '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
  ]},
] as const;

for (const {name, expected, tableBytes, blocks} of EXAMPLES) {
  test(`RFC 7541 ${name}`, () => {
    const decoding = new Decoding();
    decoding.table.resize(tableBytes);
    for (const [i, block] of blocks.entries()) {
      assert.deepEqual(decoding.decodeHex(block), expected[i]?.fields);
      assert.deepEqual(decoding.entries(), expected[i]?.entries);
      assert.equal(decoding.table.size, expected[i]?.size);
    }
  });
}

test('an entry that is larger than the table empties it, and is no error', () => {
  const decoding = new Decoding();
  decoding.decode(indexedLiterals([['a', 'b']]));
  assert.equal(decoding.table.count, 1);
  const large = 'x'.repeat(LIMITS.h2HeaderTableBytes - 32);
  assert.deepEqual(decoding.decode(indexedLiterals([['a', large]])), [`a: ${large}`]);
  assert.equal(decoding.table.count, 0);
  assert.deepEqual(decoding.decodeHex('be'), 'invalid');
});

test('the table turns over many times', () => {
  const decoding = new Decoding();
  for (let i = 0; i < 1000; i++) {
    decoding.decode(indexedLiterals([['n', String(i)]]));
    assert.deepEqual(decoding.decodeHex('be'), [`n: ${i}`]);
    assert.ok(decoding.table.size <= LIMITS.h2HeaderTableBytes);
  }
  assert.deepEqual(decoding.entries().slice(0, 2), ['n: 999', 'n: 998']);
});

test('what repeats is indexed at its second use, and then costs a byte', () => {
  const encoding = new Encoding();
  const line = 'cache-control: public, max-age=31536000\r\n';
  const lengths = [1, 2, 3, 4].map(() => encoding.encode(200, line).length);
  assert.equal(lengths[0], 1 + 2 + 1 + 'public, max-age=31536000'.length, 'as it stands');
  assert.ok((lengths[1] ?? 0) < (lengths[0] ?? 0), 'with Huffman\'s code, for the table');
  assert.deepEqual(lengths.slice(2), [2, 2]);
});

test('a head of many lines is indexed as a whole', () => {
  const encoding = new Encoding();
  const lines = Array.from({length: 60}, (_, i) => `x-${i}: ${i}\r\n`).join('');
  encoding.encode(200, lines);
  encoding.encode(200, lines);
  assert.equal(encoding.encode(200, lines).length, 1 + 60);
});

test('what never comes again does not drive out what does', () => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  for (let i = 0; i < 500; i++) decoding.decode(encoding.encode(200, `vary: accept\r\nx-request: ${i}\r\nserver-timing: total;dur=${i / 7}\r\n`));
  assert.deepEqual(decoding.entries(), ['vary: accept']);
});

test('heads that differ in order, number and case of their lines', () => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  const heads = ['a: 1\r\nb: 2\r\nDate: x\r\n', 'b: 2\r\na: 1\r\n', 'DATE: y\r\na: 12\r\nb: 2\r\n', 'date: \r\n', 'a: 1\r\nB: 2\r\nDate: z\r\nc: 3\r\n'];
  for (let i = 0; i < 40; i++) {
    const lines = heads[(i * 7) % heads.length] ?? '';
    const expected = lines.split('\r\n').slice(0, -1).map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()));
    assert.deepEqual(decoding.decode(encoding.encode(0, lines)), expected);
  }
});

test('a head that was sent again and again refers to where its lines are after the table has changed', () => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  const lines = 'vary: accept\r\ndate: today\r\n', fields = [':status: 200', 'vary: accept', 'date: today'];
  const send = (): void => assert.deepEqual(decoding.decode(encoding.encode(200, lines)), fields);
  for (let i = 0; i < 5; i++) send();
  for (let i = 0; i < 2; i++) decoding.decode(encoding.encode(200, 'x-other: 1\r\n'));
  for (let i = 0; i < 5; i++) send();
  encoding.encoder.resize(0);
  for (let i = 0; i < 5; i++) send();
  assert.deepEqual(decoding.decode(encoding.encode(200, '')), [':status: 200']);
});

const REPEATING = ['a: 1\r\ndate: x\r\n', 'a: 1\r\ndate: y\r\n', 'a: 2\r\n', 'set-cookie: c\r\na: 1\r\n', `b: ${'long'.repeat(400)}\r\n`, ''] as const;
const SENDING = fc.record({lines: fc.constantFrom(...REPEATING), status: fc.constantFrom(200, 404, 418), times: fc.integer({min: 1, max: 4}), size: fc.option(fc.constantFrom(0, 40, 4096), {freq: 6})});

testProperty('heads that repeat are decoded like others', fc.property(fc.array(SENDING, {maxLength: 30}), (sendings) => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  for (const {lines, status, times, size} of sendings) {
    if (size !== null) encoding.encoder.resize(size);
    for (let i = 0; i < times; i++) assert.deepEqual(decoding.decode(encoding.encode(status, lines)), [`:status: ${status}`, ...lines.split('\r\n').slice(0, -1)]);
  }
}));

test('secrets are never indexed, and varying values not', () => {
  const encoding = new Encoding();
  for (let i = 0; i < 3; i++) assert.equal(encoding.encode(0, 'set-cookie: a=b\r\n').toString('hex'), '1f2803613d62');
  for (let i = 0; i < 3; i++) assert.equal(encoding.encode(0, 'etag: "1"\r\n').toString('hex'), '0f1303223122');
  assert.equal(encoding.encoder.tableSize, 0);
});

test('names are written in lower case', () => {
  assert.deepEqual(new Decoding().decode(new Encoding().encode(404, 'X-Custom: Value\r\nContent-Type: text/html\r\n')),
    [':status: 404', 'x-custom: Value', 'content-type: text/html']);
});

test('a client\'s table size is announced, the lowest first', () => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  const lines = 'server-timing: a;dur=1\r\nvary: accept\r\n';
  for (let i = 0; i < 3; i++) decoding.decode(encoding.encode(200, lines));
  encoding.encoder.resize(0);
  encoding.encoder.resize(100);
  const block = encoding.encode(200, lines);
  assert.equal(block.subarray(0, 3).toString('hex'), '203f45');
  assert.deepEqual(decoding.decode(block), [':status: 200', 'server-timing: a;dur=1', 'vary: accept']);
  assert.ok(encoding.encoder.tableSize <= 100);
  encoding.encoder.resize(1_000_000);
  assert.equal(encoding.encode(200, '').subarray(0, 3).toString('hex'), '3fe11f', 'no larger than the default');
});

test('without a table nothing is indexed', () => {
  const encoding = new Encoding();
  encoding.encoder.resize(0);
  assert.equal(encoding.encode(0, 'a: b\r\n').toString('hex'), '200001610162');
  for (let i = 0; i < 3; i++) assert.equal(encoding.encode(0, 'a: b\r\n').toString('hex'), '0001610162');
});

const LATIN1 = fc.string({unit: fc.integer({min: 0, max: 255}).map((code) => String.fromCharCode(code)), maxLength: 300});
const NAME = fc.oneof(fc.constantFrom('date', 'etag', 'set-cookie', 'content-type', 'x-a', 'X-B', 'vary'), fc.stringMatching(/^[a-z-]{1,40}$/));
const VALUE = fc.oneof(fc.constantFrom('', 'a', 'text/html'), LATIN1.map((text) => text.replaceAll(/[\x00-\x1f\x7f]/g, '').trim()));
const HEAD = fc.tuple(fc.constantFrom(200, 204, 304, 404, 418, 503), fc.array(fc.tuple(NAME, VALUE), {maxLength: 12}));
const RESIZE = fc.option(fc.constantFrom(0, 33, 64, 200, 4096, 65_536), {freq: 8});

testProperty('what is encoded is decoded', fc.property(fc.array(fc.tuple(HEAD, RESIZE), {maxLength: 12}), (heads) => {
  const encoding = new Encoding();
  const decoding = new Decoding();
  for (const [[status, fields], size] of heads) {
    if (size !== null) encoding.encoder.resize(size);
    const block = encoding.encode(status, fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''));
    assert.deepEqual(decoding.decode(block), [`:status: ${status}`, ...fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`)]);
    assert.equal(encoding.encoder.tableSize, decoding.table.size);
  }
}));

testProperty('no block is longer than was reserved for it', fc.property(HEAD, ([status, fields]) => {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  assert.ok(new Encoding().encode(status, lines).length <= encodedBytesMax(lines.length));
}));

testProperty('Huffman\'s code comes back, in as many bytes as announced', fc.property(LATIN1, (text) => {
  const length = huffmanEncodedBytes(text);
  const encoded = Buffer.alloc(length + 1, 0xaa);
  assert.equal(encodeHuffman(text, encoded, 0), length);
  assert.equal(encoded[length], 0xaa);
  const decoded = Buffer.alloc(huffmanDecodedBytesMax(length), 0xaa);
  const end = decodeHuffman(encoded, 0, length, decoded, 0);
  assert.equal(decoded.toString('latin1', 0, end), text);
}));

testProperty('noise is no code, or the code of what it is decoded to', fc.property(fc.uint8Array({maxLength: 40}), (noise) => {
  const decoded = Buffer.alloc(huffmanDecodedBytesMax(noise.length));
  const end = decodeHuffman(noise, 0, noise.length, decoded, 0);
  if (end < 0) return;
  const encoded = Buffer.alloc(noise.length);
  assert.equal(encodeHuffman(decoded.toString('latin1', 0, end), encoded, 0), noise.length);
  assert.deepEqual(encoded, Buffer.from(noise));
}), 2000);

testProperty('a decoder takes noise', fc.property(fc.array(fc.uint8Array({maxLength: 60}), {maxLength: 4}), (blocks) => {
  const decoding = new Decoding();
  for (const block of blocks) {
    if (typeof decoding.decode(Buffer.from(block)) === 'string') break;
    assert.ok(decoding.table.size <= LIMITS.h2HeaderTableBytes);
  }
}), 2000);
