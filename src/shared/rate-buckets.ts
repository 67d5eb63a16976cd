/**
 * Token buckets of all limits and all clients in shared memory: exact over all threads, of fixed size, nothing allocated per call.
 *
 * A bucket is one number (the generic cell rate algorithm, ITU-T I.371): its *arrival time*, the moment at which it would be full
 * again. What lies ahead of now is the bucket's debt. The table is set-associative: a key belongs to one set of eight ways, and each set has a
 * lock of its own. A new key takes the way with the least debt and keeps that debt. So an idle way is reused first, and where every way
 * is live, eviction never forgives: the least arrival time of a set never decreases, so that whoever was evicted comes back with at
 * least its own debt. A flood of new keys cannot wash an attacker's debt away; all that it can do is share it.
 */
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';

const WAYS = 8;
const WORDS_PER_WAY = 2;
/** Of each way: 8 bytes of arrival time and 8 of key. Of each set: one lock. */
const BYTES_PER_SET = WAYS * (Float64Array.BYTES_PER_ELEMENT + WORDS_PER_WAY * Int32Array.BYTES_PER_ELEMENT) + Int32Array.BYTES_PER_ELEMENT;

/** By how much the rounding of floating-point sums may make a request early: without it, the last of a burst would be refused at times. */
const ROUNDING_MS = 1e-3;

function setsFor(keysMax: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(keysMax / WAYS, 1)));
}

export class RateBuckets {
  /** Milliseconds of the monotonic clock. */
  readonly #arrivalsMs: Float64Array;
  /** High and low word of each way's key. */
  readonly #keys: Int32Array;
  readonly #locks: Int32Array;
  readonly #setMask: number;

  /**
   * Bytes for `keysMax` live keys. Beyond it, new keys share the debt of others: size it so that only a flood gets there. Limits of
   * very different intervals should not share a table, because a debt of hours would then fall on a limit of seconds.
   */
  static byteLength(keysMax: number): number {
    return setsFor(keysMax) * BYTES_PER_SET;
  }

  constructor(buffer: SharedArrayBuffer) {
    const sets = buffer.byteLength / BYTES_PER_SET;
    if (setsFor(sets * WAYS) !== sets) throw new RangeError(`${buffer.byteLength} bytes are not a table of rate buckets`);
    const ways = sets * WAYS;
    this.#arrivalsMs = new Float64Array(buffer, 0, ways);
    this.#keys = new Int32Array(buffer, this.#arrivalsMs.byteLength, ways * WORDS_PER_WAY);
    this.#locks = new Int32Array(buffer, this.#arrivalsMs.byteLength + this.#keys.byteLength, sets);
    this.#setMask = sets - 1;
  }

  /**
   * Takes one token of a bucket that gains one every `intervalMs` and holds `burst`: 0 if it was there, else the milliseconds until one
   * would be. `keyHigh` and `keyLow` (signed words) are a keyed hash of the limit and whom it counts.
   */
  take(keyHigh: number, keyLow: number, nowMs: number, intervalMs: number, burst: number): number {
    const set = keyLow & this.#setMask;
    const stamp = acquireLock(this.#locks, set);
    const way = this.#findWay(set * WAYS, keyHigh, keyLow);
    const arrivalMs = Math.max(this.#arrivalsMs[way] ?? 0, nowMs);
    const excessMs = arrivalMs - nowMs - (burst - 1) * intervalMs;
    const isAdmitted = excessMs <= ROUNDING_MS;
    if (isAdmitted) {
      this.#arrivalsMs[way] = arrivalMs + intervalMs;
      this.#keys[way * WORDS_PER_WAY] = keyHigh;
      this.#keys[way * WORDS_PER_WAY + 1] = keyLow;
    }
    releaseLock(this.#locks, set, stamp);
    return isAdmitted ? 0 : excessMs;
  }

  /**
   * Gives one token back that was taken for nothing. Whoever was evicted from the set meanwhile may come back with a little less than
   * its own debt: a table for this use is not one in which that matters.
   */
  giveBack(keyHigh: number, keyLow: number, intervalMs: number): void {
    this.#change(keyHigh, keyLow, (arrivalMs) => arrivalMs - intervalMs);
  }

  /** Makes the bucket full at `arrivalMs` at the earliest: others have taken of it as well. Where every way of the set owes more, nothing changes. */
  raise(keyHigh: number, keyLow: number, arrivalMs: number): void {
    const set = keyLow & this.#setMask;
    const stamp = acquireLock(this.#locks, set);
    const way = this.#findWay(set * WAYS, keyHigh, keyLow);
    if ((this.#arrivalsMs[way] ?? 0) < arrivalMs) {
      this.#arrivalsMs[way] = arrivalMs;
      this.#keys[way * WORDS_PER_WAY] = keyHigh;
      this.#keys[way * WORDS_PER_WAY + 1] = keyLow;
    }
    releaseLock(this.#locks, set, stamp);
  }

  /** Fills the bucket. */
  clear(keyHigh: number, keyLow: number): void {
    this.#change(keyHigh, keyLow, () => 0);
  }

  /** Milliseconds until the bucket is full; 0 for one that nothing is known of. */
  debt(keyHigh: number, keyLow: number, nowMs: number): number {
    let debtMs = 0;
    this.#change(keyHigh, keyLow, (arrivalMs) => {
      debtMs = Math.max(0, arrivalMs - nowMs);
      return arrivalMs;
    });
    return debtMs;
  }

  #change(keyHigh: number, keyLow: number, change: (arrivalMs: number) => number): void {
    const set = keyLow & this.#setMask;
    const stamp = acquireLock(this.#locks, set);
    const way = this.#findWay(set * WAYS, keyHigh, keyLow);
    const isKnown = this.#keys[way * WORDS_PER_WAY] === keyHigh && this.#keys[way * WORDS_PER_WAY + 1] === keyLow;
    if (isKnown) this.#arrivalsMs[way] = change(this.#arrivalsMs[way] ?? 0);
    releaseLock(this.#locks, set, stamp);
  }

  /** What `take` would return, without taking anything. */
  wait(keyHigh: number, keyLow: number, nowMs: number, intervalMs: number, burst: number): number {
    const set = keyLow & this.#setMask;
    const stamp = acquireLock(this.#locks, set);
    const arrivalMs = this.#arrivalsMs[this.#findWay(set * WAYS, keyHigh, keyLow)] ?? 0;
    releaseLock(this.#locks, set, stamp);
    const excessMs = arrivalMs - nowMs - (burst - 1) * intervalMs;
    return excessMs <= ROUNDING_MS ? 0 : excessMs;
  }

  /** The way that holds the key, else the one with the least debt. */
  #findWay(firstWay: number, keyHigh: number, keyLow: number): number {
    let least = firstWay;
    for (let way = firstWay; way < firstWay + WAYS; way++) {
      if (this.#keys[way * WORDS_PER_WAY] === keyHigh && this.#keys[way * WORDS_PER_WAY + 1] === keyLow) return way;
      if ((this.#arrivalsMs[way] ?? 0) < (this.#arrivalsMs[least] ?? 0)) least = way;
    }
    return least;
  }
}
