/** A crew's thread: one attacker that goes on, among ever new keys. Posts how many requests of the attacker were admitted. */
import {parentPort, workerData} from 'node:worker_threads';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface FloodBuckets {
  readonly buffer: SharedArrayBuffer;
  readonly rounds: number;
  readonly newKeysPerRound: number;
  readonly burst: number;
}

const ATTACKER = 1_000_000_007;
const FLOOD_INTERVAL_MS = 60_000;
const FLOOD_NOW_MS = 1_000;

const crew: CrewData<FloodBuckets> = workerData;
const {buffer, rounds, newKeysPerRound, burst} = crew.task;
const buckets = new RateBuckets(buffer);
awaitCrew(crew);
let admitted = 0, newest = crew.thread * rounds * newKeysPerRound;
for (let round = 0; round < rounds; round++) {
  if (buckets.take(ATTACKER, ATTACKER, FLOOD_NOW_MS, FLOOD_INTERVAL_MS, burst) === 0) admitted++;
  for (let i = 0; i < newKeysPerRound; i++, newest++) buckets.take(newest, Math.imul(newest, 0x9e3779b1), FLOOD_NOW_MS, FLOOD_INTERVAL_MS, burst);
}
parentPort?.postMessage(admitted);
