/** Each document's cases, and each case again with its bytes split at every offset. */
import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';
import {test} from 'node:test';
import {Peer} from '#test/http2/peer.ts';
import {parseDocument, type SpecCase} from '#test/http2/spec-document.ts';

const FOLDER = new URL('spec/', import.meta.url);

/** Up to this length a case is split at every offset; of a longer one the ends, and a sample of the repetition between them. */
const SPLIT_EVERYWHERE_BYTES = 400;
const SPLIT_ENDS_BYTES = 80;

function* splits(length: number): Generator<number> {
  for (let at = 1; at < length; at++) {
    if (length <= SPLIT_EVERYWHERE_BYTES || at < SPLIT_ENDS_BYTES || at > length - SPLIT_ENDS_BYTES || at % 997 === 0) yield at;
  }
}

function replay(pieces: readonly Buffer[]): string[] {
  const peer = new Peer('answer');
  peer.send(...pieces);
  return [...peer.events, ...peer.takeLines()];
}

function check({bytes, events, outcome}: SpecCase): void {
  const whole = replay([bytes]);
  if (events !== null) assert.deepEqual(whole, events);
  for (const line of outcome) assert.ok(whole.includes(line), `"${line}" is not among\n${whole.join('\n')}`);
  for (const at of splits(bytes.length)) assert.deepEqual(replay([bytes.subarray(0, at), bytes.subarray(at)]), whole, `split at ${at}`);
  const size = bytes.length <= SPLIT_EVERYWHERE_BYTES ? 1 : 61;
  const pieces = Array.from({length: Math.ceil(bytes.length / size)}, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  assert.deepEqual(replay(pieces), whole, 'byte by byte');
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.md')).sort()) {
  const cases = parseDocument(readFileSync(new URL(file, FOLDER), 'utf8'));
  test(file, async (context) => {
    assert.ok(cases.length > 0, 'the document holds no case');
    assert.equal(new Set(cases.map(({name}) => name)).size, cases.length, 'two cases have one name');
    for (const specCase of cases) await context.test(specCase.name, () => check(specCase));
  });
}
