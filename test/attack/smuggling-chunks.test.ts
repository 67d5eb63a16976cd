/**
 * Request smuggling by chunks: sizes, extensions, ends, trailers. Jeppe Bonde Weikop: "Funky chunks" (2025) named TERM.EXT, EXT.TERM, TERM.SPILL
 * and SPILL.TERM; CVE-2025-22871 (Go), CVE-2025-55315 (Kestrel), CVE-2024-53868 (Apache Traffic Server), CVE-2023-39326 (Go), CVE-2023-47627 (aiohttp).
 */
import {after, describe} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {SMUGGLED, chunked, disarmEach, refuseEach} from '#test/attack/requests.ts';
import type {Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

describe('chunks', () => {
  refuseEach(TARGET, [
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

describe('where a size line ends', () => {
  refuseEach(TARGET, [
    ['TERM.EXT: a bare LF in an extension', chunked(`2;\nxx\r\n4c\r\n0\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['EXT.TERM: a bare CR in an extension', chunked(`2;\rxx\r\n4c\r\n0\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['a bare CR for the line end', chunked('5\rhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['CR CR LF', chunked('5\r\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a bare CR in front of an extension', chunked('5\r;a\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a bare LF in quotes of an extension', chunked('5;a="\n"\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a line end in quotes of an extension', chunked('5;a="\r\n"\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a NUL in an extension', chunked('5;a=\0\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['DEL in an extension', chunked('5;a=\x7f\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a vertical tab before the extension', chunked('5\x0b;a\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a tab before the extension', chunked('5\t;a\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size behind a comma', chunked('5,6\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['an underscore in the size (aiohttp, Gunicorn, Tornado 2023)', chunked(`0_2e\r\n\r\n${SMUGGLED}0\r\n\r\n`), 'chunk_invalid'],
    ['a size with h', chunked('5h\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a size in quotes', chunked('"5"\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a no-break space before the size', chunked('\xa05\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['an empty line before the size', chunked('\r\n5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['an extension in front of the size', chunked(';a=b5\r\nhello\r\n0\r\n\r\n'), 'chunk_invalid'],
  ]);
});

describe('where a chunk ends', () => {
  refuseEach(TARGET, [
    ['TERM.SPILL: a bare LF behind the data', chunked(`5\r\nhello\n30\r\n0\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['SPILL.TERM: any two bytes behind the data', chunked(`5\r\nhelloxx30\r\n0\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['one byte too many', chunked('5\r\nhellox\r\n0\r\n\r\n'), 'chunk_invalid'],
    ['a bare CR behind the data', chunked('5\r\nhello\r0\r\n\r\n'), 'chunk_invalid'],
    ['LF CR behind the data', chunked('5\r\nhello\n\r0\r\n\r\n'), 'chunk_invalid'],
    ['nothing behind the data', chunked('5\r\nhello0\r\n\r\n'), 'chunk_invalid'],
    ['spaces behind the data', chunked('5\r\nhello  \r\n0\r\n\r\n'), 'chunk_invalid'],
  ]);
});

describe('where the body ends', () => {
  refuseEach(TARGET, [
    ['a bare LF behind the last size', chunked(`0\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['a bare LF for the empty line', chunked(`0\r\n\n${SMUGGLED}`), 'chunk_invalid'],
    ['two bare LF', chunked(`0\n\n${SMUGGLED}`), 'chunk_invalid'],
    ['a bare CR for the empty line', chunked('0\r\n\rx\r\n'), 'chunk_invalid'],
    ['an empty size instead of 0 (Go #64517)', chunked(`\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['a request instead of the empty line', chunked(`0\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['a space instead of the empty line', chunked('0\r\n \r\n\r\n'), 'chunk_invalid'],
    ['a second body behind a last size with a sign', chunked(`-0\r\n\r\n${SMUGGLED}`), 'chunk_invalid'],
  ]);
});

describe('trailers', () => {
  refuseEach(TARGET, [
    ['a bare LF', chunked('0\r\nx: 1\n\r\n'), 'chunk_invalid'],
    ['a bare CR within', chunked('0\r\nx: 1\r2\r\n\r\n'), 'chunk_invalid'],
    ['a fold', chunked('0\r\nx: 1\r\n 2\r\n\r\n'), 'chunk_invalid'],
    ['a space before the colon', chunked('0\r\nx : 1\r\n\r\n'), 'chunk_invalid'],
    ['an empty name', chunked('0\r\n: 1\r\n\r\n'), 'chunk_invalid'],
    ['a NUL', chunked('0\r\nx: \0\r\n\r\n'), 'chunk_invalid'],
    ['too many bytes', chunked(`0\r\nx: ${'a'.repeat(LIMITS.trailerBytesMax)}\r\n\r\n`), 'chunk_invalid'],
  ]);
  disarmEach(TARGET, [
    ['Content-Length', chunked('0\r\ncontent-length: 5\r\nx: evil\r\n\r\n')], ['Transfer-Encoding', chunked('0\r\ntransfer-encoding: evil\r\n\r\n')], ['Host', chunked('0\r\nhost: evil.test\r\n\r\n')],
    ['Authorization', chunked('0\r\nauthorization: Bearer evil\r\n\r\n')], ['X-Forwarded-For', chunked('0\r\nx-forwarded-for: evil\r\n\r\n')], ['Cookie', chunked('0\r\ncookie: evil\r\n\r\n')],
  ]);
});

describe('what may be there is not handed on', () => {
  disarmEach(TARGET, [
    ['an extension', chunked('5;evil\r\nhello\r\n0\r\n\r\n')], ['an extension with a value', chunked('5;a=evil\r\nhello\r\n0\r\n\r\n')], ['an extension in quotes', chunked('5;a="evil;\\""\r\nhello\r\n0\r\n\r\n')],
    ['an extension of the last chunk', chunked('5\r\nhello\r\n0;evil=1\r\n\r\n')], ['sixteen zeros for the end', chunked('5\r\nhello\r\n0000000000000000\r\nx: evil\r\n\r\n')],
    ['letters of both cases', chunked(`A\r\n0123456789\r\na;evil\r\n0123456789\r\n0\r\n\r\n`)],
  ]);
  refuseEach(TARGET, [
    ['little content in much extension (CVE-2023-39326)', chunked(`${`1;${'a'.repeat(LIMITS.chunkExtensionBytesMax - 1)}\r\nx\r\n`.repeat(LIMITS.chunkExtensionBytesTotalMax / LIMITS.chunkExtensionBytesMax + 1)}0\r\n\r\n`), 'chunk_invalid'],
  ]);
});
