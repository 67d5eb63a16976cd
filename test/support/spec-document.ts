/**
 * Test cases that are documents. Each section of the second level says why, and then has one block of input and one of what it leads to:
 *
 *     ## Heading
 *     Why.
 *     ```…                the input; what it is made of is up to the protocol
 *     ```
 *     ```events
 *     ```
 *
 * `{3*ab}` is `ababab`; a count is a number, or the name of a limit with an optional `+1`. `\r \n \t \\ \xHH` are bytes. Where `{value}` stands
 * in the input, a table follows instead of the events: a value, and what it leads to.
 */
import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';
import {test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';

/** A block, or a table of values for it. */
export interface SpecSection {
  readonly heading: string;
  /** What stands behind the fence of the input. */
  readonly info: string;
  readonly input: readonly string[];
  /** Null where there is a table. */
  readonly events: readonly string[] | null;
  readonly rows: readonly {readonly name: string; readonly value: string; readonly outcome: string}[];
}

interface Raw {
  readonly heading: string;
  prose: number;
  readonly fences: {readonly info: string; readonly lines: string[]}[];
  readonly rows: string[][];
}

export function parseSections(text: string): SpecSection[] {
  return readRaw(text).map(({heading, prose, fences, rows}) => {
    assert.ok(prose > 0, `"${heading}" does not say why`);
    const [input, events, ...more] = fences;
    assert.ok(input !== undefined && more.length === 0, `"${heading}" needs one block of input, and one of events or a table`);
    assert.ok(events === undefined || (events.info === 'events' && rows.length === 0), `"${heading}" has more than events, or than a table`);
    assert.ok(events !== undefined || (rows.length > 0 && input.lines.some((line) => line.includes('{value}'))), `"${heading}" has neither events nor a table`);
    return {
      heading, info: input.info, input: input.lines, events: events?.lines ?? null,
      rows: rows.map(([value = '', outcome = '']) => ({name: `${heading}: ${value}`, value: unquote(value), outcome: unquote(outcome)})),
    };
  });
}

function readRaw(text: string): Raw[] {
  const sections: Raw[] = [];
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

function unquote(cell: string): string {
  assert.match(cell, /^`.*`$/s, `the cell ${cell} needs back quotes`);
  return cell.slice(1, -1);
}

export function readCount(text: string): number {
  const [, name = '', plus = '0'] = /^([A-Za-z]\w*|\d+)(?:\+(\d+))?$/.exec(text) ?? [];
  const base = /^\d/.test(name) ? Number(name) : (LIMITS as Readonly<Record<string, number>>)[name];
  assert.ok(base !== undefined, `the count ${text} is unknown`);
  return base + Number(plus);
}

/** From the innermost repetition outwards. */
export function repeat(text: string): string {
  const repeated = text.replace(/\{([A-Za-z0-9+]+)\*([^{}]*)\}/g, (_, count: string, part: string) => part.repeat(readCount(count)));
  return repeated === text ? text : repeat(repeated);
}

const ESCAPES: Readonly<Record<string, string>> = {r: '\r', n: '\n', t: '\t', '\\': '\\'};

export function unescape(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, character: string) =>
    (hex === undefined ? ESCAPES[character] ?? assert.fail(`the escape \\${character} is unknown`) : String.fromCharCode(Number.parseInt(hex, 16))));
}

/** One test a document, with each of its cases. */
export function testDocuments<C extends {readonly name: string}>(folder: URL, parse: (text: string) => readonly C[], check: (specCase: C) => void): void {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.md')).sort()) {
    const cases = parse(readFileSync(new URL(file, folder), 'utf8'));
    test(file, async (context) => {
      assert.ok(cases.length > 0, 'the document holds no case');
      assert.equal(new Set(cases.map(({name}) => name)).size, cases.length, 'two cases have one name');
      for (const specCase of cases) await context.test(specCase.name, () => check(specCase));
    });
  }
}

/** However the network cuts the bytes, they mean the same: in two at every offset, and byte by byte. */
export function checkSplits(bytes: Buffer, whole: readonly string[], replay: (pieces: readonly Buffer[]) => readonly string[]): void {
  for (let at = 1; at < bytes.length; at++) {
    assert.deepEqual(replay([bytes.subarray(0, at), bytes.subarray(at)]), whole, `split at ${at}`);
  }
  const pieces = Array.from({length: bytes.length}, (_, at) => bytes.subarray(at, at + 1));
  assert.deepEqual(replay(pieces), whole, 'byte by byte');
}
