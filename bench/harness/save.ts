/** The files in `bench/results`: JSON is what was measured, the others are made of it. */
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {describeResults} from './publication.ts';
import type {Results} from './results.ts';

export function dateOf(time: string): string {
  return time.slice(0, 10);
}

export function readResults(directory: string, date: string): Results | null {
  const file = join(directory, `${date}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) as Results : null;
}

export function writeResults(results: Results, directory: string, date: string): void {
  mkdirSync(directory, {recursive: true});
  const files = new Map([[`${date}.json`, `${JSON.stringify(results, null, 1)}\n`], ...describeResults(results, date)]);
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
}
