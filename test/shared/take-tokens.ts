/** A crew's thread: takes tokens from a few buckets of one set as fast as it can, and posts how many it got of each. */
import {parentPort, workerData} from 'node:worker_threads';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface TakeTokens {
  readonly buffer: SharedArrayBuffer;
  readonly keys: number;
  readonly takesPerKey: number;
  readonly burst: number;
}

const crew: CrewData<TakeTokens> = workerData;
const {buffer, keys, takesPerKey, burst} = crew.task;
const buckets = new RateBuckets(buffer);
const admitted = Array.from({length: keys}, () => 0);
awaitCrew(crew);
for (let i = 0; i < takesPerKey * keys; i++) {
  const key = i % keys;
  if (buckets.take(key, 0, 1_000, 60_000, burst) === 0) admitted[key] = (admitted[key] ?? 0) + 1;
}
parentPort?.postMessage(admitted);
