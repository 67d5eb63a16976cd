/** The shape of files and functions: small by default, and an exception says why. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {importsOf, judge, listFiles, readTypeScript, type Exceptions, type Source} from '#test/style/sources.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

const FILE_EXCEPTIONS: Exceptions = {};
/** By `file: first line of the function`. */
const FUNCTION_EXCEPTIONS: Exceptions = {};

const SOURCES = readTypeScript('src', 'test', 'bench');

interface Block {
  /** The line that opens it, without its indentation. */
  readonly head: string;
  readonly lines: number;
}

/**
 * Blocks by indentation: a line that begins with `}` closes what the last line of its own indentation opened. A signature over several
 * lines closes with `)`, which opens nothing.
 */
function blocksOf({lines}: Source): Block[] {
  const blocks: Block[] = [];
  const opened: {indent: number; head: string; start: number}[] = [];
  for (const [index, line] of lines.entries()) {
    const indent = line.search(/\S/);
    const head = line.slice(indent);
    if (indent === -1 || head.startsWith(')') || head.startsWith('*')) continue;
    while ((opened.at(-1)?.indent ?? -1) > indent) opened.pop();
    const last = opened.at(-1);
    if (last?.indent === indent) opened.pop();
    if (head.startsWith('}') && last?.indent === indent) blocks.push({head: last.head, lines: index + 1 - last.start});
    opened.push({indent, head, start: index});
  }
  return blocks;
}

/** A suite of tests is a chapter and no function. */
function isFunction({head}: Block): boolean {
  if (/^(?:describe|suite)\(/.test(head) || /^(?:if|for|while|switch|do|try|class|interface|type|export (?:abstract )?class|export interface)\b/.test(head)) return false;
  return /\bfunction\b|=>|^(?:(?:static|async|override|get|set|private) )*[#\w]+(?:<[^>]*>)?\(/.test(head);
}

function isBarrel({text}: Source): boolean {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\/\/.*$/gm, '').trim();
  const withoutReexports = code.replaceAll(/^export\b[^;'"]*\bfrom\s*'[^']+';?$/gm, '').trim();
  return code !== '' && withoutReexports === '';
}

test('the scan finds functions and their length', () => {
  const lines = [
    'export function one(', '  a: number,', '): number {', '  if (a > 1) {', '    return 1;', '  }', '  return a;', '}',
    'class Two {', '  #three(a: string): void {', '    call(() => {', '      a;', '    });', '  }', '}',
  ];
  const found = blocksOf({file: '', text: '', lines}).filter(isFunction).map(({head, lines: length}) => [head, length]);
  assert.deepEqual(found, [['export function one(', 8], ['call(() => {', 3], ['#three(a: string): void {', 5]]);
});

test(`files have ${FILE_LINES_MAX} lines at most`, () => {
  assert.deepEqual(judge(SOURCES.filter(({lines}) => lines.length > FILE_LINES_MAX).map(({file}) => file), FILE_EXCEPTIONS), []);
});

test(`functions have ${FUNCTION_LINES_MAX} lines at most`, () => {
  const offenders = SOURCES.flatMap((source) => blocksOf(source)
    .filter((block) => isFunction(block) && block.lines > FUNCTION_LINES_MAX)
    .map(({head}) => `${source.file}: ${head}`));
  assert.deepEqual(judge(offenders, FUNCTION_EXCEPTIONS), []);
});

test('no state in modules: two daemons in one process would share it', () => {
  const offenders = SOURCES.filter(({file, text}) => file.startsWith('src/') && /^(?:export )?(?:let|var)\b/m.test(text));
  assert.deepEqual(offenders.map(({file}) => file), []);
});

test('no barrels, no default exports: a name says where it comes from', () => {
  const offenders = SOURCES.filter((source) => isBarrel(source) || /^export (?:default\b|\* )/m.test(source.text));
  assert.deepEqual(offenders.map(({file}) => file), []);
});

test('only erasable TypeScript', () => {
  const offenders = SOURCES.filter(({text}) => /^(?:export )?(?:const )?(?:enum|namespace)\b/m.test(text));
  assert.deepEqual(offenders.map(({file}) => file), []);
});

test('only tests import from tests', () => {
  const offenders = SOURCES.filter((source) => source.file.startsWith('src/') && importsOf(source).some((specifier) => specifier.startsWith('#test/')));
  assert.deepEqual(offenders.map(({file}) => file), []);
});

test('names of files are in kebab case', () => {
  const names = ['src', 'test', 'bench'].flatMap(listFiles).filter((file) => file.endsWith('.ts'));
  assert.deepEqual(names.filter((file) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.ts$/.test(file)), []);
});
