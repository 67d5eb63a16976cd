/** `npm run bench:micro`: nanoseconds of each stage of a request, so that a regression is located. Not a measure of the whole. */
import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {describeMachine} from './harness/machine.ts';
import {dateOf} from './harness/save.ts';
import {formatStages, type StageResults} from './harness/stage-results.ts';
import {createHttp2Stages} from './stages-http2.ts';
import {createStages, type Stage} from './stages.ts';

const RUNS = 15, WARM_UP_RUNS = 3;
const RESULTS = new URL('results/', import.meta.url);

function nanosecondsOfRun({operations, run}: Stage): number {
  const started = process.hrtime.bigint();
  const result = run(operations);
  const took = Number(process.hrtime.bigint() - started);
  if (!Number.isFinite(result)) throw new Error('the stage did not work');
  return took / operations;
}

/** All stages in turn, as in the other benchmarks: a machine that drifts hits all of them alike. */
function measure(stages: readonly Stage[]): StageResults {
  const samples = new Map<Stage, number[]>(stages.map(stage => [stage, []]));
  for (let round = -WARM_UP_RUNS; round < RUNS; round++) {
    for (const [stage, values] of samples) {
      const value = nanosecondsOfRun(stage);
      if (round >= 0) values.push(value);
    }
  }
  return {
    machine: describeMachine({proxy: null, load: null, backend: null, pair: null}), versions: {node: process.versions.node},
    stages: [...samples].map(([{name}, values]) => ({name, samples: values})),
  };
}

const {values} = parseArgs({options: {json: {type: 'boolean'}, save: {type: 'boolean'}}});
const results = measure([...createStages(), ...createHttp2Stages()]), json = JSON.stringify(results, null, 1);
console.log(values.json === true ? json : formatStages(results));
if (values.save === true) {
  const file = fileURLToPath(new URL(`${dateOf(new Date().toISOString())}-stages.json`, RESULTS));
  writeFileSync(file, `${json}\n`);
  console.error(`wrote ${file}`);
}
