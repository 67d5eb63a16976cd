/** RFC 9112 §6.3 as a table: every combination of what a head can say, in both directions. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
  BODY_CHUNKED, BODY_INVALID, BODY_UNTIL_CLOSE, LENGTH_ABSENT, LENGTH_INVALID, frameBody, isBodiless, parseContentLength,
  parseTransferEncoding, type TransferEncoding,
} from '#src/http1/framing.ts';

const ENCODINGS: readonly TransferEncoding[] = ['absent', 'chunked', 'invalid'];
const LENGTHS = [LENGTH_ABSENT, LENGTH_INVALID, 0, 7];

test('every combination of role, version, coding, length and bodiless', () => {
  for (const role of ['request', 'response'] as const) {
    for (const minorVersion of [0, 1]) {
      for (const transferEncoding of ENCODINGS) {
        for (const contentLength of LENGTHS) {
          for (const bodiless of [false, true]) {
            const actual = frameBody({role, minorVersion, transferEncoding, contentLength}, bodiless);
            const text = `${role} HTTP/1.${minorVersion} ${transferEncoding} ${contentLength} ${bodiless}`;
            assert.equal(actual, expected(text), text);
          }
        }
      }
    }
  }
});

/** The first row that matches decides. */
function expected(text: string): number | undefined {
  const rows: readonly (readonly [RegExp, number])[] = [
    [/ invalid /, BODY_INVALID],
    [/ -2 /, BODY_INVALID],
    [/ chunked (?!-1)/, BODY_INVALID],
    [/\.0 chunked/, BODY_INVALID],
    [/ true$/, 0],
    [/ chunked/, BODY_CHUNKED],
    [/ 7 /, 7],
    [/ 0 /, 0],
    [/^request/, 0],
    [/^response/, BODY_UNTIL_CLOSE],
  ];
  return rows.find(([pattern]) => pattern.test(text))?.[1];
}

test('which responses have no body', () => {
  for (const status of [100, 101, 103, 199, 204, 304]) assert.equal(isBodiless('GET', status), true, String(status));
  for (const status of [200, 201, 205, 206, 301, 400, 404, 500]) {
    assert.equal(isBodiless('GET', status), false, String(status));
    assert.equal(isBodiless('HEAD', status), true, `HEAD ${status}`);
  }
  for (const method of ['POST', 'OPTIONS', 'head', 'HEADER']) assert.equal(isBodiless(method, 200), false, method);
});

test('a Content-Length is digits and a safe integer', () => {
  assert.equal(parseContentLength('0'), 0);
  assert.equal(parseContentLength('0000000000000012'), 12);
  assert.equal(parseContentLength(String(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER);
  for (const text of ['', ' 1', '1 ', '1\n', '+1', '-1', '1.0', '1e3', '0x1', '1,1', '00000000000000012', '9007199254740992', '9007199254740993', '9999999999999999', '/', ':', '\u0661']) {
    assert.equal(parseContentLength(text), LENGTH_INVALID, JSON.stringify(text));
  }
});

test('a Transfer-Encoding is the word chunked', () => {
  for (const text of ['chunked', 'CHUNKED', 'cHuNkEd']) assert.equal(parseTransferEncoding(text), 'chunked');
  for (const text of ['', 'chunked ', ' chunked', 'chunked\n', 'chunked,', 'gzip', 'x-chunked', 'chunke', 'chun\u212aed']) {
    assert.equal(parseTransferEncoding(text), 'invalid', JSON.stringify(text));
  }
});
