import type {TimeSource} from '#src/core/clock.ts';

const START_MS = 1_000_000;
/** 2026-01-01T00:00:00Z */
const UNIX_START_MS = 1_767_225_600_000;

/** A clock that stands still until a test moves it, so that timeouts are tested without waiting for them. */
export class FakeTime implements TimeSource {
  #nowMs = START_MS;

  monotonicMs(): number {
    return this.#nowMs;
  }

  unixMs(): number {
    return UNIX_START_MS + this.#nowMs - START_MS;
  }

  pass(ms: number): void {
    this.#nowMs += ms;
  }
}
