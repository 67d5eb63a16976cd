import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {FieldBlock, copyFields, type FieldBlockLimits} from '#src/http1/field-block.ts';
import {FIELD, FIELD_NUMBERS} from '#src/http1/field-names.ts';
import {testProperty} from '#test/support/property.ts';

const LIMITS: FieldBlockLimits = {bytesMax: 4096, fieldsMax: 64, tooLarge: 'head_too_large', tooMany: 'fields_too_many', invalid: 'field_invalid'};

function scan(lines: string): FieldBlock {
  const block = new FieldBlock(LIMITS.fieldsMax);
  const bytes = Buffer.from(`${lines}\r\n`, 'latin1');
  assert.equal(block.scan(bytes, 0, 0, bytes.length, LIMITS), bytes.length);
  block.text = lines;
  return block;
}

function copy(lines: string, dropped: readonly number[] = [], removedNames: readonly string[] = []): string {
  const table = new Uint8Array(FIELD_NUMBERS);
  for (const number of dropped) table[number] = 1;
  return copyFields(scan(lines), table, removedNames.length === 0 ? null : new Set(removedNames));
}

test('fields that are written plainly are copied as they stand', () => {
  const lines = 'A: 1\r\nb: 2  2\r\nHost: x\r\nempty: \r\n';
  assert.equal(copy(lines), lines);
});

test('white space is brought into one form', () => {
  assert.equal(copy('a:1\r\nb:  2\r\nc: 3 \r\nd:\t4\t\r\ne:\r\nf: \t \r\ng: 7\r\n'), 'a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: \r\nf: \r\ng: 7\r\n');
});

test('fields are dropped at the beginning, in the middle, in a row and at the end', () => {
  const lines = 'host: x\r\na: 1\r\nte: y\r\ncookie: z\r\nb: 2\r\nc: 3\r\nexpect: w\r\n';
  assert.equal(copy(lines, [FIELD.host, FIELD.te, FIELD.cookie, FIELD.expect]), 'a: 1\r\nb: 2\r\nc: 3\r\n');
  assert.equal(copy('host: x\r\n', [FIELD.host]), '');
  assert.equal(copy('host:x\r\nte:y\r\n', [FIELD.host, FIELD.te]), '');
});

test('fields are dropped by name in any case of letters', () => {
  assert.equal(copy('X-One: 1\r\nx-two:2\r\nX-ONE: 3\r\nx-ones: 4\r\n', [], ['x-one']), 'x-two: 2\r\nx-ones: 4\r\n');
});

test('no fields give nothing', () => {
  assert.equal(copy(''), '');
});

test('offsets are counted from the start of the head, wherever it lies in the buffer', () => {
  const bytes = Buffer.from('before|GET\r\na: 1\r\nb:2\r\n\r\nafter', 'latin1');
  const start = bytes.indexOf('GET');
  const block = new FieldBlock(LIMITS.fieldsMax);
  const end = block.scan(bytes, start, start + 5, bytes.length, LIMITS);
  block.text = bytes.toString('latin1', start, end - 2);
  assert.equal(bytes.toString('latin1', end), 'after');
  assert.deepEqual([block.name(0), block.value(0), block.name(1), block.value(1)], ['a', '1', 'b', '2']);
  assert.deepEqual([block.isPlain(0), block.isPlain(1)], [true, false]);
});

const NAME = fc.constantFrom('host', 'Cookie', 'x-a', 'X-B', 'te', 'x_y');
const BLANKS = fc.constantFrom('', ' ', ' ', ' ', '\t', '  ');
const VALUE = fc.constantFrom('', 'v', 'a b', '\xe4', 'x: y');
const LINE = fc.tuple(NAME, BLANKS, VALUE, BLANKS);

testProperty('copying is the same as writing every kept field anew', fc.property(
  fc.array(LINE, {maxLength: 12}), fc.subarray([FIELD.host, FIELD.cookie, FIELD.te]), fc.subarray(['x-a', 'x-b']),
  (lines, dropped, removed) => {
    const droppedNames = new Set<string>([...removed, ...Object.entries(FIELD).filter(([, number]) => dropped.includes(number)).map(([name]) => name)]);
    const text = lines.map(([name, before, value, after]) => `${name}:${before}${value}${after}\r\n`).join('');
    const expected = lines.filter(([name]) => !droppedNames.has(name.toLowerCase())).map(([name, , value]) => `${name}: ${value}\r\n`).join('');
    assert.equal(copy(text, dropped, removed), expected);
  },
), 500);
