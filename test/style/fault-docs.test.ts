/** docs/semantics.md and the fault table say the same: an operator looks a code up there at three in the morning. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {FAULTS, FAULT_CODES} from '#src/core/faults.ts';
import {readSource} from '#test/style/sources.ts';

/** Rows of tables whose first cell is a code: `code` | status | side | cause | action. */
function readRows(): string[][] {
  const rows = readSource('docs/semantics.md').lines.filter((line) => line.startsWith('| `'));
  return rows.map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
    .filter(([code = '']) => /^`[a-z0-9_]+`$/.test(code));
}

test('every fault has one line in the documents, in the order of the table', () => {
  assert.deepEqual(readRows().map(([code = '']) => code.slice(1, -1)), FAULT_CODES);
});

test('the documents give the status and the side of the table', () => {
  const documented = readRows().map(([code, status, side]) => [code, status, side]);
  assert.deepEqual(documented, FAULT_CODES.map((code) => [`\`${code}\``, FAULTS[code].status === 0 ? '–' : String(FAULTS[code].status), FAULTS[code].side]));
});

test('every fault has a cause and something to do', () => {
  assert.deepEqual(readRows().filter((cells) => cells.length !== 5 || cells.some((cell) => cell === '')), []);
});
