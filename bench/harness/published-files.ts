/** Every file whose numbers come from a results file, as it must read. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {SCENARIOS} from '../scenarios/all.ts';
import {describeResults, drawNewest, publish, resultParts, stageParts, type Parts} from './publication.ts';
import type {Results, ScenarioResult} from './results.ts';
import type {StageResults} from './stage-results.ts';

const RESULTS = 'bench/results';
/** Documents with parts that are published, and the way from them to the results. */
const DOCUMENTS: Readonly<Record<string, string>> = {'README.md': 'bench/results/', 'docs/performance.md': '../bench/results/'};

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** By the path in the repository. */
export function makePublishedFiles(root: string): Map<string, string> {
  const files = new Map<string, string>(), directory = join(root, RESULTS);
  const dated = new Map<string, readonly [ScenarioResult, string]>();
  let parts: Parts = {};
  // The newest comes last, and wins.
  for (const name of readdirSync(directory).sort()) {
    const [, date = '', isStages] = /^(\d{4}-\d{2}-\d{2})(-stages)?\.json$/.exec(name) ?? [];
    if (date === '') continue;
    const json = readJson(join(directory, name));
    if (isStages !== undefined) {
      parts = stageParts(json as StageResults, date);
      continue;
    }
    const results = json as Results;
    for (const scenario of results.scenarios) dated.set(scenario.name, [scenario, date]);
    for (const [made, text] of describeResults(results, date)) files.set(`${RESULTS}/${made}`, text);
  }
  const newest = new Map(SCENARIOS.map(({name}) => dated.get(name)).filter(entry => entry !== undefined));
  const [overview, drawing] = drawNewest(newest);
  files.set(`${RESULTS}/${overview}`, drawing);
  parts = {...parts, ...resultParts(newest)};
  for (const [document, folder] of Object.entries(DOCUMENTS)) files.set(document, publish(readFileSync(join(root, document), 'utf8'), folder, parts));
  return files;
}
