/**
 * How many places of one kind are taken, of one customer or of the node (requests in flight, open connections): a total over all threads,
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

  /** Counts one more. Returns how many there are with it. */
  begin(): number {
    this.#cells[this.#own] = (this.#cells[this.#own] as number) + 1;
    return Atomics.add(this.#cells, TOTAL, 1) + 1;
  }

  end(): void {
    this.#cells[this.#own] = (this.#cells[this.#own] as number) - 1;
    Atomics.sub(this.#cells, TOTAL, 1);
  }

  /** Takes back what the thread of this view had counted: it died. Called by the control thread. */
  forgetThread(): void {
    Atomics.sub(this.#cells, TOTAL, Atomics.exchange(this.#cells, this.#own, 0));
  }
}
