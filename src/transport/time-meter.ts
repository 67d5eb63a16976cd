/** Charges the events of a thread to the customers that they are for, and lets those who wait proceed at the end of each turn of the event loop. */
import {TimeAccount} from '#src/balance/time-account.ts';
import {TimeShares} from '#src/balance/time-shares.ts';
import type {Clock} from '#src/core/clock.ts';
import {LIMITS} from '#src/core/limits.ts';

export class TimeMeter {
  readonly shares = new TimeShares(() => this.#schedule());
  /** What nobody knows the customer of: together they have the share of one. */
  readonly strangers = new TimeAccount(1, null);
  readonly #clock: Clock;
  readonly #reportBug: (error: unknown) => void;
  #isScheduled = false;
  readonly #serve = (): void => {
    this.#clock.refresh();
    const {hasWaiters} = this.shares;
    try {
      this.shares.serve(this.#clock.nowMs);
    } catch (error) {
      this.#reportBug(error);
    }
    this.#isScheduled = false;
    // Once more after the last one: its turn is over then.
    if (hasWaiters) this.#schedule();
  };

  constructor(clock: Clock, reportBug: (error: unknown) => void) {
    this.#clock = clock;
    this.#reportBug = reportBug;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#serve);
  }

  /** An event is over that began when the clock was last refreshed. @param bytes that it has read */
  chargeEvent(account: TimeAccount, bytes: number): void {
    const {nowMs} = this.#clock, {shares} = this;
    shares.touch(account, nowMs);
    // Reading the clock is the larger part of what this costs.
    if (shares.isContended) shares.charge(account, this.#clock.elapsedMs() + LIMITS.eventMs + bytes * LIMITS.eventByteMs, nowMs);
  }

  /** What is known to take so long, and cannot be measured. */
  chargeFixed(account: TimeAccount, costMs: number): void {
    const {nowMs} = this.#clock, {shares} = this;
    shares.touch(account, nowMs);
    if (shares.isContended) shares.charge(account, costMs, nowMs);
  }
}
