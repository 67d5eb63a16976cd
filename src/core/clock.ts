/** Time in the forms that the data plane needs, each computed at most once a millisecond or second. */

/** Where time comes from: an argument, so that pure parts can be replayed. */
export interface TimeSource {
  /** Monotonic milliseconds, the same clock in every thread of the process. */
  monotonicMs(): number;
  /** Unix time in milliseconds. */
  unixMs(): number;
}

export class Clock {
  /**
   * Monotonic milliseconds as of the last `refresh`. Reading the clock costs as much as parsing a field, and an event takes
   * microseconds: so it is read once an event, and everything that the event does has the same time.
   */
  nowMs: number;
  readonly #source: TimeSource;
  #isoMs = Number.NaN;
  #iso = '';
  #dateSecond = Number.NaN;
  #date = '';

  constructor(source: TimeSource) {
    this.#source = source;
    this.nowMs = source.monotonicMs();
  }

  /** Every event begins with this: bytes from a socket, a connection that opens or ends, a tick. */
  refresh(): void {
    this.nowMs = this.#source.monotonicMs();
  }

  /** How long the event has taken until now. */
  elapsedMs(): number {
    return this.#source.monotonicMs() - this.nowMs;
  }

  /** Unix time in milliseconds, as of now. */
  unixMs(): number {
    return this.#source.unixMs();
  }

  /** RFC 3339 time in UTC with milliseconds. */
  isoTime(): string {
    const ms = this.#source.unixMs();
    if (ms !== this.#isoMs) {
      this.#isoMs = ms;
      this.#iso = new Date(ms).toISOString();
    }
    return this.#iso;
  }

  /** IMF-fixdate (RFC 9110 §5.6.7). */
  httpDate(): string {
    const second = Math.floor(this.#source.unixMs() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = new Date(second * 1000).toUTCString();
    }
    return this.#date;
  }
}
