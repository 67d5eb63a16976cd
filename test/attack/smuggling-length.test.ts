/**
 * Request smuggling by what says how long a request is: CL.TE, TE.CL, TE.TE, CL.0 and 0.CL. James Kettle (PortSwigger): "HTTP Desync Attacks:
 * Request Smuggling Reborn" (2019), "Browser-Powered Desync Attacks" (2022), "HTTP/1.1 must die: the desync endgame" (2025); Amit Klein: "HTTP
 * Request Smuggling in 2020"; the HTTP Garden (Kallus et al., 2024). What is named below was a hole of a server or proxy that is in use.
 */
import assert from 'node:assert/strict';
import {after, describe, test} from 'node:test';
import {HOST, SMUGGLED, disarmEach, get, post, refuseEach} from '#test/attack/requests.ts';
import {disarm, type Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

describe('framing that two servers could read in two ways', () => {
  refuseEach(TARGET, [
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

describe('TE.TE: an encoding that one of two servers does not see', () => {
  const values: readonly (readonly [what: string, value: string])[] = [
    ['a letter in front', 'xchunked'], ['a part of the word', 'chunk'], ['a digit behind', 'chunked1'], ['single quotes', "'chunked'"], ['identity behind', 'chunked, identity'],
    ['identity in front', 'identity, chunked'], ['another word behind', 'chunked, cow'], ['an empty member in front', ', chunked'], ['an empty member behind', 'chunked,'],
    ['words around', 'cow chunked bar'], ['a no-break space around, which Python strips (Tornado, GHSA-753j-mpmx-qq6g)', '\xa0chunked\xa0'], ['NEL in front', '\x85chunked'],
    ['0xff in front', '\xffchunked'], ['a letter of Latin-1 within', 'ch\xfcnked'], ['a semicolon behind', 'chunked;'], ['a backslash', 'chunked\\'], ['trailers behind', 'chunked trailers'],
  ];
  refuseEach(TARGET, values.map(([what, value]) => [what, post(`transfer-encoding: ${value}\r\ncontent-length: 4\r\n`, `5c\r\n${SMUGGLED}`), 'framing_invalid'] as const));
  refuseEach(TARGET, values.slice(0, 6).map(([what, value]) => [`${what}, without a length`, post(`transfer-encoding: ${value}\r\n`, `0\r\n\r\n${SMUGGLED}`), 'framing_invalid'] as const));

  const lines: readonly (readonly [what: string, line: string])[] = [
    ['a space before the colon (Go CVE-2019-16276, llhttp CVE-2021-22959)', 'transfer-encoding : chunked'], ['a tab before the colon', 'transfer-encoding\t: chunked'],
    ['a space for the hyphen', 'transfer encoding: chunked'], ['a form feed before the value', 'transfer-encoding:\x0cchunked'], ['a CR behind the value', 'transfer-encoding: chunked\r'],
    ['a CR within the name', 'transfer\r-encoding: chunked'], ['a byte beyond ASCII within the name', 'transf\x82r-encoding: chunked'], ['a NUL behind the name', 'transfer-encoding\0: chunked'],
    ['behind a bare LF (llhttp CVE-2023-30589)', 'x: x\ntransfer-encoding: chunked'], ['behind a bare CR (llhttp CVE-2022-32214)', 'x: x\rtransfer-encoding: chunked'],
    ['behind a NUL and a bare CR', 'x: v\0\rtransfer-encoding: chunked'], ['behind a fold', 'x: x\r\n\ttransfer-encoding: chunked'], ['behind an empty name (HAProxy CVE-2023-25725)', ': x\r\ntransfer-encoding: chunked'],
    ['after CR CR LF', 'x: x\r\r\ntransfer-encoding: chunked'], ['a bare LF behind the value', 'transfer-encoding: chunked\nx: x'], ['a blank line of a space in front', ' \r\ntransfer-encoding: chunked'],
  ];
  refuseEach(TARGET, lines.map(([what, text]) => [what, post(`content-length: 4\r\n${text}\r\n`, `5c\r\n${SMUGGLED}`), 'field_invalid'] as const));
  refuseEach(TARGET, [
    ['a blank before the first name', `POST / HTTP/1.1\r\n transfer-encoding: chunked\r\n${HOST}\r\n0\r\n\r\n${SMUGGLED}`, 'field_invalid'],
    ['identity, then chunked', post('transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['chunked, then identity', post('transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n', '0\r\n\r\n'), 'framing_invalid'],
    ['chunked and a length of 0', post('transfer-encoding: chunked\r\ncontent-length: 0\r\n', `0\r\n\r\n${SMUGGLED}`), 'framing_invalid'],
    ['chunked of a GET with a length', get('content-length: 5\r\ntransfer-encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`), 'framing_invalid'],
  ]);
});

describe('lengths that one of two servers reads otherwise', () => {
  const values: readonly (readonly [what: string, value: string])[] = [
    ['an underscore, which Python reads (aiohttp, Gunicorn, Tornado 2023)', '1_0'], ['a comma behind', '5,'], ['a comma in front', ',5'], ['a parameter', '5;a=b'], ['an exponent', '1e1'], ['quotes', '"5"'],
    ['a binary prefix', '0b101'], ['an octal prefix', '0o5'], ['two numbers with a tab', '5\t5'], ['a no-break space', '\xa05'], ['digits of another script', '\xd9\xa5'], ['twenty digits', '00000000000000000005'],
    ['a minus and a zero', '-0'], ['a point', '.5'], ['a unit', '5b'],
  ];
  refuseEach(TARGET, values.map(([what, value]) => [what, post(`content-length: ${value}\r\n`, `hello${SMUGGLED}`), 'framing_invalid'] as const));
  refuseEach(TARGET, [
    ['an empty one, then a good one (HAProxy CVE-2023-40225)', post('content-length:\r\ncontent-length: 38\r\n', SMUGGLED), 'framing_invalid'],
    ['a good one, then an empty one', post('content-length: 38\r\ncontent-length:\r\n', SMUGGLED), 'framing_invalid'],
    ['0, then a good one', post('content-length: 0\r\ncontent-length: 38\r\n', SMUGGLED), 'framing_invalid'],
    ['a space before the colon (OpenLiteSpeed CVE-2023-40518)', post('content-length : 38\r\n', SMUGGLED), 'field_invalid'],
    ['a vertical tab before the colon', post('content-length\x0b: 38\r\n', SMUGGLED), 'field_invalid'],
    ['a NUL before the colon', post('content-length\0: 38\r\n', SMUGGLED), 'field_invalid'],
    ['a vertical tab before the value', post('content-length:\x0b38\r\n', SMUGGLED), 'field_invalid'],
    ['hidden behind a fold (0.CL)', get('content-length:\r\n 38\r\n', SMUGGLED), 'field_invalid'],
    ['hidden behind an empty name (0.CL)', get(': x\r\ncontent-length: 38\r\n', SMUGGLED), 'field_invalid'],
  ]);

  test('a name that overflows a byte, before a length (HAProxy CVE-2021-40346)', async (context) => {
    const request = await disarm(context, TARGET, post(`content-length0${'a'.repeat(255)}:\r\ncontent-length: ${SMUGGLED.length}\r\n`, SMUGGLED.replace('evil', 'good')));
    assert.equal(request.body, SMUGGLED.replace('evil', 'good'));
  });

  test('zeros in front, which C reads as octal: ten bytes are ten bytes', async (context) => {
    assert.equal((await disarm(context, TARGET, post('content-length: 010\r\n', '0123456789'))).body, '0123456789');
  });
});

describe('CL.0: a body where nobody expects one is content, framed by Torwart', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT', 'PATCH', 'PROPFIND', 'X']) {
    for (const framing of ['length', 'chunks'] as const) {
      test(`${method} with ${framing}`, async (context) => {
        const body = framing === 'length' ? `content-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}` : `transfer-encoding: chunked\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;
        const request = await disarm(context, TARGET, `${method} / HTTP/1.1\r\n${HOST}${body}`, /\n(?!GET \/evil HTTP\/1\.1\r\nhost: acme\.test\r\n\r\n$)GET/);
        assert.equal(request.body, SMUGGLED);
      });
    }
  }
  refuseEach(TARGET, [['get, which is GET to some', `get / HTTP/1.1\r\n${HOST}content-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, 'method_refused']]);
});

describe('0.CL: what others may take for a length or an encoding does not reach them', () => {
  disarmEach(TARGET, [
    ['an underscore in Content_Length', get('content_length: evil38\r\n')], ['a point in Content.Length', get('content.length: evil38\r\n')], ['an underscore in Transfer_Encoding', get('transfer_encoding: evil, chunked\r\n')],
    ['a trailing underscore', get('content-length_: evil38\r\n')], ['TE', get('te: evil, chunked\r\n')], ['Trailer', get('trailer: evil, content-length\r\n')],
    ['Keep-Alive', get('keep-alive: evil\r\n')], ['Proxy-Connection', get('proxy-connection: evil, keep-alive\r\n')],
  ]);
});
