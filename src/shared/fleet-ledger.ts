/**
 * What proxy threads have taken of limits that a whole fleet shares, and the control thread has not told the fleet yet: a table of fixed
 * size in shared memory. A request adds one to a number and waits for nobody; the control thread empties the table several times a second.
 *
 * The table is set-associative like that of the buckets. Where a set is full, what is taken is counted as untold: the bucket of this node
 * has it all the same.
 */
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';

const WAYS = 8;
const WORDS_PER_WAY = 4;
const HIGH = 0, LOW = 1, BURST = 2, TAKEN = 3;
const BYTES_PER_SET = WAYS * (Float64Array.BYTES_PER_ELEMENT + WORDS_PER_WAY * Int32Array.BYTES_PER_ELEMENT) + Int32Array.BYTES_PER_ELEMENT;
/** One cell at the end: how much could not be noted. */
const UNTOLD_BYTES = Int32Array.BYTES_PER_ELEMENT;

export interface LedgerEntry {
  readonly keyHigh: number;
  readonly keyLow: number;
  readonly intervalMs: number;
  readonly burst: number;
  /** Tokens that were taken. */
  readonly taken: number;
}

function setsFor(keysMax: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(keysMax / WAYS, 1)));
}

export class FleetLedger {
  readonly #intervalsMs: Float64Array;
  readonly #words: Int32Array;
  readonly #locks: Int32Array;
  readonly #untold: Int32Array;
  readonly #sets: number;
  /** Where the next `drain` begins, so that none waits for ever behind others. */
  #next = 0;

  static byteLength(keysMax: number): number {
    return setsFor(keysMax) * BYTES_PER_SET + UNTOLD_BYTES;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#sets = (buffer.byteLength - UNTOLD_BYTES) / BYTES_PER_SET;
    if (setsFor(this.#sets * WAYS) !== this.#sets) throw new RangeError(`${buffer.byteLength} bytes are not a ledger`);
    const ways = this.#sets * WAYS;
    this.#intervalsMs = new Float64Array(buffer, 0, ways);
    this.#words = new Int32Array(buffer, this.#intervalsMs.byteLength, ways * WORDS_PER_WAY);
    const locksAt = this.#intervalsMs.byteLength + this.#words.byteLength;
    this.#locks = new Int32Array(buffer, locksAt, this.#sets);
    this.#untold = new Int32Array(buffer, locksAt + this.#locks.byteLength, 1);
  }

  /** Tokens that did not fit in, modulo 2^32. */
  get untold(): number {
    return Atomics.load(this.#untold, 0) >>> 0;
  }

  add(keyHigh: number, keyLow: number, intervalMs: number, burst: number, taken = 1): void {
    const set = keyLow & (this.#sets - 1);
    const stamp = acquireLock(this.#locks, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    if (way < 0) Atomics.add(this.#untold, 0, taken);
    else {
      const at = way * WORDS_PER_WAY;
      this.#words[at + HIGH] = keyHigh;
      this.#words[at + LOW] = keyLow;
      this.#words[at + BURST] = burst;
      this.#words[at + TAKEN] = (this.#words[at + TAKEN] as number) + taken;
      this.#intervalsMs[way] = intervalMs;
    }
    releaseLock(this.#locks, set, stamp);
  }

  /** What was added for the key since it was last drained. */
  takenOf(keyHigh: number, keyLow: number): number {
    const set = keyLow & (this.#sets - 1);
    const stamp = acquireLock(this.#locks, set);
    const way = this.#findWay(set, keyHigh, keyLow);
    const taken = way < 0 ? 0 : this.#words[way * WORDS_PER_WAY + TAKEN] as number;
    releaseLock(this.#locks, set, stamp);
    return taken;
  }

  /** Takes up to about `entriesMax` entries out. */
  drain(entriesMax: number): readonly LedgerEntry[] {
    const entries: LedgerEntry[] = [];
    for (let count = 0; count < this.#sets && entries.length < entriesMax; count++) {
      this.#drainSet(this.#next, entries);
      this.#next = (this.#next + 1) & (this.#sets - 1);
    }
    return entries;
  }

  #drainSet(set: number, entries: LedgerEntry[]): void {
    if (this.#isEmpty(set)) return;
    const stamp = acquireLock(this.#locks, set);
    for (let way = set * WAYS; way < (set + 1) * WAYS; way++) {
      const [keyHigh = 0, keyLow = 0, burst = 0, taken = 0] = this.#words.subarray(way * WORDS_PER_WAY, (way + 1) * WORDS_PER_WAY);
      if (taken === 0) continue;
      entries.push({keyHigh, keyLow, burst, taken, intervalMs: this.#intervalsMs[way] ?? 0});
      this.#words[way * WORDS_PER_WAY + TAKEN] = 0;
    }
    releaseLock(this.#locks, set, stamp);
  }

  /** Without the lock: what is added at this moment is found the next time. */
  #isEmpty(set: number): boolean {
    for (let way = set * WAYS; way < (set + 1) * WAYS; way++) if (this.#words[way * WORDS_PER_WAY + TAKEN] !== 0) return false;
    return true;
  }

  /** The way that holds the key, else a free one; -1 without either. */
  #findWay(set: number, keyHigh: number, keyLow: number): number {
    let free = -1;
    for (let way = set * WAYS; way < (set + 1) * WAYS; way++) {
      const at = way * WORDS_PER_WAY;
      if (this.#words[at + TAKEN] === 0) free = way;
      else if (this.#words[at + HIGH] === keyHigh && this.#words[at + LOW] === keyLow) return way;
    }
    return free;
  }
}
