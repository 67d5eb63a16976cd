/** What the documents name exists: files that they link to, and files of the source that they mention. */
import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {listFiles, readSource, ROOT} from '#test/style/sources.ts';

const DOCUMENTS = listFiles('.').filter((file) => file.endsWith('.md') && !file.startsWith('test/')).map(readSource);

function isMissing(file: string): boolean {
  return !existsSync(path.join(ROOT, file));
}

test('links between documents lead somewhere', () => {
  const missing = DOCUMENTS.flatMap(({file, text}) => [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
    .filter(([, target = '']) => isMissing(path.join(path.dirname(file), target)))
    .map(([, target]) => `${file}: ${target}`));
  assert.deepEqual(missing, []);
});

test('files of the repository that are mentioned exist', () => {
  const missing = DOCUMENTS.flatMap(({file, text}) => [...text.matchAll(/`((?:src|test|deploy|docs|bench)\/[\w./-]*\.\w+)`/g)]
    .filter(([, target = '']) => isMissing(target))
    .map(([, target]) => `${file}: ${target}`));
  assert.deepEqual(missing, []);
});

/** `file.ts`: `symbol` in docs/LIFECYCLE.md: renaming a symbol must not leave the document behind. */
test('symbols that the life cycle names stand in the file that it names', () => {
  const {text} = readSource('docs/LIFECYCLE.md');
  const missing = [...text.matchAll(/`(src\/[\w./-]+\.ts)`:\s+((?:`[\w.#]+`(?:,\s+)?)+)/g)].flatMap(([, file = '', symbols = '']) => {
    const source = readSource(file).text;
    return [...symbols.matchAll(/`([\w.#]+)`/g)].map(([, symbol = '']) => symbol)
      .filter((symbol) => !new RegExp(`(?<![\\w#])${symbol.split('.').at(-1)}\\b`).test(source))
      .map((symbol) => `${file}: ${symbol}`);
  });
  assert.deepEqual(missing, []);
});
