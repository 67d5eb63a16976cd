/** `npm run bench`: Torwart beside its peers. See bench/README.md for the method. */
import {fileURLToPath} from 'node:url';
import {OPTIONS_HELP, parseOptions, type Options} from './harness/options.ts';
import {findDifference, hasFailure, mergeResults, type Results} from './harness/results.ts';
import {dateOf, readResults, writeResults} from './harness/save.ts';
import {assembleCast, exitOnSignals, runSession, type Cast} from './harness/session.ts';
import {runSmoke} from './harness/smoke.ts';
import {openWorkplace} from './harness/workplace.ts';
import {PEERS, SUBJECTS} from './peers/all.ts';
import type {Peer} from './peers/peer.ts';
import {selectScenarios, SCENARIOS} from './scenarios/all.ts';

const RESULTS = fileURLToPath(new URL('results', import.meta.url));

const USAGE_ERROR = 2;

/** By name, or by the name of the program: all its variants. */
function selectPeers(names: readonly string[]): readonly Peer[] {
  const unknown = names.filter(wanted => !PEERS.some(({name, program}) => name === wanted || program === wanted));
  if (unknown.length > 0) throw new Error(`there is no peer ${unknown.join(', ')}; --list shows all`);
  return names.length === 0 ? PEERS : PEERS.filter(({name, program}) => names.includes(name) || names.includes(program));
}

function printLists(): void {
  for (const {name, group, title} of SCENARIOS) console.log(`scenario  ${name.padEnd(14)} ${group.padEnd(16)} ${title}`);
  for (const {name, lacks, groups} of PEERS) {
    console.log(`peer      ${name.padEnd(14)} ${lacks.length === 0 ? 'equal features' : `lacks: ${lacks.join(', ')}`}${groups === null ? '' : ` (only in ${groups.join(', ')})`}`);
  }
}

/** Writes results to the files of today, beside what these have already. Throws where that is not comparable. */
function openResults(cast: Cast): (results: Results) => void {
  const date = dateOf(new Date().toISOString()), saved = readResults(RESULTS, date);
  const difference = saved === null ? null : findDifference(saved, cast);
  if (difference !== null) throw new Error(`bench/results/${date}.json cannot be added to, for ${difference}: remove it to begin anew`);
  return results => writeResults(saved === null ? results : mergeResults(saved, results, SCENARIOS.map(({name}) => name)), RESULTS, date);
}

async function run(options: Options): Promise<Results> {
  const scenarios = selectScenarios(options.scenarios), peers = selectPeers(options.peers);
  const work = await openWorkplace(options.settings), print = options.json ? console.error : console.log;
  try {
    const cast = await assembleCast(work, [...SUBJECTS, ...peers]);
    if (options.smoke) return await runSmoke(work, cast, scenarios, print);
    return await runSession(work, cast, scenarios, print, options.save ? openResults(cast) : undefined);
  } finally {
    await work.close();
  }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.rest.length > 0) throw new Error(`${options.rest.join(' ')}: no such argument`);
  if (options.help) console.log(`npm run bench -- [OPTIONS]\n${OPTIONS_HELP}`);
  if (options.list) printLists();
  if (options.help || options.list) return 0;
  exitOnSignals();
  const results = await run(options);
  if (options.json) console.log(JSON.stringify(results, null, 1));
  return hasFailure(results) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = USAGE_ERROR;
}
