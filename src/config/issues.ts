/** What zod found → complaints with place and remedy. */
import type {z} from 'zod';
import type {IssueParameters} from '#src/config/checks.ts';
import {type Complaint, type ConfigPath, describeValue, quote} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';

export type Issue = z.core.$ZodIssue;

/** Reports every issue of a document's value. */
export function reportIssues(report: Report, value: unknown, issues: readonly Issue[]): void {
  for (const issue of issues) reportIssue(report, value, issue);
}

export function pathOfIssue({path}: Issue): ConfigPath {
  return path.map((step) => (typeof step === 'symbol' ? String(step) : step));
}

function reportIssue(report: Report, root: unknown, issue: Issue): void {
  const path = pathOfIssue(issue);
  const value = valueAt(root, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) report.problem([...path, key], unknownKey(key, issue.message), 'key');
      return;
    case 'custom': {
      const params = issue.params as unknown as IssueParameters;
      report.problem(path, params, params.part);
      return;
    }
    case 'invalid_key': {
      // Keys of our mappings are scalars: their one issue says what is wrong with the key.
      const [cause] = issue.issues;
      if (cause?.code === 'custom') report.problem(path, cause.params as unknown as IssueParameters, 'key');
      return;
    }
    case 'invalid_type':
      report.problem(path, wrongShape(value, issue.expected));
      return;
    case 'too_small':
      report.problem(path, {found: describeValue(value), allowed: `at least ${issue.minimum} entry`, remedy: 'add an entry'});
      return;
    case 'too_big':
      report.problem(path, {found: `${(value as unknown[]).length} entries`, allowed: `at most ${issue.maximum} entries`, remedy: 'remove some, or split the list'});
      return;
    default:
      report.problem(path, {found: describeValue(value), allowed: issue.message, remedy: 'correct the value'});
  }
}

function wrongShape(value: unknown, expected: string): Complaint {
  const allowed = expected === 'array' ? 'a list' : 'a mapping';
  const remedy = expected === 'array' ? 'write the entries in brackets, or each on a line that begins with `- `' : 'write `key: value` lines, indented';
  return {found: describeValue(value), allowed, remedy: value === undefined ? 'add the key' : remedy};
}

/** `keys` are the known ones, as `section()` lists them. */
function unknownKey(key: string, keys: string): Complaint {
  const nearest = nearestOf(key, keys.split(', '));
  return {found: `the unknown key ${quote(key)}`, allowed: keys, remedy: nearest === null ? 'remove it' : `did you mean ${nearest}?`};
}

function nearestOf(word: string, candidates: readonly string[]): string | null {
  let nearest: string | null = null;
  let distanceMin = Math.max(2, Math.floor(word.length / 4)) + 1;
  for (const candidate of candidates) {
    const distance = Math.abs(candidate.length - word.length) < distanceMin ? editDistance(word, candidate) : distanceMin;
    if (distance >= distanceMin || distance >= candidate.length) continue;
    nearest = candidate;
    distanceMin = distance;
  }
  return nearest;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({length: b.length + 1}, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

export function valueAt(root: unknown, path: ConfigPath): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
