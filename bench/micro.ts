/** `node bench/micro.ts`: nanoseconds of each stage of a request, so that a regression is located. Not a measure of the whole. */
import {spreadOf} from './harness/statistics.ts';
import {createStages, type Stage} from './stages.ts';

const RUNS = 15, WARM_UP_RUNS = 3;

function nanosecondsOfRun({operations, run}: Stage): number {
  const started = process.hrtime.bigint();
  const result = run(operations);
  const took = Number(process.hrtime.bigint() - started);
  if (!Number.isFinite(result)) throw new Error('the stage did not work');
  return took / operations;
}

const stages = createStages();
const samples = new Map<Stage, number[]>(stages.map(stage => [stage, []]));
// All stages in turn, as in the other benchmarks: a machine that drifts hits all of them alike.
for (let round = -WARM_UP_RUNS; round < RUNS; round++) {
  for (const [stage, values] of samples) {
    const value = nanosecondsOfRun(stage);
    if (round >= 0) values.push(value);
  }
}
const width = Math.max(...stages.map(({name}) => name.length));
console.log(`${'stage'.padEnd(width)}  ns / operation: median (smallest to largest of ${RUNS} runs)`);
for (const [{name}, values] of samples) {
  const {median, min, max} = spreadOf(values);
  console.log(`${name.padEnd(width)}  ${median.toFixed(0).padStart(6)} (${min.toFixed(0)} to ${max.toFixed(0)})`);
}
