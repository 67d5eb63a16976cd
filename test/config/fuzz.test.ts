/** Whatever stands in the files: no exception, and either a snapshot or problems. */
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {formatProblem} from '#src/config/problem.ts';
import {customerText, loadTexts, NODE_TEXT} from '#test/config/customers.ts';
import {testAsyncProperty} from '#test/support/property.ts';

const CONFIG = path.resolve(import.meta.dirname, '../../config');
const EXAMPLES = [NODE_TEXT, customerText('acme', 1), ...['torwart.yaml', 'customers/acme.yaml', 'customers/globex.yaml'].map((file) => readFileSync(path.join(CONFIG, file), 'utf8'))];

async function check(node: string, customer: string): Promise<void> {
  const result = await loadTexts({acme: customer, good: customerText('good', 77)}, node);
  assert.equal(result.snapshot === null, result.problems.length > 0);
  for (const problem of [...result.problems, ...result.warnings]) {
    assert.ok(problem.line >= 1 && problem.column >= 1);
    assert.doesNotMatch(formatProblem(problem), /[\u0000-\u001f\u007f-\u009f]/, 'one line, and nothing that a terminal obeys');
  }
}

function fuzz(name: string, runs: number, text: fc.Arbitrary<string>): void {
  testAsyncProperty(name, fc.asyncProperty(text, async (text) => {
    await check(text, customerText('acme', 1));
    await check(NODE_TEXT, text);
  }), runs);
}

fuzz('random text', 200, fc.oneof(fc.string({unit: 'binary', maxLength: 200}), fc.string({unit: fc.constantFrom(...'{}[]:,-&*!|>\'"%@`#? \n\tab1'.split('')), maxLength: 60})));

const piece = fc.constantFrom('', ' ', '\n', '\t', ':', '-', '[', ']', '{', '}', '"', '&a ', '*a', '!!str ', '~', '__proto__', 'constructor: 1', '-1', '1e999', '.nan', '\u0000', '\u2028', '*.example', '0.0.0.0/0', '::1', '9'.repeat(40), 'x'.repeat(2000));

fuzz('an example with a part of it replaced', 400, fc.tuple(fc.constantFrom(...EXAMPLES), fc.double({min: 0, max: 1, noNaN: true}), fc.nat(12), piece).map(([text, where, length, inserted]) => {
  const at = Math.floor(where * text.length);
  return text.slice(0, at) + inserted + text.slice(at + length);
}));

fuzz('an example with lines in another order', 100, fc.constantFrom(...EXAMPLES).chain((text) => fc.shuffledSubarray(text.split('\n')).map((lines) => lines.join('\n'))));

const value = fc.letrec((tie) => ({
  value: fc.oneof({depthSize: 'small'}, fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.array(tie('value'), {maxLength: 3}), fc.dictionary(fc.constantFrom('customer', 'networks', 'pools', 'sites', 'hosts', 'routes', 'listeners', 'address', 'path', 'servers', 'name', '__proto__', 'x'), tie('value'), {maxKeys: 4})),
})).value;

fuzz('documents of any shape', 300, value.map((shape) => JSON.stringify(shape)));

test('deep nesting is a problem, not a crash', async () => {
  for (const text of ['['.repeat(3_000), '{a: '.repeat(3_000), '- '.repeat(3_000), `a: &a [${'*a,'.repeat(50)}]`]) await check(text, text);
});
