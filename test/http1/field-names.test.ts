import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {
  FIELD, FIELD_NUMBERS, FOLDING_KNOWN, FOLDING_NAME, FORWARDED_OTHER, JOINED_COOKIE, NAMED_BY_CONNECTION, OTHER, fieldNumber, identifyField, identifyFolding, nextHash,
} from '#src/http1/field-names.ts';
import {testProperty} from '#test/support/property.ts';

const NAMES = Object.keys(FIELD);

/** As the head scanner does it: the hash runs over the lower-case bytes. */
function identify(name: string): number {
  const bytes = Buffer.from(`xx${name}yy`, 'latin1');
  const hash = name.split('').reduce((sum, character) => nextHash(sum, character.toLowerCase().charCodeAt(0)), 0);
  return identifyField(bytes, 2, 2 + name.length, hash);
}

test('every known name has a number of its own, and so have the classes', () => {
  const numbers = [OTHER, ...Object.values(FIELD), FORWARDED_OTHER, NAMED_BY_CONNECTION, FOLDING_NAME, FOLDING_KNOWN, JOINED_COOKIE];
  assert.equal(new Set(numbers).size, numbers.length);
  assert.equal(FIELD_NUMBERS, numbers.length);
  assert.equal(Math.max(...numbers), FIELD_NUMBERS - 1);
});

test('known names are found in any case of letters', () => {
  for (const [name, number] of Object.entries(FIELD)) {
    const alternating = name.split('').map((character, i) => (i % 2 === 0 ? character.toUpperCase() : character)).join('');
    for (const spelling of [name, name.toUpperCase(), alternating]) assert.equal(identify(spelling), number, spelling);
    assert.equal(fieldNumber(name), number, name);
  }
});

test('near misses are not found', () => {
  for (const name of NAMES) {
    const others = [`${name}x`, `x${name}`, name.slice(0, -1), name.slice(1), name.replace(/.$/, '!'), name.replaceAll('-', ''), name.replaceAll('-', '+')];
    for (const other of others.filter((candidate) => candidate !== '' && !NAMES.includes(candidate))) {
      const expected = other.startsWith('x-forwarded-') ? FORWARDED_OTHER : OTHER;
      assert.equal(identify(other), expected, other);
      assert.equal(fieldNumber(other), expected, other);
    }
  }
});

test('a longer name that falls into the same place of the table is another name', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'.split('');
  const suffixes = letters.flatMap((first) => letters.map((second) => first + second));
  for (const name of NAMES) {
    for (const suffix of suffixes) {
      const expected = name.startsWith('x-forwarded-') ? FORWARDED_OTHER : OTHER;
      assert.equal(identify(name + suffix), expected, name + suffix);
    }
  }
});

test('what folds into a known name is told from what folds into any other', () => {
  const fold = (name: string): number => identifyFolding(Buffer.from(`x-${name}-y`, 'latin1'), 2, 2 + name.length);
  for (const name of NAMES.filter((known) => known.includes('-'))) {
    for (const mark of ['_', '.']) {
      assert.equal(fold(name.replace('-', mark)), FOLDING_KNOWN, name);
      assert.equal(fold(name.toUpperCase().replaceAll('-', mark)), FOLDING_KNOWN, name);
      assert.equal(fold(`${name}${mark}x`), name.startsWith('x-forwarded-') || name === 'x-forwarded' ? FOLDING_KNOWN : FOLDING_NAME, name);
    }
  }
  for (const name of ['_', 'x_y', 'content_lengt', 'contentlength_']) assert.equal(fold(name), FOLDING_NAME, name);
});

test('the rest of the x-forwarded family has one number', () => {
  for (const name of ['x-forwarded-user', 'X-Forwarded-Prefix', 'x-forwarded-a']) assert.equal(identify(name), FORWARDED_OTHER, name);
  for (const name of ['x-forwarded-', 'x-forwardedfor']) assert.equal(identify(name), OTHER, name);
});

testProperty('bytes and text are identified alike', fc.property(fc.string({unit: fc.constantFrom(...'abcdehnopstx-TEX'.split('')), maxLength: 14}), (name) => {
  assert.equal(identify(name), fieldNumber(name.toLowerCase()));
}), 1000);
