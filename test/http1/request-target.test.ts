/** Properties of authorities and targets; `spec/host.md` and `spec/target.md` have the cases. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {parseAuthority, toOriginForm} from '#src/http1/request-target.ts';
import {testProperty} from '#test/support/property.ts';

const TEXT = fc.string({unit: fc.constantFrom(...'aZ0.-_:[]@/\\%?#, \u00fc'.split('')), maxLength: 16});

testProperty('what is sent on as an authority is the same authority', fc.property(TEXT, (text) => {
  const authority = parseAuthority(text);
  if (authority === null) return;
  assert.deepEqual(parseAuthority(authority.text), authority);
  assert.deepEqual(parseAuthority(text.toUpperCase()), authority);
}), 2000);

testProperty('the WHATWG URL parser, which browsers and applications use, finds the same host', fc.property(TEXT, (text) => {
  const authority = parseAuthority(text);
  // It also rewrites numbers as IPv4 addresses and shortens IPv6 ones: what it takes for an address is out of scope here.
  if (authority === null || !URL.canParse(`http://${text}/`) || /^[0-9[]|\.[0-9]/.test(authority.host)) return;
  assert.equal(new URL(`http://${text}/`).hostname.replace(/\.$/, ''), authority.host);
}), 2000);

testProperty('an absolute form is never resolved to another host than the Host field names', fc.property(TEXT, TEXT, (text, host) => {
  const target = `http://${text}/x`;
  const origin = toOriginForm({method: 'GET', target, host}, 'http');
  if (typeof origin !== 'string') return;
  assert.match(origin, /^\//);
  const written = /^[^/?#]*/.exec(text)?.[0] ?? '';
  assert.equal(parseAuthority(written)?.text, parseAuthority(host)?.text);
}), 2000);

test('no letter of another script becomes an ASCII one', () => {
  for (const text of ['\u212a.example', 'a\u017f.example', '\uff41.example', '[\uff11::]']) assert.equal(parseAuthority(text), null, text);
});

test('faults of a target', () => {
  const resolve = (target: string): unknown => toOriginForm({method: 'GET', target, host: 'a.example'}, 'https');
  assert.equal(resolve('/x?y'), '/x?y');
  assert.equal(resolve('https://a.example/x?y'), '/x?y');
  assert.deepEqual(resolve('http://a.example/'), {fault: 'target_invalid'});
  assert.deepEqual(resolve('https://b.example/'), {fault: 'host_invalid'});
  assert.deepEqual(resolve('*'), {fault: 'target_invalid'});
  assert.deepEqual(resolve(''), {fault: 'target_invalid'});
});
