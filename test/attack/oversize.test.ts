/** Everything that is too large, at its limit and one beyond it. What is served at the limit is in test/proxy/semantics-accepted.test.ts. */
import assert from 'node:assert/strict';
import {after, describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {HOST, chunked, get, line, post, refuseEach} from '#test/attack/requests.ts';
import {disarm, type Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port], {route: {maxBodyBytes: 1000}})]});
const TARGET: Target = {proxy, upstream};

describe('sizes', () => {
  const room = LIMITS.requestHeadBytesMax - get('x-a: \r\n').length;
  refuseEach(TARGET, [
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

describe('far beyond', () => {
  refuseEach(TARGET, [
    ['a method without end', 'A'.repeat(100_000), 'method_invalid'], ['a target without end', `GET /${'a'.repeat(100_000)}`, 'target_too_long'], ['a name without end', `GET / HTTP/1.1\r\n${HOST}${'a'.repeat(100_000)}`, 'head_too_large'],
    ['ten thousand fields', get('a:\r\n'.repeat(10_000)), 'fields_too_many'], ['ten thousand options in Connection', get(`connection: ${'a,'.repeat(6_000)}host\r\n`), 'connection_option_refused'],
    ['a length of 2^53 - 1', post('content-length: 9007199254740991\r\n', ''), 'body_too_large'], ['a chunk of 2^53 - 1', chunked('1fffffffffffff\r\nhello'.padEnd(1100, 'x')), 'body_too_large'],
    ['a thousand chunks of one byte, and one', chunked(`${'1\r\na\r\n'.repeat(1001)}0\r\n\r\n`), 'body_too_large'],
  ]);

  test('many ranges are the application\'s to refuse: they are forwarded once (CVE-2011-3192)', async (context) => {
    assert.match((await disarm(context, TARGET, get(`range: bytes=${'0-1,'.repeat(1000)}0-\r\n`))).raw, /\r\nrange: bytes=0-1,/);
  });
});

describe('at the limit', () => {
  for (const [what, bytes, length] of [
    ['a declared body', post('content-length: 1000\r\n', 'a'.repeat(1000)), 1000], ['a chunked body', chunked(`3e8\r\n${'a'.repeat(1000)}\r\n0\r\n\r\n`), 1000],
    ['a body of chunks of one byte', chunked(`${'1\r\na\r\n'.repeat(1000)}0\r\n\r\n`), 1000], ['an extension', chunked(`1;${'a'.repeat(LIMITS.chunkExtensionBytesMax - 1)}\r\na\r\n0\r\n\r\n`), 1],
    ['digits of a size', chunked('0000000000000001\r\na\r\n0\r\n\r\n'), 1], ['trailers', chunked(`1\r\na\r\n0\r\n${'a: 1\r\n'.repeat(LIMITS.trailerFieldsMax)}\r\n`), 1],
    ['bytes of trailers', chunked(`1\r\na\r\n0\r\nx: ${'a'.repeat(LIMITS.trailerBytesMax - 'x: \r\n\r\n'.length)}\r\n\r\n`), 1],
  ] as const) {
    test(`${what} is served`, async (context) => { assert.equal((await disarm(context, TARGET, bytes)).body.length, length); });
  }
});
