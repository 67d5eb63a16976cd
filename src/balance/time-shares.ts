/**
 * Shares of one thread's time. Whoever has had more than its share of late, while the thread is short of time, waits for the end of the turn
 * of the event loop; then those who wait have turns by weight (deficit round robin, Shreedhar and Varghese, 1995), and as soon as they have
 * had a slice all sockets are looked at again. So a turn is short however many requests of one customer are there, others find the thread
 * free soon, and nothing that is idle stays idle.
 *
 * Time is what events have taken by the clock and not a count of requests: clients choose what they ask for.
 */
import {LIMITS} from '#src/core/limits.ts';
import type {TimeAccount, Waiter} from '#src/balance/time-account.ts';

const {timeSliceMs: SLICE_MS} = LIMITS;
/** What a customer may have at once before it is beyond its share, however many others there are: a page brings a dozen requests. */
const BURST_MS = 0.5;
/** More than that part of what it had when nobody else wanted it is not held against a customer. */
const EXCESS_MS_MAX = 1.6;
const DEBT_MS_MAX = 1;
/** Turns at once whose events are yet to come. */
const PROMISES_MAX = 2;

export class TimeShares {
  /** Accounts that have had some time lately, and their weights. */
  readonly #active: TimeAccount[] = [];
  #weights = 0;
  /** Those with waiters; the first one's turn it is. */
  readonly #waiting: TimeAccount[] = [];
  readonly #onWaiting: () => void;
  /** What the thread has done of late beyond the part of its time that is nobody's concern: a leaking bucket. */
  #level = 0;
  #levelMs = 0;
  /** All that was ever charged. */
  #chargedMs = 0;
  /** How often those who wait have been served: a turn that is not taken before the next time is over. */
  round = 0;

  /** @param onWaiting the first one waits: `serve` is to be called at the end of this turn of the event loop */
  constructor(onWaiting: () => void) {
    this.#onWaiting = onWaiting;
  }

  /** More than one has had some time lately. Otherwise nothing needs to be measured. */
  get isContended(): boolean {
    return this.#active.length > 1;
  }

  get hasWaiters(): boolean {
    return this.#waiting.length > 0;
  }

  /** The account has an event. */
  touch(account: TimeAccount, nowMs: number): void {
    account.activeMs = nowMs;
    if (!account.isActive) this.#activate(account);
  }

  #activate(account: TimeAccount): void {
    account.isActive = true;
    account.level = 0;
    this.#active.push(account);
    this.#weigh();
  }

  #weigh(): void {
    this.#weights = this.#active.reduce((sum, {weight}) => sum + weight, 0);
  }

  /** Forgets who has had nothing for a while. Call it now and then. */
  tick(nowMs: number): void {
    let kept = 0;
    for (const account of this.#active) {
      account.isActive = account.hasWaiters || nowMs - account.activeMs < LIMITS.timeActiveMs;
      if (account.isActive) this.#active[kept++] = account;
    }
    this.#active.length = kept;
    // Weights may have been changed by a reload.
    this.#weigh();
  }

  /** The account's event has taken so long. */
  charge(account: TimeAccount, costMs: number, nowMs: number): void {
    this.#chargedMs += costMs;
    const share = account.weight / this.#weights;
    this.#level = Math.min(leak(this.#level, nowMs - this.#levelMs, LIMITS.timeFreePart) + costMs, EXCESS_MS_MAX);
    this.#levelMs = nowMs;
    account.level = Math.min(leak(account.level, nowMs - account.levelMs, share) + costMs, BURST_MS + EXCESS_MS_MAX * share);
    account.levelMs = nowMs;
    account.credit = Math.max(account.credit - costMs, -DEBT_MS_MAX);
  }

  /** Whether what has come for the account has to wait for its turn. */
  mustWait(account: TimeAccount, nowMs: number): boolean {
    if (!this.isContended || !account.isActive) return false;
    if (account.hasWaiters) return true;
    if (leak(this.#level, nowMs - this.#levelMs, LIMITS.timeFreePart) <= SLICE_MS) return false;
    return this.#excess(account, nowMs) > 0;
  }

  #excess(account: TimeAccount, nowMs: number): number {
    return Math.max(0, leak(account.level, nowMs - account.levelMs, account.weight / this.#weights) - BURST_MS);
  }

  wait(account: TimeAccount, waiter: Waiter, nowMs: number): void {
    this.touch(account, nowMs);
    if (!account.hasWaiters) {
      this.#waiting.push(account);
      // What was within its share is owed to nobody.
      account.credit = Math.max(account.credit, -this.#excess(account, nowMs));
    }
    account.push(waiter, nowMs);
    if (this.#waiting.length === 1) this.#onWaiting();
  }

  /** Lets those who wait proceed until a slice of time has been charged. Call it once a turn of the event loop while there are waiters. */
  serve(nowMs: number): void {
    this.round++;
    const endMs = this.#chargedMs + SLICE_MS;
    let passed = 0, promises = 0;
    while (this.#chargedMs < endMs && promises < PROMISES_MAX) {
      const account = this.#waiting[0];
      if (account === undefined) return;
      if (account.credit > 0) {
        if (this.#proceed(account, nowMs)) promises++;
        passed = 0;
      } else if (passed++ < this.#waiting.length) this.#rotate(account);
      else {
        this.#payDebts();
        passed = 0;
      }
    }
  }

  /** All of them owe: as many rounds at once as it takes until one may proceed again. */
  #payDebts(): void {
    const rounds = this.#waiting.reduce((least, {credit, weight}) => Math.min(least, -credit / weight), Infinity);
    if (rounds <= 0) return;
    for (const account of this.#waiting) account.credit += rounds * account.weight;
  }

  #proceed(account: TimeAccount, nowMs: number): boolean {
    const waiter = account.shift(nowMs);
    if (!account.hasWaiters) {
      account.credit = 0;
      this.#waiting.shift();
    }
    return waiter?.proceed(nowMs - waiter.waitingSinceMs) ?? false;
  }

  /** The next one's turn; this one's credit grows. */
  #rotate(account: TimeAccount): void {
    account.credit += SLICE_MS * account.weight / this.#weights;
    this.#waiting.shift();
    this.#waiting.push(account);
  }
}

/** A bucket after it has leaked. */
function leak(level: number, elapsedMs: number, rate: number): number {
  return Math.max(0, level - elapsedMs * rate);
}
