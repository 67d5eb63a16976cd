/** Properties of the normal form; `spec/path.md` has the cases. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {hasEncodedSlash, normaliseTarget} from '#src/http1/path.ts';
import {testProperty} from '#test/support/property.ts';

/** Paths made of what attacks are made of. */
const PIECES = ['/', '/', '.', '..', '%2e', '%2E%2e', '%2f', '%5c', '\\', ';', '%3b', 'a', 'B', '%61', '%25', '%', '%c3%bc', '%c0%ae', '%00', '#', '~', '|', '['] as const;
const TARGET = fc.array(fc.constantFrom(...PIECES), {maxLength: 12}).map((pieces) => `/${pieces.join('')}`);
const QUERY = fc.array(fc.constantFrom(...PIECES.filter((piece) => piece !== '#'), '?'), {maxLength: 6}).map((pieces) => `?${pieces.join('')}`);

/** A server that decodes as often as it likes, then resolves the segments: where does it end up? */
function resolveLikeABackend(path: string): string[] {
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  const kept: string[] = [];
  for (const part of decoded.split(/[/\\]/)) {
    const segment = part.replace(/;.*/, '');
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(part);
  }
  return kept;
}

testProperty('the normal form is its own normal form', fc.property(TARGET, fc.boolean(), (target, encodedSlashAllowed) => {
  const normal = normaliseTarget(target, encodedSlashAllowed);
  if (normal !== null) assert.equal(normaliseTarget(normal, encodedSlashAllowed), normal);
}), 2000);

testProperty('no other server resolves more of the normal form, even one that decodes it first', fc.property(TARGET, fc.boolean(), (target, encodedSlashAllowed) => {
  const normal = normaliseTarget(target, encodedSlashAllowed);
  if (normal === null) return;
  assert.match(normal, /^\//);
  assert.doesNotMatch(normal, /\/\/|\/\.{1,2}(?:\/|$)|\\|#/);
  const decoded = decodeOnce(normal).split('/').filter((segment) => segment.replace(/;.*/, '') !== '');
  assert.deepEqual(resolveLikeABackend(normal), decoded);
}), 2000);

testProperty('the query is left alone', fc.property(TARGET, QUERY, (target, query) => {
  const normal = normaliseTarget(target, false);
  assert.equal(normaliseTarget(target + query, false), normal === null ? null : normal + query);
}));

test('an encoded slash is found in both spellings', () => {
  assert.equal(hasEncodedSlash('/a%2fb'), true);
  assert.equal(hasEncodedSlash('/a%2Fb'), true);
  assert.equal(hasEncodedSlash('/a/b%252f'), false);
});

function decodeOnce(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

test('a segment of semicolons, which a quadratic reader never gets over', () => {
  const path = `/a${';'.repeat(8000)}b`;
  for (let i = 0; i < 1000; i++) assert.equal(normaliseTarget(path, true), path);
});
