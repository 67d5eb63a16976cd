/**
 * A crew's thread: takes and frees places as fast as it can, one after the other with those that it has, and posts how often more than the cap
 * were taken at once, by its own shared count of what all threads were granted.
 */
import {parentPort, workerData} from 'node:worker_threads';
import type {PlaceKind} from '#src/shared/place-kinds.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import type {SlotRef} from '#src/shared/slots.ts';
import {makePlaces} from '#test/balance/places.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export type Scope = 'node' | 'client' | 'customer';

export interface TakePlaces {
  readonly memory: SharedMemory;
  readonly account: SlotRef;
  readonly kind: PlaceKind;
  /** Whose cap is `max`; the others have none to speak of. */
  readonly scope: Scope;
  readonly max: number;
  /** One cell: places that are taken by the testimony of the threads. */
  readonly granted: SharedArrayBuffer;
  readonly rounds: number;
}

const crew: CrewData<TakePlaces> = workerData;
const {max, rounds} = crew.task;
const {places, account, client} = makePlaces(crew.task, crew.threads, crew.thread);
const granted = new Int32Array(crew.task.granted);
let excesses = 0;
awaitCrew(crew);
for (let round = 0; round < rounds; round++) {
  let taken = 0;
  while (taken < max && places.take(client, account) === null) {
    taken++;
    if (Atomics.add(granted, 0, 1) + 1 > max) excesses++;
  }
  for (; taken > 0; taken--) {
    Atomics.sub(granted, 0, 1);
    places.free(client, account);
  }
}
parentPort?.postMessage(excesses);
