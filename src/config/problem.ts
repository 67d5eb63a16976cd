/** What can be said about a configuration: where, what was found, what is allowed there, and how to mend it. */

export type ConfigPath = readonly (string | number)[];

export interface Complaint {
  readonly found: string;
  readonly allowed: string;
  readonly remedy: string;
}

export interface Problem extends Complaint {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units. */
  readonly column: number;
  /** The place in the document, such as `pools.shop.servers[0].address`; empty for the file as a whole. */
  readonly key: string;
}

const FOUND_LENGTH_MAX = 80;

/** One line: `file:line:column: key: found …; allowed: …; remedy: …`. */
export function formatProblem(problem: Problem): string {
  const key = problem.key === '' ? '' : ` ${problem.key}:`;
  return `${problem.file}:${problem.line}:${problem.column}:${key} found ${problem.found}; allowed: ${problem.allowed}; remedy: ${problem.remedy}`;
}

/** By file and place, so that the output is read from top to bottom and is the same each time. */
export function compareProblems(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

export function formatPath(path: ConfigPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${quote(step)}]`;
  }
  return text;
}

/** Text in quotes, on one line whatever it contains, and never long. */
export function quote(text: string): string {
  const shown = text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}…` : text;
  return JSON.stringify(shown).replaceAll(/[\u007f-\u009f\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value of the document in words. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a value of another type';
}
