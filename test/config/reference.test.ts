import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {generateFiles} from '#src/config/reference.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

for (const [file, text] of generateFiles()) {
  test(`${file} is current (npm run generate)`, () => {
    assert.equal(readFileSync(path.join(ROOT, file), 'utf8'), text);
  });
}

test('every key of the reference has a meaning', () => {
  const rows = (generateFiles().get('docs/configuration.md') ?? '').split('\n').filter((line) => line.startsWith('| `'));
  assert.ok(rows.length > 80);
  for (const row of rows) assert.doesNotMatch(row, /\|\s*\|$/, row);
});
