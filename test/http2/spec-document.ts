/**
 * Reads the documents in `spec/`, as `test/support/spec-document.ts` describes them. The input is frames:
 *
 *     ```client                         (preface, settings and their acknowledgement go before; not with `client bare`)
 *     HEADERS 1 END_STREAM END_HEADERS
 *       :method: GET                    fields: literals without indexing; `=:method: GET` enters the table
 *     DATA 1 END_STREAM "text"          or hex(00 ff), u8(1), u16(2), u32(3), in any number
 *     FRAME 0x63 0 0x01 "text"          any type, stream and flags; `RAW hex(00)` is no frame at all
 *     ```
 *     ```events
 *     request 1 GET / for a.example, body 0
 *     > RST_STREAM 1 PROTOCOL_ERROR
 *     ```
 *
 * ```server holds what an application sends after it has been asked: see `ApplicationPeer.asked`; `@ok 1` stands for its 200. Bare: before all.
 *
 * `@request 1` stands for the fields of a plain GET, `@upload 1` for those of a POST that has content. A line `> …` is a frame that the client
 * reads: they come after the events. A row of a table has the lines that it leads to among others, separated by `;`.
 */
import assert from 'node:assert/strict';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {POST, REQUEST, frame, indexedLiterals, literals, opening, uint32, type Fields} from '#test/http2/frames.ts';
import {parseSections, repeat, unescape, type SpecSection} from '#test/support/spec-document.ts';

export interface SpecCase {
  readonly name: string;
  readonly bytes: Buffer;
  /** All of them; null where only `outcome` is given. */
  readonly events: readonly string[] | null;
  readonly outcome: readonly string[];
  /** Nothing goes before the bytes. */
  readonly isBare: boolean;
}

export function parseDocument(text: string): SpecCase[] {
  return parseSections(text).flatMap(readCases);
}

function readCases({heading, info, input, events, rows}: SpecSection): SpecCase[] {
  assert.match(info, /^(?:client|server)(?: bare)?$/, `"${info}" is unknown`);
  const isBare = info.endsWith(' bare');
  const build = (lines: readonly string[]): Buffer => Buffer.concat([info === 'client' ? opening() : Buffer.alloc(0), encode(lines)]);
  if (events !== null) return [{name: heading, bytes: build(input), events: events.map(repeat), outcome: [], isBare}];
  return rows.map(({name, value, outcome}) => ({
    name,
    bytes: build(input.flatMap((line) => repeat(line.replaceAll('{value}', () => value)).split('\\l'))),
    events: null,
    outcome: outcome.split(';').map((line) => repeat(line.trim())),
    isBare,
  }));
}

/** Lines that are indented belong to the frame before them. */
function encode(lines: readonly string[]): Buffer {
  const frames: {head: string; fields: string[]}[] = [];
  for (const line of lines.map(repeat).filter((text) => text !== '')) {
    if (!line.startsWith('  ')) frames.push({head: line, fields: []});
    else frames.at(-1)?.fields.push(line.slice(2));
  }
  return Buffer.concat(frames.map(({head, fields}) => encodeFrame(head, fields)));
}

function encodeFrame(head: string, lines: readonly string[]): Buffer {
  const fields = Buffer.concat(lines.map(encodeField));
  const [words, atoms] = splitHead(head);
  const payload = Buffer.concat([...encodeAtoms(atoms), fields]);
  const [type = '', ...rest] = words.trim().split(/ +/);
  if (type === 'RAW') return payload;
  if (type === '@request') return frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, Number(rest[0]), Buffer.concat([literals(REQUEST), fields]));
  if (type === '@upload') return frame(FRAME.HEADERS, FLAG.END_HEADERS, Number(rest[0]), Buffer.concat([literals(POST), fields]));
  if (type === '@ok') return frame(FRAME.HEADERS, FLAG.END_HEADERS, Number(rest[0]), Buffer.concat([literals([[':status', '200']]), fields]));
  if (type === 'FRAME') return frame(Number(rest[0]), Number(rest[2] ?? 0), Number(rest[1] ?? 0), payload);
  const number = (FRAME as Readonly<Record<string, number>>)[type] ?? assert.fail(`the frame ${type} is unknown`);
  const flags = rest.slice(1).reduce((sum, name) => sum | ((FLAG as Readonly<Record<string, number>>)[name] ?? assert.fail(`the flag ${name} is unknown`)), 0);
  return frame(number, flags, Number(rest[0]), payload);
}

function splitHead(head: string): [string, string] {
  const at = head.search(/"|\b(?:hex|u8|u16|u32)\(/);
  return at < 0 ? [head, ''] : [head.slice(0, at), head.slice(at)];
}

function encodeAtoms(atoms: string): Buffer[] {
  return [...atoms.matchAll(/"([^"]*)"|(hex|u8|u16|u32)\(([^)]*)\)/g)].map(([, text, kind, value = '']) => {
    if (text !== undefined) return Buffer.from(unescape(text), 'latin1');
    if (kind === 'hex') return Buffer.from(value.replaceAll(' ', ''), 'hex');
    const bytes = uint32(Number(value));
    return bytes.subarray(kind === 'u8' ? 3 : kind === 'u16' ? 2 : 0);
  });
}

function encodeField(line: string): Buffer {
  const isIndexed = line.startsWith('=');
  const text = isIndexed ? line.slice(1) : line;
  const colon = text.indexOf(': ', 1);
  const field: Fields = [[unescape(text.slice(0, colon)), unescape(text.slice(colon + 2))]];
  return isIndexed ? indexedLiterals(field) : literals(field);
}
