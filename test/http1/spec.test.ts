import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';
import {test} from 'node:test';
import {replay} from '#test/http1/replay.ts';
import {parseDocument, type SpecCase} from '#test/http1/spec-document.ts';

const FOLDER = new URL('spec/', import.meta.url);

/** Up to this length a case is split at every offset. The rest of a longer one is a single repetition: its ends are what matters. */
const SPLIT_EVERYWHERE_BYTES = 600;
const SPLIT_ENDS_BYTES = 48;

function* splits(length: number): Generator<number> {
  for (let at = 1; at < length; at++) {
    if (length <= SPLIT_EVERYWHERE_BYTES || at < SPLIT_ENDS_BYTES || at > length - SPLIT_ENDS_BYTES || at % 997 === 0) yield at;
  }
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({length: Math.ceil(bytes.length / size)}, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function check({subject, bytes, events, outcome}: SpecCase): void {
  const whole = replay(subject, [bytes]);
  if (events !== null) assert.deepEqual(whole, events);
  else {
    assert.ok(outcome !== null && whole.includes(outcome), `${outcome} is not among\n${whole.join('\n')}`);
    const fault = whole.find((event) => event.startsWith('fault'));
    assert.ok(fault === undefined || fault === outcome, `the fault is ${fault}`);
  }
  for (const at of splits(bytes.length)) assert.deepEqual(replay(subject, [bytes.subarray(0, at), bytes.subarray(at)]), whole, `split at ${at}`);
  assert.deepEqual(replay(subject, cut(bytes, bytes.length <= SPLIT_EVERYWHERE_BYTES ? 1 : 61)), whole, 'byte by byte');
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.md')).sort()) {
  const cases = parseDocument(readFileSync(new URL(file, FOLDER), 'utf8'));
  test(file, async (context) => {
    assert.ok(cases.length > 0, 'the document holds no case');
    assert.equal(new Set(cases.map(({name}) => name)).size, cases.length, 'two cases have one name');
    for (const specCase of cases) await context.test(specCase.name, () => check(specCase));
  });
}
