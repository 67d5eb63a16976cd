/**
 * One YAML file → a plain value, and the line and column of every part of it.
 *
 * Only the text is kept: positions are found by parsing it once more when the first problem asks for one. A host with ten thousand
 * customers would otherwise hold ten thousand syntax trees for the sake of errors that nearly never happen.
 */
import {type Document, isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument, Schema, visit, type YAMLError} from 'yaml';
import type {Complaint, ConfigPath} from '#src/config/problem.ts';

export const CONFIG_FILE_BYTES_MAX = 1024 * 1024;

/** References to anchors that one file may make; more is an attempt to blow it up ("billion laughs"). */
const ALIASES_MAX = 100;
/** Broken syntax breaks what follows: the first errors are the ones that help. */
const SYNTAX_ERRORS_MAX = 5;

/** Made once: `yaml` would build it anew for every document. */
const CORE_SCHEMA = new Schema({schema: 'core'});

const PARSE_OPTIONS = {version: '1.2', schema: CORE_SCHEMA, strict: true, uniqueKeys: true, prettyErrors: false, logLevel: 'error'} as const;

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** `key`: where the key stands that leads to the value; `value`: where the value begins. The nearest part that exists, if it does not. */
export type Locate = (path: ConfigPath, part: 'key' | 'value') => Place;

export interface SyntaxProblem extends Complaint, Place {}

export interface ConfigDocument {
  readonly file: string;
  readonly value: unknown;
  readonly locate: Locate;
  readonly syntaxProblems: readonly SyntaxProblem[];
}

export function parseConfigDocument(file: string, text: string): ConfigDocument {
  const locate = createLocate(text);
  const document = parseDocument(text, PARSE_OPTIONS);
  const errors: YAMLError[] = [...document.errors, ...document.warnings];
  const syntaxProblems = errors.slice(0, SYNTAX_ERRORS_MAX).map((error) => describeSyntaxError(error, text));
  const value = toValue(document);
  if (value instanceof Error && syntaxProblems.length === 0) syntaxProblems.push(describeAliases(document, text, value));
  const prototypeKey = findPrototypeKey(value, [], new Set());
  if (prototypeKey !== null) syntaxProblems.push({...locate(prototypeKey, 'key'), ...PROTOTYPE_KEY});
  return {file, locate, value: value instanceof Error ? null : value, syntaxProblems};
}

/** The value as far as it can be read: a file with a slip still tells which customer it is about. */
function toValue(document: Document): unknown {
  try {
    return document.toJS({maxAliasCount: ALIASES_MAX});
  } catch (error) {
    return error instanceof Error ? error : new Error('unknown');
  }
}

function describeAliases(document: Document, text: string, error: Error): SyntaxProblem {
  let offset = 0;
  visit(document, {
    Alias: (_key, alias) => {
      if (alias.resolve(document) !== undefined) return undefined;
      offset = alias.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return {
    ...placeOf(text, offset),
    found: `references (\`*…\`) that cannot be followed (${error.message})`,
    allowed: `at most ${ALIASES_MAX} references, to anchors (\`&…\`) that stand before them`,
    remedy: 'write the values out in place of the references',
  };
}

/** An object has this key without being given it: validators skip it in silence, and nothing may be skipped. */
const PROTOTYPE_KEY: Complaint = {found: 'the key "__proto__"', allowed: 'keys with another name', remedy: 'remove it'};

function findPrototypeKey(value: unknown, path: ConfigPath, seen: Set<object>): ConfigPath | null {
  if (typeof value !== 'object' || value === null || seen.has(value)) return null;
  seen.add(value);
  for (const [key, inner] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(key) : key];
    const found = key === '__proto__' ? place : findPrototypeKey(inner, place, seen);
    if (found !== null) return found;
  }
  return null;
}

const SYNTAX_REMEDIES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'remove one of the two, or merge them',
  TAB_AS_INDENT: 'indent with spaces',
  MULTIPLE_DOCS: 'remove the line `---` and what follows, or make it a file of its own',
  MISSING_CHAR: 'add the missing character; values with `*`, `&`, `!`, `@`, `#`, `: `, `{` or `[` need quotes',
  BAD_INDENT: 'close the bracket or brace, or indent the line like its neighbours',
  TAG_RESOLVE_FAILED: 'remove the tag (`!…`): plain values are enough here',
};

function describeSyntaxError(error: YAMLError, text: string): SyntaxProblem {
  const {line, column} = placeOf(text, error.pos[0]);
  return {
    line, column,
    found: `YAML that cannot be read (${(error.message.split(';')[0] ?? '').replace(/\s+/g, ' ').trim()})`,
    allowed: 'one YAML 1.2 document in which every key of a mapping stands once',
    remedy: SYNTAX_REMEDIES[error.code] ?? 'correct the syntax here; values with special characters need quotes',
  };
}

function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return {line: before.split('\n').length, column: offset - lineStart + 1};
}

/** The tree is held weakly: several problems in a row share it, and it goes although the result with the problems stays. */
function createLocate(text: string): Locate {
  let held: WeakRef<{document: Document; lines: LineCounter}> | null = null;
  const parse = (): {document: Document; lines: LineCounter} => {
    const lines = new LineCounter();
    const parsed = {document: parseDocument(text, {...PARSE_OPTIONS, lineCounter: lines}) as Document, lines};
    held = new WeakRef(parsed);
    return parsed;
  };
  return (path, part) => {
    const {document, lines} = held?.deref() ?? parse();
    const offset = findOffset(document, path, part);
    const {line, col} = lines.linePos(offset);
    return {line: Math.max(line, 1), column: Math.max(col, 1)};
  };
}

function findOffset(document: Document, path: ConfigPath, part: 'key' | 'value'): number {
  let node = resolveAlias(document.contents, document);
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    const child = findChild(node, step);
    if (child === null) return offset;
    const isTarget = depth === path.length - 1;
    offset = (isTarget && part === 'key' ? child.keyOffset : child.value?.range?.[0]) ?? child.keyOffset ?? offset;
    node = resolveAlias(child.value, document);
  }
  return offset;
}

interface Child {
  readonly keyOffset: number | undefined;
  readonly value: Node | null;
}

function findChild(node: Node | null, step: string | number): Child | null {
  if (isSeq(node)) {
    const item = node.items[Number(step)];
    if (item === undefined || isPair(item)) return null;
    const value = item as Node | null;
    return {keyOffset: value?.range?.[0], value};
  }
  if (!isMap(node)) return null;
  for (const pair of node.items) {
    if (!isScalar(pair.key) || String(pair.key.value) !== String(step)) continue;
    return {keyOffset: pair.key.range?.[0], value: pair.value as Node | null};
  }
  return null;
}

function resolveAlias(node: Node | null | undefined, document: Document): Node | null {
  if (isAlias(node)) return node.resolve(document) ?? null;
  return node ?? null;
}
