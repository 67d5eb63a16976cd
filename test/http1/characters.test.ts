import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {isToken} from '#src/http1/characters.ts';
import {testProperty} from '#test/support/property.ts';

/** RFC 9110 §5.6.2, as it stands there. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

test('what is a token, character by character', () => {
  assert.equal(isToken(''), false);
  for (let code = 0; code < 0x300; code++) {
    const character = String.fromCharCode(code);
    assert.equal(isToken(character), TOKEN.test(character), `${code}`);
    assert.equal(isToken(`a${character}`), TOKEN.test(character), `${code} at the end`);
  }
});

testProperty('what is a token', fc.property(fc.string({unit: 'binary'}), (text) => {
  assert.equal(isToken(text), TOKEN.test(text));
}));
