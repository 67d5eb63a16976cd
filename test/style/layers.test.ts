/** Who may import whom. The rules and their reasons are in the design: data flows one way, and what decides is pure. */
import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';
import {importsOf, judge, readTypeScript, withoutProse, type Exceptions, type Source} from '#test/style/sources.ts';

/** Folders of the data plane, lowest first. A file imports its own folder or a lower one; folders of one row never meet. */
const DATA_PLANE = [['core'], ['http1'], ['http2'], ['config'], ['shared'], ['policy'], ['balance'], ['observe'], ['transport'], ['edge', 'upstream'], ['proxy']] as const;

/** Folders that a file of a folder may import from. The two planes share what is below them, and never meet. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(DATA_PLANE.flatMap((row, rank) => row.map((folder) => [folder, [folder, ...DATA_PLANE.slice(0, rank).flat()]]))),
  control: ['control', 'core', 'config', 'shared', 'observe'],
  cli: ['cli', 'control', 'core', 'config', 'shared', 'observe'],
  'worker.ts': DATA_PLANE.flat(),
  'main.ts': ['cli', 'control', 'core', 'config', 'shared', 'observe'],
};

/** Imports against the table, as `importer imported`. */
const IMPORT_EXCEPTIONS: Exceptions = {
  'src/control/probe-http2.ts src/http1/response-head.ts': 'the head that the codec below hands over',
  'src/control/probe-http2.ts src/http2/client-session.ts': 'a probe of HTTP/2 needs a codec that an application cannot make abort: the one of the traffic',
  'src/control/probe-http2.ts src/http2/stream.ts': 'a stream of that codec',
  'src/control/prober.ts src/balance/health-state.ts': 'probes run in the control thread, and the rule of rise and fall is one of balancing',
};

const FORM_EXCEPTIONS: Exceptions = {
  'src/cli/version.ts ../../package.json': 'the version stands in one place, and that is no source',
};

/** They decide and do nothing else: no I/O, clock, chance or process. All of these come in as arguments. */
const PURE_FOLDERS = ['core', 'http1', 'http2', 'config', 'policy', 'balance'];
const PURE_NODE_MODULES = new Set(['node:buffer', 'node:crypto', 'node:path', 'node:url', 'node:util']);
const PURE_PACKAGES = new Set(['re2js', 'yaml', 'zod']);
const IMPURE_WORDS = /\b(?:process\.|performance\.|console\.|Date\.now\b|new Date\(\)|Math\.random\b|set(?:Timeout|Interval|Immediate)\b|randomBytes\b|randomUUID\b|randomInt\b|fetch\()/;

const INPUT_OUTPUT_EXCEPTIONS: Exceptions = {
  'src/config/generate.ts': 'a script for developers, which writes what `reference.ts` makes; the daemon never loads it',
};

const SOURCES = readTypeScript('src');

function folderOf(file: string): string {
  return file.split('/')[1] ?? '';
}

/** The file behind an import, null where it is none of `src`. */
function resolveImport(importer: Source, specifier: string): string | null {
  if (specifier.startsWith('#src/')) return specifier.slice(1);
  const file = specifier.startsWith('.') ? path.posix.join(path.posix.dirname(importer.file), specifier) : '';
  return file.startsWith('src/') ? file : null;
}

test('every folder has its place', () => {
  assert.deepEqual(SOURCES.map(({file}) => file).filter((file) => MAY_IMPORT[folderOf(file)] === undefined), []);
});

test('a file imports its own folder or a lower one', () => {
  const breaches = SOURCES.flatMap((source) => importsOf(source).flatMap((specifier) => {
    const imported = resolveImport(source, specifier);
    const isAllowed = imported === null || (MAY_IMPORT[folderOf(source.file)] ?? []).includes(folderOf(imported));
    return isAllowed ? [] : [`${source.file} ${imported}`];
  }));
  assert.deepEqual(judge(breaches, IMPORT_EXCEPTIONS), []);
});

test('imports across folders are absolute, and all of them name the file', () => {
  const breaches = SOURCES.flatMap((source) => importsOf(source)
    .filter((specifier) => specifier.startsWith('../') || (/^[#.]/.test(specifier) && !specifier.endsWith('.ts')))
    .map((specifier) => `${source.file} ${specifier}`));
  assert.deepEqual(judge(breaches, FORM_EXCEPTIONS), []);
});

test('what decides does no I/O', () => {
  const breaches = SOURCES.filter(({file}) => PURE_FOLDERS.includes(folderOf(file))).flatMap((source) => {
    const isPure = importsOf(source).every((specifier) => /^[#.]/.test(specifier) || PURE_NODE_MODULES.has(specifier) || PURE_PACKAGES.has(specifier));
    return isPure ? [] : [source.file];
  });
  assert.deepEqual(judge(breaches, INPUT_OUTPUT_EXCEPTIONS), []);
});

test('what decides takes time, chance and the process as arguments', () => {
  const breaches = SOURCES.filter(({file}) => PURE_FOLDERS.includes(folderOf(file)))
    .filter((source) => IMPURE_WORDS.test(withoutProse(source))).map(({file}) => file);
  assert.deepEqual(breaches, []);
});
