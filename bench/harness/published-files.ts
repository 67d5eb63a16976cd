/** Every file whose numbers come from a results file, as it must read. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describeResults, publish} from './publication.ts';
import {readResults} from './save.ts';

const RESULTS = 'bench/results';
/** Documents with parts that are published, and the way from them to the results. */
const DOCUMENTS: Readonly<Record<string, string>> = {'README.md': 'bench/results/', 'docs/performance.md': '../bench/results/'};

/** By the path in the repository; empty where nothing was ever saved. */
export function makePublishedFiles(root: string): Map<string, string> {
  const files = new Map<string, string>(), directory = join(root, RESULTS);
  const dates = readdirSync(directory).flatMap(name => /^(\d{4}-\d{2}-\d{2})\.json$/.exec(name)?.[1] ?? []).sort();
  for (const date of dates) {
    const results = readResults(directory, date);
    if (results === null) continue;
    for (const [name, text] of describeResults(results, date)) files.set(`${RESULTS}/${name}`, text);
    // The newest comes last.
    for (const [document, folder] of Object.entries(DOCUMENTS)) files.set(document, publish(readFileSync(join(root, document), 'utf8'), folder, results, date));
  }
  return files;
}
