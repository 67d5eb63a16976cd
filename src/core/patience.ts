/**
 * How long a client may take for what only it can do: sending a body, reading a response. It has a reserve of time, which waiting uses up and
 * bytes buy back, at a rate, up to what it was. So silence may last as long as the reserve, but whoever moves a byte just before each end of
 * it is not waited for again and again: over time a client keeps to the rate.
 */

/** Of the route that a request is for. */
export interface ClientPatience {
  /** The reserves: the longest silence. */
  readonly requestBodyIdleMs: number;
  readonly responseIdleMs: number;
  /** Bytes a second; 0: any byte buys the whole reserve back. */
  readonly requestBodyRateMin: number;
  readonly responseRateMin: number;
}

/** For what is slow by its nature: event streams and tunnels. */
export function withoutRates(patience: ClientPatience): ClientPatience {
  return {...patience, requestBodyRateMin: 0, responseRateMin: 0};
}

/** What is left of a reserve of `fullMs` after a wait that brought `bytes`. Not above 0: it is used up. */
export function settleReserve(leftMs: number, fullMs: number, waitedMs: number, bytes: number, rateMin: number): number {
  if (bytes > 0 && rateMin === 0) return fullMs;
  const boughtMs = bytes === 0 ? 0 : bytes * 1000 / rateMin;
  return Math.min(fullMs, Math.min(leftMs, fullMs) - waitedMs + boughtMs);
}

/** The reserve for one thing that is waited for again and again. */
export class Reserve {
  #leftMs = Number.POSITIVE_INFINITY;
  /** NaN: nobody waits. */
  #sinceMs = Number.NaN;

  /** It is whole, and nobody waits. */
  fill(): void {
    this.#leftMs = Number.POSITIVE_INFINITY;
    this.#sinceMs = Number.NaN;
  }

  /** Bytes have come. */
  gain(nowMs: number, bytes: number, fullMs: number, rateMin: number): void {
    const isWaiting = !Number.isNaN(this.#sinceMs);
    this.#leftMs = settleReserve(this.#leftMs, fullMs, isWaiting ? nowMs - this.#sinceMs : 0, bytes, rateMin);
    if (isWaiting) this.#sinceMs = nowMs;
  }

  /** Begins to wait, or goes on. Returns the deadline. */
  wait(nowMs: number, fullMs: number): number {
    if (Number.isNaN(this.#sinceMs)) this.#sinceMs = nowMs;
    return Math.max(0, this.#sinceMs + Math.min(this.#leftMs, fullMs));
  }

  /** It is somebody else's turn: the time does not count. */
  rest(nowMs: number): void {
    if (!Number.isNaN(this.#sinceMs)) this.#leftMs -= nowMs - this.#sinceMs;
    this.#sinceMs = Number.NaN;
  }
}
