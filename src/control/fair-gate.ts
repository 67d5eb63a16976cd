/**
 * Admits work: at most so much at once, at most so much of one owner, owners in turn. So the dead servers of one customer, each
 * of which occupies a probe until its timeout, never delay the probes of another.
 */
export class FairGate {
  readonly #total: number;
  readonly #perOwner: number;
  readonly #running = new Map<string, number>();
  /** Waiting work by owner; the order of the keys is whose turn it is. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #runningTotal = 0;

  constructor(total: number, perOwner: number) {
    this.#total = total;
    this.#perOwner = perOwner;
  }

  /** Runs the work as soon as there is room for it. */
  async run<T>(owner: string, work: () => Promise<T>): Promise<T> {
    const {promise, resolve} = Promise.withResolvers<void>();
    const queue = this.#waiting.get(owner);
    if (queue === undefined) this.#waiting.set(owner, [resolve]);
    else queue.push(resolve);
    this.#admit();
    await promise;
    try {
      return await work();
    } finally {
      this.#release(owner);
    }
  }

  #admit(): void {
    for (const [owner, queue] of this.#waiting) {
      if (this.#runningTotal >= this.#total) return;
      const running = this.#running.get(owner) ?? 0;
      const start = running < this.#perOwner ? queue.shift() : undefined;
      if (start === undefined) continue;
      // To the end of the line: the next turn is another owner's.
      this.#waiting.delete(owner);
      if (queue.length > 0) this.#waiting.set(owner, queue);
      this.#running.set(owner, running + 1);
      this.#runningTotal++;
      start();
    }
  }

  #release(owner: string): void {
    const running = (this.#running.get(owner) ?? 1) - 1;
    if (running === 0) this.#running.delete(owner);
    else this.#running.set(owner, running);
    this.#runningTotal--;
    this.#admit();
  }
}
