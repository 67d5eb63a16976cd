/**
 * Open connections by client over all threads, in shared memory of fixed size.
 *
 * Each thread counts in a table of its own (open addressing with linear probing), so that the share of a thread that died can be wiped
 * without knowing what it held. A check counts the connection first, then adds up all threads, and takes itself back if that is too
 * much: two threads that check at once may both refuse the last place for a moment, but never both give it. Keys are signed words.
 */
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
/** A thread's header is a cache line: its lock, and the number of its connections. */
const HEADER_WORDS = 16;
const LOCK = 0, TOTAL = 1;
/** Key (high, low) and count; a count of 0 is a free place. */
const ENTRY_WORDS = 3;
const HIGH = 0, LOW = 1, COUNT = 2;
/** Linear probing needs free places to stay short. */
const PLACES_PER_CONNECTION = 1.25;

function placesFor(connectionsMax: number): number {
  return 2 ** Math.ceil(Math.log2(connectionsMax * PLACES_PER_CONNECTION + 1));
}

export class ConnectionTable {
  readonly #cells: Int32Array;
  readonly #threads: number;
  readonly #thread: number;
  readonly #connectionsMax: number;
  readonly #placeMask: number;
  readonly #wordsPerThread: number;

  /** `connectionsMax` is what the table can hold: the highest cap that may ever be configured while the process lives. */
  static byteLength(threads: number, connectionsMax: number): number {
    return threads * (HEADER_WORDS + placesFor(connectionsMax) * ENTRY_WORDS) * WORD_BYTES;
  }

  /** A view for one thread, with the arguments of `byteLength`. */
  constructor(buffer: SharedArrayBuffer, threads: number, thread: number, connectionsMax: number) {
    if (buffer.byteLength !== ConnectionTable.byteLength(threads, connectionsMax)) {
      throw new RangeError(`${buffer.byteLength} bytes are not a table of ${connectionsMax} connections for ${threads} threads`);
    }
    this.#cells = new Int32Array(buffer);
    this.#threads = threads;
    this.#thread = thread;
    this.#connectionsMax = connectionsMax;
    this.#placeMask = placesFor(connectionsMax) - 1;
    this.#wordsPerThread = this.#cells.length / threads;
  }

  /** Open connections of all threads. */
  get total(): number {
    let total = 0;
    for (let thread = 0; thread < this.#threads; thread++) total += Atomics.load(this.#cells, this.#headerOf(thread) + TOTAL);
    return total;
  }

  /**
   * Counts a connection of this thread, or says which cap refuses it. `totalMax` is the cap that the configuration has at the moment,
   * and what the table can hold is the limit of that.
   */
  tryOpen(keyHigh: number, keyLow: number, perClientMax: number, totalMax = this.#connectionsMax): 'ok' | 'client' | 'total' {
    const totalCell = this.#headerOf(this.#thread) + TOTAL;
    Atomics.add(this.#cells, totalCell, 1);
    if (this.total > Math.min(totalMax, this.#connectionsMax)) {
      Atomics.sub(this.#cells, totalCell, 1);
      return 'total';
    }
    this.#changeCount(keyHigh, keyLow, 1);
    if (this.#countOf(keyHigh, keyLow) > perClientMax) {
      this.close(keyHigh, keyLow);
      return 'client';
    }
    return 'ok';
  }

  /** Takes back a connection that `tryOpen` of this thread has counted. */
  close(keyHigh: number, keyLow: number): void {
    this.#changeCount(keyHigh, keyLow, -1);
    Atomics.sub(this.#cells, this.#headerOf(this.#thread) + TOTAL, 1);
  }

  /** Wipes the share of a thread that no longer runs. */
  forgetThread(thread: number): void {
    const header = this.#headerOf(thread);
    const stamp = acquireLock(this.#cells, header + LOCK);
    this.#cells.fill(0, header + HEADER_WORDS, header + this.#wordsPerThread);
    Atomics.store(this.#cells, header + TOTAL, 0);
    releaseLock(this.#cells, header + LOCK, stamp);
  }

  #countOf(keyHigh: number, keyLow: number): number {
    let count = 0;
    for (let thread = 0; thread < this.#threads; thread++) {
      const header = this.#headerOf(thread);
      const stamp = acquireLock(this.#cells, header + LOCK);
      count += this.#cells[this.#findPlace(header, keyHigh, keyLow) + COUNT] ?? 0;
      releaseLock(this.#cells, header + LOCK, stamp);
    }
    return count;
  }

  #changeCount(keyHigh: number, keyLow: number, change: 1 | -1): void {
    const header = this.#headerOf(this.#thread);
    const stamp = acquireLock(this.#cells, header + LOCK);
    const place = this.#findPlace(header, keyHigh, keyLow);
    const count = (this.#cells[place + COUNT] ?? 0) + change;
    if (count >= 0) this.#writePlace(place, keyHigh, keyLow, count);
    if (count === 0) this.#closeGap(header, place);
    releaseLock(this.#cells, header + LOCK, stamp);
    if (count < 0) throw new Error('a connection was closed that was not open');
  }

  #headerOf(thread: number): number {
    return thread * this.#wordsPerThread;
  }

  #placeAt(header: number, index: number): number {
    return header + HEADER_WORDS + (index & this.#placeMask) * ENTRY_WORDS;
  }

  /** The cell of the key's place, or of the free one where it belongs. There always is one: the table is larger than its cap. */
  #findPlace(header: number, keyHigh: number, keyLow: number): number {
    for (let index = keyLow; ; index++) {
      const place = this.#placeAt(header, index);
      if (this.#cells[place + COUNT] === 0) return place;
      if (this.#cells[place + HIGH] === keyHigh && this.#cells[place + LOW] === keyLow) return place;
    }
  }

  #writePlace(place: number, keyHigh: number, keyLow: number, count: number): void {
    this.#cells[place + HIGH] = keyHigh;
    this.#cells[place + LOW] = keyLow;
    this.#cells[place + COUNT] = count;
  }

  /** Moves entries back into the gap that a removed one leaves (Knuth, volume 3, 6.4, algorithm R): no tombstones that slow searches. */
  #closeGap(header: number, removed: number): void {
    let gap = (removed - header - HEADER_WORDS) / ENTRY_WORDS;
    for (let index = gap + 1; ; index++) {
      const place = this.#placeAt(header, index);
      const low = this.#cells[place + LOW] ?? 0, count = this.#cells[place + COUNT] ?? 0;
      if (count === 0) return;
      const isBehindGap = ((index - low) & this.#placeMask) >= ((index - gap) & this.#placeMask);
      if (!isBehindGap) continue;
      this.#writePlace(this.#placeAt(header, gap), this.#cells[place + HIGH] ?? 0, low, count);
      this.#cells[place + COUNT] = 0;
      gap = index;
    }
  }
}
