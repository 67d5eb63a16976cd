/** Arbitrary sessions of an application: well-formed ones, and what becomes of them when frames and bytes are changed. */
import * as fc from 'fast-check';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {data, frame, indexedLiterals, literals, ping, reset, settings, windowUpdate, type Fields} from '#test/http2/frames.ts';
import {CONTENT, FIELD_NAME, FIELD_VALUE, editFrames} from '#test/http2/sessions.ts';

interface GeneratedResponse {
  readonly status: string;
  readonly interims: readonly string[];
  readonly fields: Fields;
  readonly content: readonly string[] | null;
  readonly trailers: boolean;
  readonly isIndexed: boolean;
  readonly cut: number;
}

const RESPONSE = fc.record<GeneratedResponse>({
  status: fc.constantFrom('200', '200', '404', '503'),
  interims: fc.array(fc.constantFrom('100', '103'), {maxLength: 2}),
  fields: fc.array(fc.tuple(FIELD_NAME, FIELD_VALUE), {maxLength: 6}),
  content: fc.option(fc.array(CONTENT, {maxLength: 3})),
  trailers: fc.boolean(),
  isIndexed: fc.boolean(),
  cut: fc.constantFrom(10_000, 10_000, 0, 1, 20),
});

/** The frames of one response, in their order; an interim one and a block that is cut are one piece each. */
function framesOf(streamId: number, {status, interims, fields, content, trailers, isIndexed, cut}: GeneratedResponse): Buffer[] {
  const all: Fields = [[':status', status], ...fields];
  const block = isIndexed ? indexedLiterals(all) : literals(all);
  const end = content === null ? FLAG.END_STREAM : 0;
  const rest = block.subarray(cut);
  const head = [frame(FRAME.HEADERS, end | (rest.length === 0 ? FLAG.END_HEADERS : 0), streamId, block.subarray(0, cut))];
  if (rest.length > 0) head.push(frame(FRAME.CONTINUATION, FLAG.END_HEADERS, streamId, rest));
  const pieces = [...interims.map((interim) => frame(FRAME.HEADERS, FLAG.END_HEADERS, streamId, literals([[':status', interim]]))), Buffer.concat(head)];
  if (content === null) return pieces;
  pieces.push(...content.map((text) => data(streamId, text)));
  pieces.push(trailers ? frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, streamId, literals([['x-trailer', '1']])) : data(streamId, '', FLAG.END_STREAM));
  return pieces;
}

const BETWEEN = fc.constantFrom(
  Buffer.alloc(0), ping(), settings({INITIAL_WINDOW_SIZE: 100_000}), settings({HEADER_TABLE_SIZE: 0}), windowUpdate(0, 1000), frame(0x63, 0xff, 0, Buffer.of(1)), windowUpdate(1, 10),
);

/** Responses to the requests on the streams 1, 3 and so on, whose frames are mixed as the numbers say, with other frames between. */
export const RESPONSES = fc.tuple(fc.array(RESPONSE, {minLength: 1, maxLength: 5}), fc.array(fc.nat(4), {maxLength: 30}), fc.array(BETWEEN, {maxLength: 20}))
  .map(([responses, turns, between]) => {
    const waiting = responses.map((response, i) => framesOf(2 * i + 1, response));
    const frames: Buffer[] = [];
    for (let step = 0; waiting.some((queue) => queue.length > 0); step++) {
      const wanted = waiting[(turns[step] ?? 0) % responses.length];
      const chosen = wanted === undefined || wanted.length === 0 ? waiting.find((queue) => queue.length > 0) : wanted;
      frames.push(chosen?.shift() ?? Buffer.alloc(0), between[step] ?? Buffer.alloc(0));
    }
    return {responses, frames};
  });

/** What an application would do on purpose or by mistake. */
const OFFENCE = fc.oneof(
  fc.constantFrom(
    reset(1), reset(3, 7), data(1, 'x'), data(3, 'x', FLAG.END_STREAM), windowUpdate(1, 0), windowUpdate(0, 0x7fff_ffff), settings({ENABLE_PUSH: 1}), data(1, ''),
    frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, literals([['x-trailer', '1']])), frame(FRAME.HEADERS, FLAG.END_HEADERS, 2, literals([[':status', '200']])),
    frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8)), frame(FRAME.GOAWAY, 0, 0, Buffer.of(0, 0, 0, 3, 0, 0, 0, 0)), frame(FRAME.SETTINGS, FLAG.ACK, 0), ping(FLAG.ACK),
    frame(FRAME.PUSH_PROMISE, FLAG.END_HEADERS, 1, Buffer.alloc(4)), frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, literals([[':status', '200'], ['transfer-encoding', 'chunked']])),
  ),
  fc.tuple(fc.nat(17), fc.nat(255), fc.nat(11), fc.uint8Array({maxLength: 20})).map(([type, flags, streamId, payload]) => frame(type, flags, streamId, payload)),
  fc.uint8Array({minLength: 1, maxLength: 20}).map((bytes) => Buffer.from(bytes)),
);

export const EDITED_RESPONSES = editFrames(RESPONSES, OFFENCE);
