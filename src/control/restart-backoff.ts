const FIRST_DELAY_MS = 500;
const DELAY_MS_MAX = 30_000;
const HEALTHY_AFTER_MS = 60_000;

/** How long to wait before a dead thread is replaced: not at all the first time, then longer with every death in a row. */
export class RestartBackoff {
  #deaths = 0;

  /** `livedMs`: how long the thread that just died had been serving. A minute makes up for all earlier deaths. */
  nextDelayMs(livedMs: number): number {
    if (livedMs >= HEALTHY_AFTER_MS) this.#deaths = 0;
    const delayMs = this.#deaths === 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#deaths - 1), DELAY_MS_MAX);
    this.#deaths++;
    return delayMs;
  }
}
