/** What a customer has had of a thread's time, and which of its connections wait for more. One a customer and thread. */

import {CUSTOMER} from '#src/shared/counters.ts';

/** What is counted of a customer's shares. */
export type TimeColumn = 'timeWaits' | 'timeWaitedMs' | 'timeRefusals';

/** A connection whose bytes wait for their turn. The fields belong to the account that it waits in. */
export interface Waiter {
  nextWaiter: Waiter | null;
  waitingSinceMs: number;
  /** Its turn has come. Returns whether what it is for comes in an event of its own, and has not been charged. @param waitedMs since it began to wait */
  proceed(waitedMs: number): boolean;
}

export class TimeAccount {
  /** Above 0, in relation to the other customers. */
  weight: number;
  /** Has had some time lately. */
  isActive = false;
  /** When it last had some. NaN makes it a floating-point field from the start. */
  activeMs = Number.NaN;
  /** What it has had beyond its share, as of `levelMs`: a bucket that leaks at the rate of its share. */
  level = 0;
  levelMs = 0;
  /** What it may still have in this round of those who wait, below 0: what it owes. */
  credit = 0;
  /** How many wait. */
  waiters = 0;
  #first: Waiter | null = null;
  #last: Waiter | null = null;

  /** This thread's row of the customer's counters; null: nobody's. */
  readonly #counters: Float64Array | null;

  constructor(weight: number, counters: Float64Array | null) {
    this.weight = weight;
    this.#counters = counters;
  }

  get hasWaiters(): boolean {
    return this.waiters > 0;
  }

  /** To the end of the line. The waiter must not be in one. */
  push(waiter: Waiter, nowMs: number): void {
    waiter.nextWaiter = null;
    waiter.waitingSinceMs = nowMs;
    if (this.#last === null) this.#first = waiter;
    else this.#last.nextWaiter = waiter;
    this.#last = waiter;
    this.waiters++;
    this.count('timeWaits', 1);
  }

  /** The one that has waited longest. */
  shift(nowMs: number): Waiter | null {
    const waiter = this.#first;
    if (waiter === null) return null;
    this.#first = waiter.nextWaiter;
    if (this.#first === null) this.#last = null;
    waiter.nextWaiter = null;
    this.waiters--;
    this.count('timeWaitedMs', nowMs - waiter.waitingSinceMs);
    return waiter;
  }

  count(column: TimeColumn, by: number): void {
    if (this.#counters === null) return;
    const at = CUSTOMER[column];
    this.#counters[at] = (this.#counters[at] as number) + by;
  }
}
