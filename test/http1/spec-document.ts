/**
 * Reads the documents in `spec/`, as `test/support/spec-document.ts` describes them. The input is bytes:
 *
 *     ```request          (or `request http`, `request https encoded-slash`, `response GET`)
 *     GET / HTTP/1.1\r\n  line ends of the block do not count
 *     ```
 *
 * `{pad 100 a}` stands for as many `a` as make the block 100 bytes long. A row of a table has the one event that counts.
 */
import assert from 'node:assert/strict';
import {describeText, type Subject} from '#test/http1/replay.ts';
import {parseSections, readCount, repeat, unescape, type SpecSection} from '#test/support/spec-document.ts';

export interface SpecCase {
  readonly name: string;
  readonly subject: Subject;
  readonly bytes: Buffer;
  /** All events in their order; null where only `outcome` is given. */
  readonly events: readonly string[] | null;
  /** The one event that counts; a fault that is not it is a failure. */
  readonly outcome: string | null;
}

export function parseDocument(text: string): SpecCase[] {
  return parseSections(text).flatMap(readCases);
}

function readCases({heading, info, input, events, rows}: SpecSection): SpecCase[] {
  const subject = readSubject(info);
  const template = input.join('');
  if (events !== null) {
    const expected = repeat(events.join('\n')).split('\n').map(canonicalise);
    return [{name: heading, subject, bytes: expand(template), events: expected, outcome: null}];
  }
  return rows.map(({name, value, outcome}) => ({
    name, subject, bytes: expand(template.replaceAll('{value}', () => value)), events: null, outcome: canonicalise(repeat(outcome)),
  }));
}

function readSubject(info: string): Subject {
  const [type, detail = null, flag] = info.split(' ');
  if (type === 'response') return {type, requestMethod: detail ?? 'GET'};
  assert.equal(type, 'request', `a block of "${info}" is unknown`);
  assert.ok(detail === null || detail === 'http' || detail === 'https', `the scheme ${detail} is unknown`);
  return {type: 'request', scheme: detail, encodedSlashAllowed: flag === 'encoded-slash'};
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
