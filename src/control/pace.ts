/**
 * Long work of the control thread, in short stretches. Where it shares a CPU with a proxy thread, the kernel lets each of the two run
 * for milliseconds before it asks the other one; whoever sleeps for a moment is not waited for that long. The stretches also let probes,
 * bans and the admin listener be served in between.
 */
import {setImmediate} from 'node:timers/promises';
import type {Rest} from '#src/config/load.ts';

/** Shorter ones would show in the time of a reload. */
const STRETCH_MS = 1;
/** As short as the kernel's timers allow: about 0.1 ms. Timers of the event loop take ten times as long. */
const PAUSE_MS = 0.01;

export interface PaceParts {
  /** Monotonic time in milliseconds. */
  readonly clock: () => number;
  /** Blocks the thread. */
  readonly pause: () => void;
}

/** To be called between parts of long work: as a rule it does nothing. */
export function createRest({clock, pause}: PaceParts = {clock: () => performance.now(), pause: sleep}): Rest {
  let sinceMs = clock();
  return async () => {
    if (clock() - sinceMs < STRETCH_MS) return;
    pause();
    await setImmediate();
    sinceMs = clock();
  };
}

const NEVER = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

function sleep(): void {
  Atomics.wait(NEVER, 0, 0, PAUSE_MS);
}
