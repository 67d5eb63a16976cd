/**
 * Which host a request is for ("Practical HTTP Host header attacks", Skeletonscribe 2013; "Host of Troubles", CCS 2016; "Cracking the lens",
 * Kettle 2017; the V-H and H-V discrepancies of "HTTP/1.1 must die", 2025).
 */
import assert from 'node:assert/strict';
import {after, describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {HOST, disarmEach, get, line, refuseEach} from '#test/attack/requests.ts';
import {disarm, type Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

describe('which host', () => {
  refuseEach(TARGET, [
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 'host_invalid'],
    ['no Host in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 'host_invalid'],
    ['two Hosts', get('host: acme.test\r\n'), 'host_invalid'],
    ['two Hosts that differ', get('host: other.test\r\n'), 'host_invalid'],
    ['an empty Host', 'GET / HTTP/1.1\r\nhost:\r\n\r\n', 'host_invalid'],
    ['a Host with a path', 'GET / HTTP/1.1\r\nhost: acme.test/a\r\n\r\n', 'host_invalid'],
    ['a Host with userinfo', 'GET / HTTP/1.1\r\nhost: a@acme.test\r\n\r\n', 'host_invalid'],
    ['a Host with a space', 'GET / HTTP/1.1\r\nhost: acme.test b\r\n\r\n', 'host_invalid'],
    ['a list of Hosts', 'GET / HTTP/1.1\r\nhost: acme.test, b.test\r\n\r\n', 'host_invalid'],
    ['a Host with a port of letters', 'GET / HTTP/1.1\r\nhost: acme.test:http\r\n\r\n', 'host_invalid'],
    ['a Host with port 65536', 'GET / HTTP/1.1\r\nhost: acme.test:65536\r\n\r\n', 'host_invalid'],
    ['a Host over the limit', `GET / HTTP/1.1\r\nhost: ${'a'.repeat(LIMITS.hostBytesMax + 1)}\r\n\r\n`, 'host_invalid'],
    ['an authority that differs from Host', line('GET http://other.test/ HTTP/1.1'), 'host_invalid'],
    ['an authority with another port', line('GET http://acme.test:81/ HTTP/1.1'), 'host_invalid'],
    ['an authority with userinfo', line('GET http://a:b@acme.test/ HTTP/1.1'), 'host_invalid'],
    ['an absolute form with the scheme of TLS', line('GET https://acme.test/ HTTP/1.1'), 'target_invalid'],
    ['an absolute form with another scheme', line('GET ftp://acme.test/ HTTP/1.1'), 'target_invalid'],
    ['the authority form', line('GET acme.test:80 HTTP/1.1'), 'target_invalid'],
    ['the asterisk form', line('OPTIONS * HTTP/1.1'), 'target_invalid'],
    ['an unknown host', 'GET / HTTP/1.1\r\nhost: unknown.test\r\n\r\n', 'host_unknown'],
    ['a subdomain of a known host', 'GET / HTTP/1.1\r\nhost: a.acme.test\r\n\r\n', 'host_unknown'],
    ['an address as the host', 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n', 'host_unknown'],
  ]);
});

describe('a Host that is more than a host', () => {
  const values: readonly (readonly [what: string, value: string])[] = [
    ['a fragment', 'acme.test#evil.test'], ['a query', 'acme.test?evil.test'], ['a backslash', 'acme.test\\evil.test'], ['two ports', 'acme.test:80:81'], ['an empty port', 'acme.test:'], ['port 0', 'acme.test:0'],
    ['a port with a zero in front', 'acme.test:080'], ['a port with a sign', 'acme.test:+80'], ['a port that is userinfo', 'acme.test:80@evil.test'], ['a scheme', 'http://acme.test'], ['an escape', 'acme%2etest'],
    ['an empty label', 'acme..test'], ['a point in front', '.acme.test'], ['a hyphen in front', '-acme.test'], ['two points at the end', 'acme.test..'], ['a bracket that does not end', '[::1'], ['text behind a bracket', '[::1]evil'],
    ['an address in brackets that is IPv4', '[127.0.0.1]'], ['a zone', '[fe80::1%25eth0]'], ['bytes of UTF-8', '\xc3\xa4cme.test'], ['the Kelvin sign', 'acme.test\xe2\x84\xaa'], ['a semicolon', 'acme.test;evil.test'],
    ['quotes', '"acme.test"'], ['an asterisk', '*.acme.test'], ['a pipe', 'acme.test|evil'], ['a tab within', 'acme.test\tevil.test'], ['a template', '{{acme.test}}'], ['a slash', 'acme.test/../evil'],
  ];
  refuseEach(TARGET, values.map(([what, value]) => [what, `GET / HTTP/1.1\r\nhost: ${value}\r\n\r\n`, 'host_invalid'] as const));
});

describe('a Host that is hidden or doubled', () => {
  refuseEach(TARGET, [
    ['a NUL', 'GET / HTTP/1.1\r\nhost: acme.test\0.evil.test\r\n\r\n', 'field_invalid'],
    ['behind a fold', 'GET / HTTP/1.1\r\nhost: acme.test\r\n evil.test\r\n\r\n', 'field_invalid'],
    ['a blank before the name (H-V)', 'GET / HTTP/1.1\r\nhost: acme.test\r\n host: evil.test\r\n\r\n', 'field_invalid'],
    ['a blank before the colon (V-H)', 'GET / HTTP/1.1\r\nhost : evil.test\r\nhost: acme.test\r\n\r\n', 'field_invalid'],
    ['a blank before the first name', 'GET / HTTP/1.1\r\n host: evil.test\r\nhost: acme.test\r\n\r\n', 'field_invalid'],
    ['two of different case', 'GET / HTTP/1.1\r\nHost: acme.test\r\nhOST: evil.test\r\n\r\n', 'host_invalid'],
    ['two, of which one is empty', 'GET / HTTP/1.1\r\nhost: acme.test\r\nhost:\r\n\r\n', 'host_invalid'],
    ['the first of a list', 'GET / HTTP/1.1\r\nhost: acme.test,acme.test\r\n\r\n', 'host_invalid'],
    ['a known name as a label of another', 'GET / HTTP/1.1\r\nhost: acme.test.evil.test\r\n\r\n', 'host_unknown'],
    ['a known name behind another', 'GET / HTTP/1.1\r\nhost: evilacme.test\r\n\r\n', 'host_unknown'],
    ['localhost', 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n', 'host_unknown'],
    ['an address in decimal', 'GET / HTTP/1.1\r\nhost: 2130706433\r\n\r\n', 'host_unknown'],
    ['an address of IPv6', 'GET / HTTP/1.1\r\nhost: [::1]\r\n\r\n', 'host_unknown'],
    ['the metadata service', 'GET / HTTP/1.1\r\nhost: 169.254.169.254\r\n\r\n', 'host_unknown'],
  ]);
});

describe('the absolute form', () => {
  refuseEach(TARGET, [
    ['no authority', line('GET http:/// HTTP/1.1'), 'host_invalid'],
    ['userinfo that ends in a backslash', line('GET http://acme.test\\@evil.test/ HTTP/1.1'), 'host_invalid'],
    ['a port that is userinfo', line('GET http://acme.test:80@evil.test/ HTTP/1.1'), 'host_invalid'],
    ['no slashes', line('GET http:acme.test/ HTTP/1.1'), 'target_invalid'],
    ['one slash', line('GET http:/acme.test/ HTTP/1.1'), 'target_invalid'],
    ['an authority before a path', line('GET @evil.test/ HTTP/1.1'), 'target_invalid'],
    ['a file', line('GET file:///etc/passwd HTTP/1.1'), 'target_invalid'],
    ['gopher', line('GET gopher://acme.test/ HTTP/1.1'), 'target_invalid'],
    ['another host, and no Host', 'GET http://acme.test/ HTTP/1.1\r\n\r\n', 'host_invalid'],
    ['a known host, and an unknown Host', 'GET http://acme.test/ HTTP/1.1\r\nhost: evil.test\r\n\r\n', 'host_invalid'],
    ['a fragment for a host', line('GET http://#@acme.test/ HTTP/1.1'), 'host_invalid'],
    ['a query that hides another', line('GET http://acme.test?@evil.test/#x HTTP/1.1'), 'path_ambiguous'],
  ]);
});

describe('a host where none is', () => {
  for (const [sent, forwarded] of [['//evil.test/', '/evil.test/'], ['///evil.test', '/evil.test'], ['/%2e/evil.test', '/evil.test'], ['/http://evil.test/', '/http:/evil.test/']] as const) {
    test(`${sent} is a path: a redirect to it stays here`, async (context) => {
      const request = await disarm(context, TARGET, line(`GET ${sent} HTTP/1.1`), /\/\/evil/);
      assert.equal(request.startLine, `GET ${forwarded} HTTP/1.1`);
      assert.ok(request.raw.includes(HOST));
    });
  }

  disarmEach(TARGET, [
    ['X-Forwarded-Host', get('x-forwarded-host: evil.test\r\n')], ['X-Host', get('x-host: evil.test\r\n')], ['Forwarded', get('forwarded: host=evil.test\r\n')], ['X-Forwarded-Server', get('x-forwarded-server: evil.test\r\n')],
    ['X-Original-Host', get('x-original-host: evil.test\r\n')],
  ]);
});
