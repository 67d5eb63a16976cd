/** Arbitrary messages for fuzzing: valid ones, and what becomes of them when bytes are changed, left out, doubled or put in. */
import * as fc from 'fast-check';

const TOKEN = fc.constantFrom('x-a', 'X-B', 'accept', 'Cookie', 'x_y', 'user-agent', 'te', 'x-forwarded-for');
const BLANKS = fc.constantFrom('', ' ', ' ', ' ', '\t', ' \t ');
const VALUE = fc.constantFrom('', '1', 'a, b', 'a\tb', '\xe4\xff', 'x: y', '"q"');
const FIELD_LINE = fc.tuple(TOKEN, BLANKS, VALUE, BLANKS).map(([name, before, value, after]) => `${name}:${before}${value}${after}\r\n`);
const CONNECTION = fc.constantFrom('', '', '', 'connection: keep-alive\r\n', 'Connection: close\r\n', 'connection: x-a, TE\r\n');
const FIELDS = fc.tuple(fc.array(FIELD_LINE, {maxLength: 5}), CONNECTION).map(([lines, connection]) => lines.join('') + connection);
const CONTENT = fc.constantFrom('', 'a', 'hello', '\r\n', '0\r\n\r\n', 'GET /evil HTTP/1.1\r\nhost: e\r\n\r\n');

const CHUNK_EXTENSION = fc.constantFrom('', '', '', ';a', ';a=b', ';a="b c"');
const CHUNK = fc.tuple(CONTENT.filter((content) => content !== ''), CHUNK_EXTENSION, fc.constantFrom('', '0', '000'))
  .map(([content, extension, zeros]) => `${zeros}${content.length.toString(16)}${extension}\r\n${content}\r\n`);
export const CHUNKED = fc.tuple(fc.array(CHUNK, {maxLength: 3}), CHUNK_EXTENSION, fc.constantFrom('', '', 'x-t: 1\r\n'))
  .map(([chunks, extension, trailers]) => `${chunks.join('')}0${extension}\r\n${trailers}\r\n`);

/** The end of a head with its framing fields, and the body. */
const FRAMED = fc.oneof(
  fc.constant('\r\n'),
  CONTENT.map((content) => `content-length: ${content.length}\r\n\r\n${content}`),
  CONTENT.map((content) => `Content-Length:0${content.length}\r\n\r\n${content}`),
  CHUNKED.map((body) => `transfer-encoding: chunked\r\n\r\n${body}`),
  CHUNKED.map((body) => `Transfer-Encoding:\tChunked \r\n\r\n${body}`),
);

const REQUEST_LINE = fc.tuple(
  fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PROPFIND'),
  fc.constantFrom('/', '/a/b?c=d', '/%2e%2e/', '/a;b', '/\x7c^{}"', 'http://a.example/', '*'),
  fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
).map(([method, target, version]) => `${method} ${target} HTTP/${version}\r\n`);
const HOST = fc.constantFrom('host: a.example\r\n', 'Host:a.example:8080 \r\n', 'HOST: [::1]\r\n');

export const REQUEST = fc.tuple(REQUEST_LINE, FIELDS, HOST, FIELDS, FRAMED).map((parts) => parts.join(''));
export const REQUESTS = fc.array(REQUEST, {minLength: 1, maxLength: 3}).map((messages) => messages.join(''));

const STATUS_LINE = fc.constantFrom('HTTP/1.1 200 OK\r\n', 'HTTP/1.0 404 \r\n', 'HTTP/1.1 204\r\n', 'HTTP/1.1 304 Not Modified\r\n', 'HTTP/1.1 500 \xe4\r\n');
const INTERIM = fc.constantFrom('', '', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n');
export const RESPONSE = fc.tuple(INTERIM, STATUS_LINE, FIELDS, FRAMED).map((parts) => parts.join(''));

/** What parsers stumble over. */
const SPLINTER = fc.oneof(
  fc.constantFrom('\r', '\n', '\r\n', '\n\n', '\r\n\r\n', ' ', '\t', ' \r\n', '\r\n ', '\x00', '\x0b', '\x7f', '\x80', '\xa0', ':', ';', ',', '_', '0', 'f', '-', '+', '/', '#', '\\'),
  fc.constantFrom('transfer-encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'content-length: 3\r\n', 'content-length : 3\r\n', 'host: b\r\n', 'chunked', 'HTTP/1.1', '0\r\n\r\n'),
  fc.integer({min: 0, max: 255}).map((byte) => String.fromCharCode(byte)),
);

/** `at` and `length` are fractions of the message, so that a smaller message does not change what a smaller counterexample does. */
const EDIT = fc.record({at: fc.double({min: 0, max: 1, noNaN: true}), length: fc.constantFrom(0, 0, 0, 1, 1, 2, 9), insert: fc.oneof(fc.constant(''), SPLINTER)});

/** The message after up to three edits, as bytes. */
export function mutate(message: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  return fc.tuple(message, fc.array(EDIT, {maxLength: 3})).map(([text, edits]) => {
    let edited = text;
    for (const {at, length, insert} of edits) {
      const start = Math.floor(at * edited.length);
      edited = edited.slice(0, start) + insert + edited.slice(start + length);
    }
    return Buffer.from(edited, 'latin1');
  });
}

/** Places to cut a message at, as fractions of its length. */
export const CUTS = fc.array(fc.double({min: 0, max: 1, noNaN: true}), {maxLength: 6});

export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((place, i) => bytes.subarray(places[i], place));
}
