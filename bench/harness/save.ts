import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {drawPlot} from './plot.ts';
import {formatMarkdown} from './report.ts';
import type {Results} from './results.ts';

/** Writes `<date>.md`, `<date>.json` and a plot for each group; a second run of the day replaces the first. Returns the files. */
export function saveResults(results: Results, directory: string): string[] {
  mkdirSync(directory, {recursive: true});
  const date = results.time.slice(0, 10);
  const groups = [...new Set(results.scenarios.map(scenario => scenario.group))];
  const plots = new Map(groups.map(group => [group, `${date}-${group}.svg`]));
  const files: [string, string][] = [
    [`${date}.md`, formatMarkdown(results, plots)],
    [`${date}.json`, `${JSON.stringify(results, null, 1)}\n`],
    ...groups.map((group): [string, string] => [`${date}-${group}.svg`, drawPlot(results.scenarios.filter(scenario => scenario.group === group))]),
  ];
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
  return files.map(([name]) => join(directory, name));
}
