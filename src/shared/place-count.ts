/**
 * How much of one kind is taken, of one customer or of the node (connections, requests in flight, blocks of memory): a total over all threads,
 * and each thread's own part of it, so that the part of a thread that died can be taken back.
 */
import type {SlotRef} from '#src/shared/slots.ts';

const TOTAL = 0, THREADS = 1;

export function placeCountByteLength(threads: number): number {
  return (THREADS + threads) * Int32Array.BYTES_PER_ELEMENT;
}

export class PlaceCount {
  readonly #cells: Int32Array;
  readonly #own: number;

  constructor(slot: SlotRef, threads: number, thread: number) {
    this.#cells = new Int32Array(slot.buffer, slot.byteOffset, THREADS + threads);
    this.#own = THREADS + thread;
  }

  get total(): number {
    return Atomics.load(this.#cells, TOTAL);
  }

  /** Counts so many more. Returns how many there are with them. */
  begin(count = 1): number {
    this.#cells[this.#own] = (this.#cells[this.#own] as number) + count;
    return Atomics.add(this.#cells, TOTAL, count) + count;
  }

  end(count = 1): void {
    this.#cells[this.#own] = (this.#cells[this.#own] as number) - count;
    Atomics.sub(this.#cells, TOTAL, count);
  }

  /** Takes back what the thread of this view had counted: it died. Called by the control thread. */
  forgetThread(): void {
    Atomics.sub(this.#cells, TOTAL, Atomics.exchange(this.#cells, this.#own, 0));
  }
}
