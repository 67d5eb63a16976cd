/**
 * Has passwords checked in a thread of its own: a check takes a large part of a second of a core, in which the proxy thread would serve
 * nobody. (Node's own thread pool would do for scrypt, but the access log is written by it.) One check at a time; customers take
 * turns, so that the passwords that are tried on one never keep the users of another waiting for more than one check.
 */
import {Worker} from 'node:worker_threads';
import {LIMITS} from '#src/core/limits.ts';

export interface PasswordQuestion {
  readonly password: string;
  readonly hash: string;
}

export interface PasswordJob extends PasswordQuestion {
  readonly customer: string;
  /** Its turn has come. False: the answer is not wanted any more. */
  start(): boolean;
  /** Null: the check could not be made. */
  finish(matches: boolean | null): void;
}

export class PasswordChecker {
  readonly #reportBug: (error: unknown) => void;
  /** Waiting jobs by customer; the order of the keys is whose turn it is. */
  readonly #waiting = new Map<string, PasswordJob[]>();
  #waitingTotal = 0;
  #running: PasswordJob | null = null;
  #worker: Worker | null = null;

  constructor(reportBug: (error: unknown) => void) {
    this.#reportBug = reportBug;
  }

  /** False where too many are waiting. */
  enqueue(job: PasswordJob): boolean {
    const queue = this.#waiting.get(job.customer) ?? [];
    if (this.#waitingTotal >= LIMITS.passwordsWaitingMax || queue.length >= LIMITS.passwordsWaitingPerCustomerMax) return false;
    queue.push(job);
    this.#waitingTotal++;
    this.#waiting.set(job.customer, queue);
    // Not at once: nobody is answered before the question has been put.
    if (this.#running === null) queueMicrotask(() => { this.#next(); });
    return true;
  }

  /** Ends the thread; what waits is never answered. */
  async close(): Promise<void> {
    this.#waiting.clear();
    this.#waitingTotal = 0;
    this.#running = null;
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #next(): void {
    while (this.#running === null) {
      const job = this.#take();
      if (job === null) return;
      if (!job.start()) continue;
      this.#running = job;
      (this.#worker ??= this.#startWorker()).postMessage({password: job.password, hash: job.hash} satisfies PasswordQuestion);
    }
  }

  /** The next customer's first job; then it is the turn of the others. */
  #take(): PasswordJob | null {
    for (const [customer, queue] of this.#waiting) {
      this.#waiting.delete(customer);
      const job = queue.shift();
      if (queue.length > 0) this.#waiting.set(customer, queue);
      if (job === undefined) continue;
      this.#waitingTotal--;
      return job;
    }
    return null;
  }

  #startWorker(): Worker {
    const worker = new Worker(new URL('password-worker.ts', import.meta.url), {name: 'passwords'});
    // It has nothing to do but answer: it keeps no process alive.
    worker.unref();
    worker.on('message', (matches: boolean) => this.#settle(matches));
    worker.on('error', (error) => this.#reportBug(error));
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = null;
      this.#settle(null);
    });
    return worker;
  }

  #settle(matches: boolean | null): void {
    const job = this.#running;
    this.#running = null;
    job?.finish(matches);
    this.#next();
  }
}
