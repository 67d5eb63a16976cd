/** The repository as text. Scanning lines is enough for the rules of this folder, and faster than a compiler. */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');

/** Never part of the repository: installed, made at run time, or Git's own. */
const OUTSIDE = new Set(['node_modules', '.git', 'run', 'coverage']);

export interface Source {
  /** Relative to the repository, with slashes. */
  readonly file: string;
  readonly text: string;
  readonly lines: readonly string[];
}

/** Relative paths of all files under a folder of the repository. */
export function listFiles(folder: string): string[] {
  const files: string[] = [];
  for (const entry of readdirSync(path.join(ROOT, folder), {withFileTypes: true})) {
    const file = path.posix.join(folder, entry.name);
    // In a linked work tree `.git` is a file.
    if (OUTSIDE.has(entry.name)) continue;
    if (entry.isDirectory()) files.push(...listFiles(file));
    else if (entry.isFile()) files.push(file);
  }
  return files.sort();
}

export function readSource(file: string): Source {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  return {file, text, lines: text.trimEnd().split('\n')};
}

export function readTypeScript(...folders: readonly string[]): Source[] {
  return folders.flatMap(listFiles).filter((file) => file.endsWith('.ts')).map(readSource);
}

/** Everything that a file imports or exports again: `node:fs`, `zod`, `#src/core/ip.ts`. */
export function importsOf({text}: Source): string[] {
  const statements = text.matchAll(/^(?:import|export)\b(?:[^;'"]*?\bfrom)?\s*'([^']+)'/gm);
  const calls = text.matchAll(/\bimport\(\s*'([^']+)'/g);
  return [...statements, ...calls].map(([, specifier]) => specifier ?? '');
}

/** The code without comments and quoted strings, in which words can be looked for. */
export function withoutProse({text}: Source): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*|'(?:\\.|[^'\\\n])*'/g, '');
}

/** Exceptions from a rule by file (or `file name`), each with its reason. Those that are no longer needed are offences too. */
export type Exceptions = Readonly<Record<string, string>>;

/** What offends and is not excepted, and what is excepted and does not offend. */
export function judge(offenders: readonly string[], exceptions: Exceptions): string[] {
  const found = new Set(offenders);
  const stale = Object.keys(exceptions).filter((name) => !found.has(name)).map((name) => `${name}: the exception is no longer needed`);
  return [...offenders.filter((name) => exceptions[name] === undefined), ...stale];
}
