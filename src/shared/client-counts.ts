/**
 * How much each client has of something (connections, requests in flight, bytes that are held for it), exact over all threads, in shared
 * memory of fixed size.
 *
 * The table is set-associative: a key belongs to one set of sixteen ways, and each set has a lock of its own. A way holds what its key has in
 * all, and each thread's part of that, so that the part of a thread that died can be taken back without knowing what it held. What is counted
 * is never evicted: there is room for twice as many keys as were asked for, and where the ways of one set are all taken nevertheless, a new
 * key is refused. Keys are signed words of a keyed hash: nobody outside can aim at a set.
 */
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const WAYS = 16;
const WAYS_PER_KEY = 2;
/** High and low word of a way's key, and what it has in all: 0 is a free way. Of all ways of a set side by side, because searches read them. */
const KEY_WORDS = 3;
const HIGH = 0, LOW = 1, TOTAL = 2;
/** A set begins with its lock. */
const LOCK_WORDS = 1;

function setsFor(keysMax: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(keysMax * WAYS_PER_KEY / WAYS, 1)));
}

function wordsPerSet(threads: number): number {
  return LOCK_WORDS + WAYS * (KEY_WORDS + threads);
}

export class ClientCounts {
  readonly #cells: Int32Array;
  readonly #threads: number;
  readonly #thread: number;
  readonly #setMask: number;
  readonly #wordsPerSet: number;

  /** `keysMax`: clients that have something at the same time. */
  static byteLength(threads: number, keysMax: number): number {
    return setsFor(keysMax) * wordsPerSet(threads) * WORD_BYTES;
  }

  /** A view for one thread, of memory for as many threads. */
  constructor(buffer: SharedArrayBuffer, threads: number, thread: number) {
    const sets = buffer.byteLength / WORD_BYTES / wordsPerSet(threads);
    if (!Number.isInteger(Math.log2(sets))) throw new RangeError(`${buffer.byteLength} bytes are not a table of counts for ${threads} threads`);
    this.#cells = new Int32Array(buffer);
    this.#threads = threads;
    this.#thread = thread;
    this.#setMask = sets - 1;
    this.#wordsPerSet = wordsPerSet(threads);
  }

  /** Counts one more, unless there are `max` of them. */
  tryAdd(keyHigh: number, keyLow: number, max: number): boolean {
    const set = this.#setOf(keyLow);
    const stamp = acquireLock(this.#cells, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    const isAdded = way >= 0 && this.#totalOf(set, way) < max;
    if (isAdded) this.#write(set, way, keyHigh, keyLow, 1);
    releaseLock(this.#cells, set, stamp);
    return isAdded;
  }

  /** Counts so much more, whatever that makes. False where there was no room for the key: then nothing is counted, and nothing must be taken back. */
  add(keyHigh: number, keyLow: number, amount: number): boolean {
    const set = this.#setOf(keyLow);
    const stamp = acquireLock(this.#cells, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    if (way >= 0) this.#write(set, way, keyHigh, keyLow, amount);
    releaseLock(this.#cells, set, stamp);
    return way >= 0;
  }

  /** Takes back what this thread has counted, or some of it. */
  remove(keyHigh: number, keyLow: number, amount = 1): void {
    const set = this.#setOf(keyLow);
    const stamp = acquireLock(this.#cells, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    const isCounted = way >= 0 && this.#totalOf(set, way) > 0 && (this.#cells[this.#partAt(set, way)] as number) >= amount;
    if (isCounted) this.#write(set, way, keyHigh, keyLow, -amount);
    releaseLock(this.#cells, set, stamp);
    if (!isCounted) throw new Error('more was taken back than was counted');
  }

  /** What the key has, over all threads. */
  countOf(keyHigh: number, keyLow: number): number {
    const set = this.#setOf(keyLow);
    const stamp = acquireLock(this.#cells, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    const count = way >= 0 ? this.#totalOf(set, way) : 0;
    releaseLock(this.#cells, set, stamp);
    return count;
  }

  /** Takes back what the thread of this view had counted: it died. Called by the control thread. */
  forgetThread(): void {
    for (let set = 0; set < this.#cells.length; set += this.#wordsPerSet) {
      // Only looking at a set that was never used takes no memory for it, and a lock would.
      if (!this.#isConcerned(set)) continue;
      const stamp = acquireLock(this.#cells, set);
      for (let way = 0; way < WAYS; way++) this.#forgetPart(set, way);
      releaseLock(this.#cells, set, stamp);
    }
  }

  /** The thread has a part of something there, or may have died with the set's lock. */
  #isConcerned(set: number): boolean {
    if ((Atomics.load(this.#cells, set) & 1) !== 0) return true;
    for (let way = 0; way < WAYS; way++) if (this.#cells[this.#partAt(set, way)] !== 0) return true;
    return false;
  }

  /** The total is added up anew: the thread may have died between two words. */
  #forgetPart(set: number, way: number): void {
    this.#cells[this.#partAt(set, way)] = 0;
    const first = this.#partAt(set, way, 0);
    let total = 0;
    for (let part = first; part < first + this.#threads; part++) total += this.#cells[part] as number;
    this.#cells[this.#keyAt(set, way) + TOTAL] = total;
  }

  #setOf(keyLow: number): number {
    return (keyLow & this.#setMask) * this.#wordsPerSet;
  }

  #keyAt(set: number, way: number): number {
    return set + LOCK_WORDS + way * KEY_WORDS;
  }

  #partAt(set: number, way: number, thread = this.#thread): number {
    return set + LOCK_WORDS + WAYS * KEY_WORDS + way * this.#threads + thread;
  }

  #totalOf(set: number, way: number): number {
    return this.#cells[this.#keyAt(set, way) + TOTAL] as number;
  }

  /** The way that holds the key, else a free one, else -1. */
  #findWay(set: number, keyHigh: number, keyLow: number): number {
    let free = -1;
    for (let way = 0, at = this.#keyAt(set, 0); way < WAYS; way++, at += KEY_WORDS) {
      if (this.#cells[at + TOTAL] === 0) free = free < 0 ? way : free;
      else if (this.#cells[at + LOW] === keyLow && this.#cells[at + HIGH] === keyHigh) return way;
    }
    return free;
  }

  #write(set: number, way: number, keyHigh: number, keyLow: number, change: number): void {
    const at = this.#keyAt(set, way), part = this.#partAt(set, way);
    this.#cells[part] = (this.#cells[part] as number) + change;
    this.#cells[at + HIGH] = keyHigh;
    this.#cells[at + LOW] = keyLow;
    this.#cells[at + TOTAL] = (this.#cells[at + TOTAL] as number) + change;
  }
}
