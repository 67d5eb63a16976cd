/** What escapes in a URL become. What rules find by that is in `access/rules.test.ts`. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {decodeForm, decodePercent, formsOf} from '#src/policy/decodings.ts';
import {testProperty} from '#test/support/property.ts';

testProperty('what is valid becomes what everybody makes of it', fc.property(fc.string({unit: 'grapheme'}), (text) => {
  assert.equal(decodePercent(encodeURIComponent(text)), text);
  assert.equal(decodeForm(new URLSearchParams([['', text]]).toString().slice(1)), text);
}), 1_000);

testProperty('nothing that is invalid ends it', fc.property(fc.stringMatching(/^[%u0-9a-f+é]{0,40}$/), (text) => {
  assert.ok(formsOf(text, [decodePercent, decodeForm]).every((form) => form.length <= text.length));
}), 1_000);

test('escapes that are none stay, and bytes that are no UTF-8 become what a decoder puts in their place', () => {
  const CASES: Readonly<Record<string, string>> = {
    '%': '%', '%4': '%4', '%4g': '%4g', '%u': '%u', '%u004': '%u004', '%U0041': '%U0041', '%25u0041': '%u0041', '%u00e9': 'é', '%ud83d': '\ufffd', '%ff': '\ufffd',
    '%c0%ae': '.', '%c1%81': 'A', '%e0%80%af': '/', '%f0%80%80%af': '/', '%c3%a9': 'é', '%c0': '\ufffd',
  };
  for (const [text, decoded] of Object.entries(CASES)) assert.equal(decodePercent(text), decoded, text);
});
