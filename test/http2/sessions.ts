/** Arbitrary sessions of a client: well-formed ones, and what becomes of them when frames and bytes are changed. */
import * as fc from 'fast-check';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {data, frame, indexedLiterals, literals, ping, priorityUpdate, reset, settings, windowUpdate, type Fields} from '#test/http2/frames.ts';

export const FIELD_NAME = fc.constantFrom('x-a', 'x-b', 'accept', 'cookie', 'user-agent', 'x-long-name-of-a-field', 'range');
export const FIELD_VALUE = fc.constantFrom('', '1', 'a, b', 'a\tb', '\xe4\xff', 'x: y', '"q"', 'v'.repeat(200));
const FIELDS = fc.array(fc.tuple(FIELD_NAME, FIELD_VALUE), {maxLength: 6});
export const CONTENT = fc.constantFrom('', 'a', 'hello', '\r\n', '0\r\n\r\n', 'x'.repeat(5000));
export const METHOD = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND');
export const PATH = fc.constantFrom('/', '/a/b?c=d', '/%2e%2e/', '/a;b', '/|^{}"', '/\\');

export interface GeneratedRequest {
  readonly method: string;
  readonly path: string;
  readonly fields: Fields;
  /** `:path` comes behind the fields. */
  readonly isPathLate: boolean;
  /** Pieces that make a frame each; null: the head is the end. */
  readonly content: readonly string[] | null;
  readonly trailers: boolean;
  readonly padding: number;
  readonly isIndexed: boolean;
  /** Bytes of the block in the first frame; the rest follows in another one. */
  readonly cut: number;
}

export const REQUEST = fc.record<GeneratedRequest>({
  method: METHOD,
  path: PATH,
  fields: FIELDS,
  isPathLate: fc.constant(false),
  content: fc.option(fc.array(CONTENT, {maxLength: 3})),
  trailers: fc.boolean(),
  padding: fc.constantFrom(0, 0, 0, 1, 255),
  isIndexed: fc.boolean(),
  cut: fc.constantFrom(10_000, 10_000, 0, 1, 20),
});

/** The frames of one request, in their order. */
export function framesOf(streamId: number, request: GeneratedRequest): Buffer[] {
  const {method, path, fields, isPathLate, content, trailers, padding, isIndexed, cut} = request;
  const pathField = [':path', path] as const;
  const all: Fields = [[':method', method], [':scheme', 'https'], [':authority', 'a.example'], ...(isPathLate ? [...fields, pathField] : [pathField, ...fields])];
  const block = isIndexed ? indexedLiterals(all) : literals(all);
  const end = content === null ? FLAG.END_STREAM : 0;
  const first = block.subarray(0, cut);
  const rest = block.subarray(cut);
  const head = [frame(FRAME.HEADERS, end | pad(padding) | (rest.length === 0 ? FLAG.END_HEADERS : 0), streamId, padded(first, padding))];
  if (rest.length > 0) head.push(frame(FRAME.CONTINUATION, FLAG.END_HEADERS, streamId, rest));
  if (content === null) return [Buffer.concat(head)];
  const pieces = content.map((text, i) => data(streamId, padded(Buffer.from(text, 'latin1'), padding), pad(padding) | (i === content.length - 1 && !trailers ? FLAG.END_STREAM : 0)));
  if (trailers) pieces.push(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, streamId, literals([['x-trailer', '1']])));
  else if (pieces.length === 0) pieces.push(data(streamId, '', FLAG.END_STREAM));
  return [Buffer.concat(head), ...pieces];
}

function pad(padding: number): number {
  return padding > 0 ? FLAG.PADDED : 0;
}

function padded(payload: Buffer, padding: number): Buffer {
  return padding === 0 ? payload : Buffer.concat([Buffer.of(padding), payload, Buffer.alloc(padding)]);
}

const BETWEEN = fc.constantFrom(
  Buffer.alloc(0), ping(), settings({INITIAL_WINDOW_SIZE: 100_000}), settings({HEADER_TABLE_SIZE: 0}), windowUpdate(0, 1000), frame(0x63, 0xff, 0, Buffer.of(1)),
  frame(FRAME.PRIORITY, 0, 9, Buffer.alloc(5)), priorityUpdate(9, 'u=1, i'),
);

export interface GeneratedSession {
  readonly requests: readonly GeneratedRequest[];
  readonly frames: readonly Buffer[];
}

/** Requests whose frames are mixed as the numbers say, with other frames between. */
function makeSession(request: fc.Arbitrary<GeneratedRequest>): fc.Arbitrary<GeneratedSession> {
  return fc.tuple(fc.array(request, {minLength: 1, maxLength: 5}), fc.array(fc.nat(4), {maxLength: 20}), fc.array(BETWEEN, {maxLength: 20}))
    .map(([requests, turns, between]) => ({requests, frames: interleave(requests, turns, between)}));
}

export const SESSION = makeSession(REQUEST);

function interleave(requests: readonly GeneratedRequest[], turns: readonly number[], between: readonly Buffer[]): Buffer[] {
  const waiting = requests.map((request, i) => framesOf(2 * i + 1, request));
  const frames: Buffer[] = [];
  let opened = 0;
  for (let step = 0; waiting.some((queue) => queue.length > 0); step++) {
    // A stream with a higher number closes those below it that are idle, so heads keep their order.
    const wanted = (turns[step] ?? 0) % requests.length;
    const chosen = wanted > opened || waiting[wanted]?.length === 0 ? waiting.findIndex((queue) => queue.length > 0) : wanted;
    if (chosen >= opened) opened = chosen + 1;
    frames.push(waiting[chosen]?.shift() ?? Buffer.alloc(0), between[step] ?? Buffer.alloc(0));
  }
  return frames;
}

/** What a client would do on purpose or by mistake. */
const OFFENCE = fc.oneof(
  fc.constantFrom(
    reset(1), reset(3), data(1, 'x'), data(3, 'x', FLAG.END_STREAM), windowUpdate(1, 0), windowUpdate(0, 0x7fff_ffff), settings({ENABLE_PUSH: 1}), data(1, ''),
    frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, literals([['x-trailer', '1']])), frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 1),
    frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8)), frame(FRAME.SETTINGS, FLAG.ACK, 0), ping(FLAG.ACK), frame(FRAME.PUSH_PROMISE, 0, 1, Buffer.alloc(4)),
  ),
  fc.tuple(fc.nat(17), fc.nat(255), fc.nat(5), fc.uint8Array({maxLength: 20})).map(([type, flags, streamId, payload]) => frame(type, flags, streamId, payload)),
  fc.uint8Array({minLength: 1, maxLength: 20}).map((bytes) => Buffer.from(bytes)),
);

/** A session's frames after up to three edits, each anywhere. */
export function editFrames(sessions: fc.Arbitrary<{readonly frames: readonly Buffer[]}>, offences: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const edit = fc.record({at: fc.double({min: 0, max: 1, noNaN: true}), kind: fc.constantFrom('insert', 'insert', 'drop', 'double', 'flip'), offence: offences, byte: fc.nat(255)});
  return fc.tuple(sessions, fc.array(edit, {maxLength: 3})).map(([{frames}, edits]) => {
    const edited = [...frames];
    for (const {at, kind, offence, byte} of edits) {
      const index = Math.floor(at * edited.length);
      const target = edited[index] ?? Buffer.alloc(0);
      if (kind === 'insert') edited.splice(index, 0, offence);
      else if (kind === 'drop') edited.splice(index, 1);
      else if (kind === 'double') edited.splice(index, 0, target);
      else if (target.length > 0) {
        const flipped = Buffer.from(target);
        flipped[Math.floor(((at * 1000) % 1) * flipped.length)] = byte;
        edited[index] = flipped;
      }
    }
    return Buffer.concat(edited);
  });
}

export const EDITED_SESSION = editFrames(SESSION, OFFENCE);

/** Fields that no request may have, or not behind others (RFC 9113 §8.2, §8.3). */
const FORBIDDEN_FIELD = fc.constantFrom<Fields[number]>(
  ['X-a', '1'], ['Cookie', 'a=b'], ['transfer-encoding', 'chunked'], ['connection', 'close'], ['upgrade', 'h2c'], ['keep-alive', '1'], ['te', 'gzip'],
  [':path', '/late'], [':method', 'GET'], [':scheme', 'https'], [':authority', 'b.example'], [':status', '200'], [':evil', '1'], ['x-a', 'b\r\nx-evil: 1'], ['x-a', 'b\0'],
  ['content-length', '-1'],
);

const SPOILT_REQUEST = fc.tuple(REQUEST, fc.nat(10), fc.option(FORBIDDEN_FIELD, {freq: 3}), fc.constantFrom(false, false, false, true))
  .map(([request, at, forbidden, isPathLate]): GeneratedRequest => {
    const {fields} = request;
    const place = at % (fields.length + 1);
    return {...request, isPathLate, fields: forbidden === null ? fields : [...fields.slice(0, place), forbidden, ...fields.slice(place)]};
  });

/** Most of their requests are malformed by a field, or by the order of their fields. */
export const SPOILT_SESSION = makeSession(SPOILT_REQUEST).map(({frames}) => Buffer.concat(frames));
