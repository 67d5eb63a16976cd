/**
 * Reads the documents in `spec/`: each section of the second level is a case, or a table of cases.
 *
 *     ## Heading
 *     Why.
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
 * `{3*ab}` is `ababab`; `\r \n \t \\ \xHH` are bytes. `@request 1` stands for the fields of a plain GET, `@upload 1` for those of a POST that
 * has content. A line `> …` is a frame that the client reads: they come after the events. Where `{value}` stands in the block, a table follows
 * instead of the events: a value, and the lines that it leads to among others, separated by `;`.
 */
import assert from 'node:assert/strict';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {POST, REQUEST, frame, indexedLiterals, literals, opening, uint32, type Fields} from '#test/http2/frames.ts';

export interface SpecCase {
  readonly name: string;
  readonly bytes: Buffer;
  /** All of them; null where only `outcome` is given. */
  readonly events: readonly string[] | null;
  readonly outcome: readonly string[];
}

interface Section {
  readonly heading: string;
  prose: number;
  readonly fences: {readonly info: string; readonly lines: string[]}[];
  readonly rows: string[][];
}

export function parseDocument(text: string): SpecCase[] {
  return readSections(text).flatMap(readCases);
}

function readSections(text: string): Section[] {
  const sections: Section[] = [];
  let fence: {info: string; lines: string[]} | null = null;
  for (const line of text.split('\n')) {
    const section = sections.at(-1);
    if (fence !== null) {
      if (line === '```') fence = null;
      else fence.lines.push(line);
    } else if (line.startsWith('## ')) sections.push({heading: line.slice(3), prose: 0, fences: [], rows: []});
    else if (section === undefined || line === '') continue;
    else if (line.startsWith('```')) {
      fence = {info: line.slice(3), lines: []};
      section.fences.push(fence);
    } else if (line.startsWith('| `')) section.rows.push(line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll('\\|', '|')));
    else if (!line.startsWith('|')) section.prose++;
  }
  assert.equal(fence, null, 'a fence is not closed');
  return sections;
}

function readCases({heading, prose, fences, rows}: Section): SpecCase[] {
  assert.ok(prose > 0, `"${heading}" does not say why`);
  const [input, events, ...more] = fences;
  assert.ok(input !== undefined && more.length === 0, `"${heading}" needs one block of frames, and one of events or a table`);
  assert.ok(input.info === 'client' || input.info === 'client bare', `"${input.info}" is unknown`);
  const build = (lines: readonly string[]): Buffer => Buffer.concat([input.info === 'client' ? opening() : Buffer.alloc(0), encode(lines)]);
  if (events !== undefined) {
    assert.ok(events.info === 'events' && rows.length === 0, `"${heading}" needs events or a table`);
    return [{name: heading, bytes: build(input.lines), events: events.lines.map(repeat), outcome: []}];
  }
  assert.ok(rows.length > 0 && input.lines.some((line) => line.includes('{value}')), `"${heading}" has neither events nor a table`);
  return rows.map(([value = '', outcome = '']) => ({
    name: `${heading}: ${value}`,
    bytes: build(input.lines.flatMap((line) => repeat(line.replaceAll('{value}', () => unquote(value))).split('\\l'))),
    events: null,
    outcome: unquote(outcome).split(';').map((line) => repeat(line.trim())),
  }));
}

function unquote(cell: string): string {
  assert.match(cell, /^`.*`$/s, `the cell ${cell} needs back quotes`);
  return cell.slice(1, -1);
}

function readCount(text: string): number {
  const [, name = '', plus = '0'] = /^([A-Za-z]\w*|\d+)(?:\+(\d+))?$/.exec(text) ?? [];
  const base = /^\d/.test(name) ? Number(name) : (LIMITS as Readonly<Record<string, number>>)[name];
  assert.ok(base !== undefined, `the count ${text} is unknown`);
  return base + Number(plus);
}

function repeat(text: string): string {
  return text.replace(/\{([A-Za-z0-9+]+)\*([^{}]*)\}/g, (_, count: string, part: string) => part.repeat(readCount(count)));
}

function unescape(text: string): string {
  const simple: Readonly<Record<string, string>> = {r: '\r', n: '\n', t: '\t', '\\': '\\'};
  return text.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, character: string) =>
    hex === undefined ? simple[character] ?? assert.fail(`the escape \\${character} is unknown`) : String.fromCharCode(Number.parseInt(hex, 16)));
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
