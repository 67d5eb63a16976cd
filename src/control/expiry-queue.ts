/** Items by their end, the earliest first: a binary heap (Williams, 1964). An item whose end changes is pushed again; its user skips the old one. */
export interface Ending {
  /** Unix time in milliseconds. */
  readonly untilMs: number;
}

export class ExpiryQueue<T extends Ending> {
  #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): T | undefined {
    return this.#heap[0];
  }

  push(item: T): void {
    const heap = this.#heap;
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as T;
      if (above.untilMs <= item.untilMs) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = item;
  }

  shift(): T | undefined {
    const heap = this.#heap;
    const [first] = heap, last = heap.pop();
    if (last !== undefined && heap.length > 0) this.#sink(last);
    return first;
  }

  /** In place of everything that was in the queue. */
  replaceAll(items: Iterable<T>): void {
    // A sorted list is a heap.
    this.#heap = [...items].sort((a, b) => a.untilMs - b.untilMs);
  }

  /** Puts an item at the top, and from there as far down as it belongs. */
  #sink(item: T): void {
    const heap = this.#heap;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const left = heap[child] as T, right = heap[child + 1];
      const isRightEarlier = right !== undefined && right.untilMs < left.untilMs;
      const earlier = isRightEarlier ? right : left;
      if (earlier.untilMs >= item.untilMs) break;
      heap[at] = earlier;
      at = isRightEarlier ? child + 1 : child;
    }
    heap[at] = item;
  }
}
