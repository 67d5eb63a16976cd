/**
 * Reads the documents in `spec/`: each section of the second level is a case, or a table of cases.
 *
 *     ## Heading
 *     Why.
 *     ```request          (or `request http`, `request https encoded-slash`, `response GET`)
 *     GET / HTTP/1.1\r\n  line ends of the block do not count; \r \n \t \\ \xHH do; {3*ab} is ababab
 *     ```
 *     ```events
 *     request GET / HTTP/1.1
 *     ```
 *
 * A count is a number, or the name of a limit with an optional `+1`; `{pad 100 a}` stands for as many `a` as make the block 100 bytes
 * long. Where `{value}` stands in the block, a table follows instead of the events: a value, and the event that it leads to.
 */
import assert from 'node:assert/strict';
import {LIMITS} from '#src/core/limits.ts';
import {describeText, type Subject} from '#test/http1/replay.ts';

export interface SpecCase {
  readonly name: string;
  readonly subject: Subject;
  readonly bytes: Buffer;
  /** All events in their order; null where only `outcome` is given. */
  readonly events: readonly string[] | null;
  /** The one event that counts; a fault that is not it is a failure. */
  readonly outcome: string | null;
}

interface Section {
  readonly heading: string;
  prose: number;
  readonly fences: {readonly info: string; readonly lines: readonly string[]}[];
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
    } else if (line.startsWith('## ')) {
      sections.push({heading: line.slice(3), prose: 0, fences: [], rows: []});
    } else if (section === undefined || line === '') {
      continue;
    } else if (line.startsWith('```')) {
      fence = {info: line.slice(3), lines: []};
      section.fences.push(fence);
    } else if (line.startsWith('| `')) section.rows.push(line.split('|').slice(1, -1).map((cell) => cell.trim()));
    else if (!line.startsWith('|')) section.prose++;
  }
  assert.equal(fence, null, 'a fence is not closed');
  return sections;
}

function readCases({heading, prose, fences, rows}: Section): SpecCase[] {
  assert.ok(prose > 0, `"${heading}" does not say why`);
  const [input, events, ...more] = fences;
  assert.ok(input !== undefined && more.length === 0, `"${heading}" needs one block of bytes, and one of events or a table`);
  const subject = readSubject(input.info);
  const template = input.lines.join('');
  if (events !== undefined) {
    assert.equal(events.info, 'events', `"${heading}": the second block holds the events`);
    assert.equal(rows.length, 0, `"${heading}" has events and a table`);
    const expected = repeat(events.lines.join('\n')).split('\n').map(canonicalise);
    return [{name: heading, subject, bytes: expand(template), events: expected, outcome: null}];
  }
  assert.ok(rows.length > 0 && template.includes('{value}'), `"${heading}" has neither events nor a table`);
  return rows.map(([value = '', outcome = '']) => ({
    name: `${heading}: ${value}`,
    subject,
    bytes: expand(template.replaceAll('{value}', () => unquote(value))),
    events: null,
    outcome: canonicalise(repeat(unquote(outcome))),
  }));
}

function readSubject(info: string): Subject {
  const [type, detail = null, flag] = info.split(' ');
  if (type === 'response') return {type, requestMethod: detail ?? 'GET'};
  assert.equal(type, 'request', `a block of "${info}" is unknown`);
  assert.ok(detail === null || detail === 'http' || detail === 'https', `the scheme ${detail} is unknown`);
  return {type: 'request', scheme: detail, encodedSlashAllowed: flag === 'encoded-slash'};
}

function unquote(cell: string): string {
  assert.match(cell, /^`.*`$/, `the cell ${cell} needs back quotes`);
  return cell.slice(1, -1);
}

function readCount(text: string): number {
  const [, name = '', plus = '0'] = /^([A-Za-z]+|\d+)(?:\+(\d+))?$/.exec(text) ?? [];
  const base = /^\d/.test(name) ? Number(name) : (LIMITS as Readonly<Record<string, number>>)[name];
  assert.ok(base !== undefined, `the count ${text} is unknown`);
  return base + Number(plus);
}

/** From the innermost repetition outwards. */
function repeat(text: string): string {
  const repeated = text.replace(/\{([A-Za-z0-9+]+)\*([^{}]*)\}/g, (_, count: string, part: string) => part.repeat(readCount(count)));
  return repeated === text ? text : repeat(repeated);
}

function unescape(text: string): string {
  const simple: Readonly<Record<string, string>> = {r: '\r', n: '\n', t: '\t', '\\': '\\'};
  return text.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, character: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    const meaning = simple[character];
    assert.ok(meaning !== undefined, `the escape \\${character} is unknown`);
    return meaning;
  });
}

/** In a document escapes and repetitions may be written in any way: `\r` is `\x0d`. */
function canonicalise(event: string): string {
  return describeText(unescape(event));
}

function expand(template: string): Buffer {
  const pad = /\{pad ([A-Za-z0-9+]+) (.)\}/.exec(template);
  const parts = (pad === null ? [template] : [template.slice(0, pad.index), template.slice(pad.index + pad[0].length)])
    .map((part) => unescape(repeat(part)));
  const missing = pad === null ? 0 : readCount(pad[1] ?? '') - parts.join('').length;
  return Buffer.from(parts.join((pad?.[2] ?? '').repeat(missing)), 'latin1');
}
