/**
 * Fields that are injected into a request, hidden in one, or taken away from it on the way ("Abusing HTTP hop-by-hop request headers", Nathan
 * Davison 2019; "HTTP header smuggling", Daniel Thatcher 2021; the request line of CVE-2022-32213 to CVE-2022-32215 and of the HTTP Garden).
 */
import {after, describe} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {HOST, SMUGGLED, disarmEach, get, line, refuseEach} from '#test/attack/requests.ts';
import type {Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

describe('bytes that have no place in a head', () => {
  refuseEach(TARGET, [
    ['a bare CR in a value', get('x-a: 1\r2\r\n'), 'field_invalid'],
    ['a bare LF as a line end', get('x-a: 1\n'), 'field_invalid'],
    ['a bare LF that ends the head', `GET / HTTP/1.1\r\nhost: acme.test\n\n${SMUGGLED}`, 'field_invalid'],
    ['a bare LF after the request line', `GET / HTTP/1.1\n${HOST}\r\n`, 'head_invalid'],
    ['a NUL in a value', get('x-a: 1\x002\r\n'), 'field_invalid'],
    ['a control byte in a value', get('x-a: 1\x0b2\r\n'), 'field_invalid'],
    ['DEL in a value', get('x-a: \x7f\r\n'), 'field_invalid'],
    ['obs-fold', get('x-a: 1\r\n 2\r\n'), 'field_invalid'],
    ['obs-fold with a tab, in front of framing', get('x-a: 1\r\n\ttransfer-encoding: chunked\r\n'), 'field_invalid'],
    ['a space before the colon', get('x-a : 1\r\n'), 'field_invalid'],
    ['an empty field name', get(': 1\r\n'), 'field_invalid'],
    ['a field name that is no token', get('x(a): 1\r\n'), 'field_invalid'],
    ['a line without a colon', get('x-a\r\n'), 'field_invalid'],
    ['a byte beyond ASCII in a field name', get('x-\xe4: 1\r\n'), 'field_invalid'],
    ['two empty lines before the request', `\r\n\r\n${get('')}`, 'head_invalid'],
    ['a space before the request line', ` ${get('')}`, 'head_invalid'],
    ['the rest of another request', `x=1${get('')}`.replace('GET', '\x00'), 'method_invalid'],
    ['a TLS handshake on the cleartext port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'head_invalid'],
  ]);
});

describe('lines within lines', () => {
  refuseEach(TARGET, [
    ['two users, of whom each server believes another', get('authorization: Bearer mine\r\nauthorization: Bearer theirs\r\n'), 'field_invalid'],
    ['two types, of which each server reads another', get('content-type: text/plain\r\ncontent-type: application/json\r\n'), 'field_invalid'],
    ['two origins', get('origin: https://acme.test\r\norigin: https://evil.test\r\n'), 'field_invalid'],
    ['CR LF that only one of two sees: LF CR', get('x-a: 1\n\rx-evil: 1\r\n'), 'field_invalid'],
    ['CR LF CR', get('x-a: 1\r\n\rx-evil: 1\r\n'), 'field_invalid'],
    ['a bare CR that ends the head', `GET / HTTP/1.1\r\nhost: acme.test\r\r${SMUGGLED}`, 'field_invalid'],
    ['LF LF', `GET / HTTP/1.1\nhost: acme.test\n\n${SMUGGLED}`, 'head_invalid'],
    ['a whole second request in a value behind LF', get(`x-a: 1\n\n${SMUGGLED}`), 'field_invalid'],
    ['a vertical tab for a line end', get('x-a: 1\x0bx-evil: 1\r\n'), 'field_invalid'],
    ['a file separator for a line end (Python splitlines)', get('x-a: 1\x1cx-evil: 1\r\n'), 'field_invalid'],
    ['a backspace', get('x-a: 1\x08\r\n'), 'field_invalid'],
    ['a separator in a name: a space', get('x a: 1\r\n'), 'field_invalid'],
    ['a separator in a name: a slash', get('x/a: 1\r\n'), 'field_invalid'],
    ['a separator in a name: quotes', get('"x-a": 1\r\n'), 'field_invalid'],
    ['a name of UTF-8', get('\xe2\x80\x8bx-a: 1\r\n'), 'field_invalid'],
    ['a byte order mark before the request', `\xef\xbb\xbf${get('')}`, 'head_invalid'],
  ]);
});

describe('the request line', () => {
  refuseEach(TARGET, [
    ['a second version (Mongoose, lighttpd)', line('GET / HTTP/1.1 HTTP/1.1'), 'head_invalid'],
    ['a field behind the version', line('GET / HTTP/1.1 x: y'), 'head_invalid'],
    ['a bare CR within the version', line('GET / HTTP/1.\r1'), 'head_invalid'],
    ['a space within the version', line('GET / HTTP/ 1.1'), 'head_invalid'],
    ['zeros in the version', line('GET / HTTP/01.01'), 'head_invalid'],
    ['a version without a minor number', line('GET / HTTP/1'), 'head_invalid'],
    ['a comma in the version', line('GET / HTTP/1,1'), 'head_invalid'],
    ['HTTP/3', line('GET / HTTP/3.0'), 'version_unsupported'],
    ['another protocol', line('GET / HTTPS/1.1'), 'head_invalid'],
    ['no method', line(' / HTTP/1.1'), 'head_invalid'],
    ['a colon in the method', line('GET: / HTTP/1.1'), 'method_invalid'],
    ['a slash in the method', line('GET/x / HTTP/1.1'), 'method_invalid'],
    ['a NUL in the method', line('GE\0T / HTTP/1.1'), 'method_invalid'],
    ['a byte beyond ASCII in the method', line('GET\xa0/ HTTP/1.1'), 'method_invalid'],
    ['no target', line('GET HTTP/1.1'), 'head_invalid'],
    ['a line feed in the target', line('GET /\nx: HTTP/1.1'), 'head_invalid'],
    ['a form feed before the version', line('GET /\x0cHTTP/1.1'), 'target_invalid'],
  ]);
});

describe('methods and versions', () => {
  refuseEach(TARGET, [
    ['a method over the limit', line(`${'M'.repeat(LIMITS.methodBytesMax + 1)} / HTTP/1.1`), 'method_invalid'],
    ['a method that is no token', line('G@T / HTTP/1.1'), 'method_invalid'],
    ['CONNECT', 'CONNECT acme.test:443 HTTP/1.1\r\nhost: acme.test:443\r\n\r\n', 'method_refused'],
    ['CONNECT with a path', line('CONNECT / HTTP/1.1'), 'method_refused'],
    ['TRACE', line('TRACE / HTTP/1.1'), 'method_refused'],
    ['TRACK', line('TRACK / HTTP/1.1'), 'method_refused'],
    ['HTTP/1.2', line('GET / HTTP/1.2'), 'version_unsupported'],
    ['HTTP/2.0', line('GET / HTTP/2.0'), 'version_unsupported'],
    ['HTTP/0.9', line('GET / HTTP/0.9'), 'version_unsupported'],
    ['a simple request of HTTP/0.9', 'GET /\r\n\r\n', 'head_invalid'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'version_unsupported'],
    ['a version in lower case', line('GET / http/1.1'), 'head_invalid'],
    ['a version with more digits', line('GET / HTTP/1.10'), 'head_invalid'],
    ['two spaces in the request line', line('GET  / HTTP/1.1'), 'head_invalid'],
    ['a space after the version', line('GET / HTTP/1.1 '), 'head_invalid'],
    ['a tab in the request line', line('GET\t/ HTTP/1.1'), 'method_invalid'],
    ['another expectation', get('expect: 200-ok\r\n'), 'expectation_failed'],
    ['an expectation beside the known one', get('expect: 100-continue, x\r\n'), 'expectation_failed'],
  ]);
});

describe('what Connection must not name', () => {
  const names = [
    'host', 'Content-Length', 'authorization', 'COOKIE', 'x-forwarded-for', 'X-Forwarded-Proto', 'x-forwarded-host', 'x-forwarded-port',
    'x-forwarded-user', 'forwarded', 'x-real-ip', 'x-request-id', 'x-a y', 'x-\xe4',
  ];
  refuseEach(TARGET, names.map((name) => [name, get(`connection: close, ${name}\r\ncookie: a=b\r\n`), 'connection_option_refused'] as const));
});

describe('hop-by-hop fields', () => {
  disarmEach(TARGET, [
    ['Connection naming a field with a value', get('x-evil: 1\r\nconnection: x-evil\r\n')], ['the same twice', get('connection: close, x-evil\r\nx-evil: 1\r\nX-EVIL: 2\r\n')],
    ['Proxy ("httpoxy", CVE-2016-5385)', get('proxy: http://evil.test\r\n')], ['Proxy-Authorization', get('proxy-authorization: Basic evil\r\n')],
    ['Upgrade of a protocol that nobody knows', get('connection: upgrade\r\nupgrade: evil\r\n')], ['HTTP2-Settings', get('connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: evil\r\n')],
    ['a CGI name with an underscore', get('http_evil: 1\r\n')], ['a CGI name with a point', get('http.evil: 1\r\n')],
  ]);
});
