/**
 * A crew's thread: opens and closes connections of one client as fast as it can, never more than it may, and posts how often more than
 * the cap were open at once, by its own shared count of what all threads were granted.
 */
import {parentPort, workerData} from 'node:worker_threads';
import {ConnectionTable} from '#src/shared/connection-table.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface OpenConnections {
  readonly buffer: SharedArrayBuffer;
  readonly connectionsMax: number;
  readonly perClientMax: number;
  /** One cell: connections that are open by the testimony of the threads. */
  readonly granted: SharedArrayBuffer;
  readonly rounds: number;
}

const crew: CrewData<OpenConnections> = workerData;
const {buffer, connectionsMax, perClientMax, rounds} = crew.task;
const table = new ConnectionTable(buffer, crew.threads, crew.thread, connectionsMax);
const granted = new Int32Array(crew.task.granted);
let excesses = 0;
awaitCrew(crew);
for (let round = 0; round < rounds; round++) {
  let open = 0;
  while (open < perClientMax && table.tryOpen(1, 1, perClientMax) === 'ok') {
    open++;
    if (Atomics.add(granted, 0, 1) + 1 > perClientMax) excesses++;
  }
  for (; open > 0; open--) {
    Atomics.sub(granted, 0, 1);
    table.close(1, 1);
  }
}
parentPort?.postMessage(excesses);
