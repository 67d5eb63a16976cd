/** What a client may not send, row by row of the design's table: each an attack in four steps over real sockets. */
import {after, describe, test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {attack} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port], {route: {maxBodyBytes: 1000}})]});

type Row = readonly [what: string, bytes: string, fault: FaultCode];

const HOST = 'host: acme.test\r\n';
/** What a smuggler would like the application to see. */
const SMUGGLED = 'GET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n';

function get(fields: string, rest = ''): string {
  return `GET / HTTP/1.1\r\n${HOST}${fields}\r\n${rest}`;
}

function post(fields: string, body: string): string {
  return `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
}

function line(text: string): string {
  return `${text}\r\n${HOST}\r\n`;
}

function attackWithEach(rows: readonly Row[]): void {
  for (const [what, bytes, fault] of rows) test(`${what}: ${fault}`, async (context) => { await attack(context, {proxy, upstream}, bytes, fault); });
}

describe('bytes that have no place in a head', () => {
  attackWithEach([
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

describe('framing that two servers could read in two ways', () => {
  attackWithEach([
    ['a length with a plus', post('content-length: +5\r\n', 'hello'), 'framing_invalid'],
    ['a length with a minus', post('content-length: -5\r\n', 'hello'), 'framing_invalid'],
    ['a list of lengths', post('content-length: 5, 5\r\n', 'hello'), 'framing_invalid'],
    ['a length with a space', post('content-length: 1 0\r\n', 'hello'), 'framing_invalid'],
    ['a hexadecimal length', post('content-length: 0x5\r\n', 'hello'), 'framing_invalid'],
    ['a length of letters', post('content-length: five\r\n', 'hello'), 'framing_invalid'],
    ['an empty length', post('content-length:\r\n', 'hello'), 'framing_invalid'],
    ['a fractional length', post('content-length: 5.0\r\n', 'hello'), 'framing_invalid'],
    ['a length over 2^53', post('content-length: 9007199254740993\r\n', 'hello'), 'framing_invalid'],
    ['a length that wraps 64 bits', post('content-length: 18446744073709551621\r\n', 'hello'), 'framing_invalid'],
    ['two lengths that differ', post('content-length: 5\r\ncontent-length: 6\r\n', 'hello!'), 'framing_invalid'],
    ['CL.TE', post('content-length: 6\r\ntransfer-encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`), 'framing_invalid'],
    ['TE.CL', post('transfer-encoding: chunked\r\ncontent-length: 4\r\n', `5c\r\n${SMUGGLED}\r\n0\r\n\r\n`), 'framing_invalid'],
    ['an encoding before chunked', post('transfer-encoding: gzip, chunked\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['an encoding that is not chunked', post('transfer-encoding: identity\r\n', 'hello'), 'framing_invalid'],
    ['chunked twice', post('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['chunked twice in one field', post('transfer-encoding: chunked, chunked\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['chunked with a parameter', post('transfer-encoding: chunked;a=b\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['chunked in quotes', post('transfer-encoding: "chunked"\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['a vertical tab before chunked', post('transfer-encoding: \x0bchunked\r\n', '0\r\n\r\n'), 'field_invalid'],
    ['an empty encoding', post('transfer-encoding:\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['an encoding of HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 'framing_invalid'],
    ['an encoding hidden by a fold', post('transfer-encoding:\r\n chunked\r\n', '0\r\n\r\n'), 'field_invalid'],
  ]);
});

describe('chunks', () => {
  const chunked = (body: string): string => post('transfer-encoding: chunked\r\n', body);
  attackWithEach([
    ['a size with a plus', chunked('+5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size with a minus', chunked('-5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size with 0x', chunked('0x5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a space before the size', chunked(' 5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a space after the size', chunked('5 \r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size with an underscore', chunked('0_5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['no size', chunked('\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size over 16 digits', chunked('00000000000000005\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size that wraps 64 bits', chunked('10000000000000005\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size over 2^53', chunked('fffffffffffffff\r\nhello'), 'chunk_invalid'],
    ['a bare LF after the size', chunked('5\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a bare LF after the data', chunked('5\r\nhello\n0\r\n\r\n'), 'chunk_invalid'],
    ['data longer than the size', chunked('4\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['data shorter than the size', chunked('6\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a bare LF in an extension', chunked('5;a\nb\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['an extension over the limit', chunked(`5;${'a'.repeat(LIMITS.chunkExtensionBytesMax)}\r\nhello\r\n0\r\n\r\n`), 'chunk_invalid'],
    ['an invalid trailer', chunked('5\r\nhello\r\n0\r\nx a: 1\r\n\r\n'), 'chunk_invalid'],
    ['trailers over the limit', chunked(`0\r\n${'a: 1\r\n'.repeat(LIMITS.trailerFieldsMax + 1)}\r\n`), 'chunk_invalid'],
  ]);
});

describe('which host', () => {
  attackWithEach([
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

describe('methods and versions', () => {
  attackWithEach([
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

describe('sizes', () => {
  const room = LIMITS.requestHeadBytesMax - get('x-a: \r\n').length;
  attackWithEach([
    ['a target over the limit', line(`GET /${'a'.repeat(LIMITS.requestTargetBytesMax)} HTTP/1.1`), 'target_too_long'],
    ['a head over the limit', get(`x-a: ${'a'.repeat(room + 1)}\r\n`), 'head_too_large'],
    ['a head that never ends', `GET / HTTP/1.1\r\nx-a: ${'a'.repeat(LIMITS.requestHeadBytesMax)}`, 'head_too_large'],
    ['fields over the limit', get('a: 1\r\n'.repeat(LIMITS.requestFieldsMax)), 'fields_too_many'],
    ['a declared body over the limit', post('content-length: 1001\r\n', ''), 'body_too_large'],
    ['a declared body over the limit that waits for 100', post('content-length: 1001\r\nexpect: 100-continue\r\n', ''), 'body_too_large'],
    ['a chunked body over the limit', post('transfer-encoding: chunked\r\n', `3e9\r\n${'a'.repeat(1001)}\r\n0\r\n\r\n`), 'body_too_large'],
    ['a chunked body over the limit in its last byte', post('transfer-encoding: chunked\r\n', `3e8\r\n${'a'.repeat(1000)}\r\n1\r\na\r\n`), 'body_too_large'],
  ]);
});

describe('what Connection must not name', () => {
  const names = [
    'host', 'Content-Length', 'authorization', 'COOKIE', 'x-forwarded-for', 'X-Forwarded-Proto', 'x-forwarded-host', 'x-forwarded-port',
    'x-forwarded-user', 'forwarded', 'x-real-ip', 'x-request-id', 'x-a y', 'x-\xe4',
  ];
  attackWithEach(names.map((name) => [name, get(`connection: close, ${name}\r\ncookie: a=b\r\n`), 'connection_option_refused'] as const));
});

describe('paths that can be read in two ways', () => {
  const paths: readonly (readonly [string, string])[] = [
    ['an encoded NUL', '/a%00b'], ['an encoded LF', '/a%0ab'], ['an encoded CR', '/a%0Db'], ['an encoded DEL', '/%7f'], ['a backslash', '/a\\b'],
    ['an encoded backslash', '/a%5cb'], ['an encoded slash', '/a%2fb'], ['dots above the root', '/..'], ['dots above the root further on', '/a/../../b'],
    ['encoded dots above the root', '/%2e%2e/a'], ['half-encoded dots above the root', '/.%2E/a'], ['dots before an encoded slash', '/a/..%2fb'],
    ['a percent sign without digits', '/a%'], ['a percent sign with one digit', '/a%1'], ['a percent sign with a letter', '/a%g0'], ['dots with a parameter', '/a/..;/b'],
    ['a fragment', '/a#b'], ['a fragment in the query', '/a?b#c'], ['an overlong dot', '/%c0%ae%c0%ae/'],
  ];
  attackWithEach(paths.map(([what, path]) => [what, line(`GET ${path} HTTP/1.1`), 'path_ambiguous'] as const));
});

describe('targets with bytes that are no part of one', () => {
  attackWithEach([
    ['a byte beyond ASCII', line('GET /\xe4 HTTP/1.1'), 'target_invalid'],
    ['a NUL', line('GET /\x00 HTTP/1.1'), 'target_invalid'],
    ['a space', line('GET /a b HTTP/1.1'), 'head_invalid'],
    ['a DEL', line('GET /\x7f HTTP/1.1'), 'target_invalid'],
    ['a relative path', line('GET a HTTP/1.1'), 'target_invalid'],
  ]);
});
