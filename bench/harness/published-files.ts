/** Every file whose numbers come from a results file, as it must read. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describeResults, publish, resultParts, stageParts, type Parts} from './publication.ts';
import type {Results} from './results.ts';
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
  let parts: Parts = {};
  // The newest comes last, and wins.
  for (const name of readdirSync(directory).sort()) {
    const [, date = '', isStages] = /^(\d{4}-\d{2}-\d{2})(-stages)?\.json$/.exec(name) ?? [];
    if (date === '') continue;
    const json = readJson(join(directory, name));
    parts = {...parts, ...(isStages === undefined ? resultParts(json as Results, date) : stageParts(json as StageResults, date))};
    if (isStages === undefined) for (const [made, text] of describeResults(json as Results, date)) files.set(`${RESULTS}/${made}`, text);
  }
  for (const [document, folder] of Object.entries(DOCUMENTS)) files.set(document, publish(readFileSync(join(root, document), 'utf8'), folder, parts));
  return files;
}
