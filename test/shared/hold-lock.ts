/** A thread that takes a lock and never lets go of it. */
import {parentPort, workerData} from 'node:worker_threads';
import {acquireLock} from '#src/shared/shared-lock.ts';

const buffer: SharedArrayBuffer = workerData;
parentPort?.postMessage(acquireLock(new Int32Array(buffer), 0));
