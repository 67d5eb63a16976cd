/** Runs a module in several worker threads that begin at the same moment, and gathers what each posts. */
import {once} from 'node:events';
import {Worker} from 'node:worker_threads';

/** `workerData` of a crew's thread. */
export interface CrewData<Task> {
  readonly task: Task;
  readonly thread: number;
  /** One cell: how many threads have arrived; all wait here for the last. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

/** Called by each thread before its work. */
export function awaitCrew({gate, threads}: CrewData<unknown>): void {
  const cells = new Int32Array(gate);
  if (Atomics.add(cells, 0, 1) + 1 === threads) Atomics.notify(cells, 0);
  for (let arrived = Atomics.load(cells, 0); arrived < threads; arrived = Atomics.load(cells, 0)) Atomics.wait(cells, 0, arrived, 10_000);
}

/** The module posts one message, its result. */
export async function runCrew(module: URL, threads: number, task: unknown): Promise<unknown[]> {
  const gate = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const workers = Array.from({length: threads}, (_, thread) => {
    const workerData: CrewData<unknown> = {task, thread, gate, threads};
    return new Worker(module, {workerData});
  });
  const results = await Promise.all(workers.map(async (worker) => {
    const message: unknown[] = await once(worker, 'message');
    return message[0];
  }));
  await Promise.all(workers.map((worker) => worker.terminate()));
  return results;
}
