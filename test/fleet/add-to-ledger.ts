/** A crew's thread: the first drains, all others add. Each posts how much it has drained. */
import {parentPort, workerData} from 'node:worker_threads';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface AddToLedger {
  readonly buffer: SharedArrayBuffer;
  readonly adds: number;
}

const crew: CrewData<AddToLedger> = workerData;
const {buffer, adds} = crew.task;
const ledger = new FleetLedger(buffer);
let drained = 0;
awaitCrew(crew);
for (let i = 0; i < adds; i++) {
  if (crew.thread > 0) ledger.add(i % 100, Math.imul(i % 100, 0x9e3779b1), 1, 1);
  else if (i % 100 === 0) for (const {taken} of ledger.drain(1000)) drained += taken;
}
parentPort?.postMessage(drained);
