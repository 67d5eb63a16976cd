/** Counts what no honest client does often. Each kind is a bucket that leaks: bursts are forgiven, habits are not. */
import type {FaultCode} from '#src/core/faults.ts';
import {GLITCH_LIMITS} from '#src/core/limits.ts';

export type Glitch = keyof typeof GLITCH_LIMITS;

export const GLITCH_FAULTS = {
  reset: 'h2_rapid_reset',
  provoked: 'h2_provoked_resets',
  settings: 'h2_settings_flood',
  ping: 'h2_ping_flood',
  empty: 'h2_empty_frames',
  priority: 'h2_priority_flood',
  window: 'h2_window_flood',
  unknown: 'h2_unknown_frames',
  stray: 'h2_stray_frames',
} as const satisfies Record<Glitch, FaultCode>;

const KINDS = Object.keys(GLITCH_LIMITS) as readonly Glitch[];
const POSITIONS = Object.fromEntries(KINDS.map((kind, position) => [kind, position])) as Readonly<Record<Glitch, number>>;
/** What one adds to a quarter of the burst. */
const PARTS = Float64Array.from(KINDS, (kind) => 4 / GLITCH_LIMITS[kind].burst);
const PER_MS = Float64Array.from(KINDS, (kind) => GLITCH_LIMITS[kind].perSecond / 1000);

/** The glitches of one connection. Times are in milliseconds of one monotonic clock. */
export class Glitches {
  readonly #levels = new Float64Array(KINDS.length);
  /** In quarters of the bursts: what has not been taken for the client's account. */
  readonly #untold = new Float64Array(KINDS.length);
  #leakedMs: number;

  constructor(nowMs: number) {
    this.#leakedMs = nowMs;
  }

  /** Counts one. True where that is more than is borne. */
  isTooMany(kind: Glitch, nowMs: number): boolean {
    this.#leak(nowMs);
    const position = POSITIONS[kind];
    const level = (this.#levels[position] as number) + 1;
    this.#levels[position] = level;
    this.#untold[position] = (this.#untold[position] as number) + (PARTS[position] as number);
    return level > GLITCH_LIMITS[kind].burst;
  }

  /** The one that was counted last fills another quarter of the burst. */
  isNotable(kind: Glitch): boolean {
    const quarters = (this.#levels[POSITIONS[kind]] as number) / (GLITCH_LIMITS[kind].burst / 4);
    return Math.floor(quarters) > Math.floor(quarters - 4 / GLITCH_LIMITS[kind].burst);
  }

  /** Whether a quarter of the burst has come together since the last time that this was so, no matter in which time. */
  takeQuarter(kind: Glitch): boolean {
    const position = POSITIONS[kind], untold = this.#untold[position] as number;
    if (untold < 1) return false;
    this.#untold[position] = untold - 1;
    return true;
  }

  /** Quarters of bursts of all kinds, of which each was below one. */
  takeRest(): number {
    const rest = this.#untold.reduce((sum, part) => sum + part, 0);
    this.#untold.fill(0);
    return rest;
  }

  /** Something happened that gives reason to as many. */
  forgive(kind: Glitch, count: number): void {
    const position = POSITIONS[kind];
    this.#levels[position] = Math.max(0, (this.#levels[position] as number) - count);
    this.#untold[position] = Math.max(0, (this.#untold[position] as number) - count * (PARTS[position] as number));
  }

  #leak(nowMs: number): void {
    const passedMs = nowMs - this.#leakedMs;
    if (passedMs <= 0) return;
    this.#leakedMs = nowMs;
    for (let i = 0; i < KINDS.length; i++) this.#levels[i] = Math.max(0, (this.#levels[i] as number) - passedMs * (PER_MS[i] as number));
  }
}
