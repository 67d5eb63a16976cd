/** A crew's thread: adds to a plain cell under a lock. Without the lock, sums would be lost. */
import {parentPort, workerData} from 'node:worker_threads';
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface AddUnderLock {
  /** The lock and the sum. */
  readonly buffer: SharedArrayBuffer;
  readonly additions: number;
}

const crew: CrewData<AddUnderLock> = workerData;
const cells = new Int32Array(crew.task.buffer);
awaitCrew(crew);
for (let i = 0; i < crew.task.additions; i++) {
  const stamp = acquireLock(cells, 0);
  cells[1] = (cells[1] ?? 0) + 1;
  releaseLock(cells, 0, stamp);
}
parentPort?.postMessage('done');
