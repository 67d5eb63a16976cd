/**
 * A crew's thread: counts and takes back places of one client as fast as it can, never more than it may, and posts how often more than the
 * cap were taken at once, by its own shared count of what all threads were granted.
 */
import {parentPort, workerData} from 'node:worker_threads';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface AddToClient {
  readonly buffer: SharedArrayBuffer;
  readonly max: number;
  /** One cell: places that are taken by the testimony of the threads. */
  readonly granted: SharedArrayBuffer;
  readonly rounds: number;
}

const crew: CrewData<AddToClient> = workerData;
const {buffer, max, rounds} = crew.task;
const counts = new ClientCounts(buffer, crew.threads, crew.thread);
const granted = new Int32Array(crew.task.granted);
let excesses = 0;
awaitCrew(crew);
for (let round = 0; round < rounds; round++) {
  let taken = 0;
  while (taken < max && counts.tryAdd(1, 1, max)) {
    taken++;
    if (Atomics.add(granted, 0, 1) + 1 > max) excesses++;
  }
  for (; taken > 0; taken--) {
    Atomics.sub(granted, 0, 1);
    counts.remove(1, 1);
  }
}
parentPort?.postMessage(excesses);
