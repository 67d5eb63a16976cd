/** `npm run bench:micro`: nanoseconds of each stage of a request, so that a regression is located. Not a measure of the whole. */
import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {describeMachine} from './harness/machine.ts';
import {dateOf} from './harness/save.ts';
import {formatStages, type StageResults} from './harness/stage-results.ts';
import {createHttp2Stages} from './stages-http2.ts';
import {createStages, type Stage} from './stages.ts';

interface Extent {
  readonly runs: number;
  readonly warmUpRuns: number;
  /** A run does this part of the operations that its stage asks for. */
  readonly share: number;
}

const FULL: Extent = {runs: 15, warmUpRuns: 3, share: 1};
/** Shows that every stage works, and measures nothing. */
const SMOKE: Extent = {runs: 1, warmUpRuns: 0, share: 0.01};
const RESULTS = new URL('results/', import.meta.url);

function nanosecondsOfRun({operations: wanted, run}: Stage, share: number): number {
  const operations = Math.ceil(wanted * share);
  const started = process.hrtime.bigint();
  const result = run(operations);
  const took = Number(process.hrtime.bigint() - started);
  if (!Number.isFinite(result)) throw new Error('the stage did not work');
  return took / operations;
}

/** All stages in turn, as in the other benchmarks: a machine that drifts hits all of them alike. */
function measure(stages: readonly Stage[], {runs, warmUpRuns, share}: Extent): StageResults {
  const samples = new Map<Stage, number[]>(stages.map(stage => [stage, []]));
  for (let round = -warmUpRuns; round < runs; round++) {
    for (const [stage, values] of samples) {
      const value = nanosecondsOfRun(stage, share);
      if (round >= 0) values.push(value);
    }
  }
  return {
    machine: describeMachine({proxy: null, load: null, backend: null, pair: null}), versions: {node: process.versions.node},
    stages: [...samples].map(([{name}, values]) => ({name, samples: values})),
  };
}

const {values} = parseArgs({options: {json: {type: 'boolean'}, save: {type: 'boolean'}, smoke: {type: 'boolean'}}});
if (values.smoke === true && values.save === true) throw new Error('--smoke measures nothing that is worth to --save');
const results = measure([...createStages(), ...createHttp2Stages()], values.smoke === true ? SMOKE : FULL), json = JSON.stringify(results, null, 1);
console.log(values.json === true ? json : formatStages(results));
if (values.save === true) {
  const file = fileURLToPath(new URL(`${dateOf(new Date().toISOString())}-stages.json`, RESULTS));
  writeFileSync(file, `${json}\n`);
  console.error(`wrote ${file}`);
}
