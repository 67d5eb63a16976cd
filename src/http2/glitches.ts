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
const PER_MS = Float64Array.from(KINDS, (kind) => GLITCH_LIMITS[kind].perSecond / 1000);

/** The glitches of one connection. Times are in milliseconds of one monotonic clock. */
export class Glitches {
  readonly #levels = new Float64Array(KINDS.length);
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
    return level > GLITCH_LIMITS[kind].burst;
  }

  /** The one that was counted last fills another quarter of the burst. */
  isNotable(kind: Glitch): boolean {
    const quarters = (this.#levels[POSITIONS[kind]] as number) / (GLITCH_LIMITS[kind].burst / 4);
    return Math.floor(quarters) > Math.floor(quarters - 4 / GLITCH_LIMITS[kind].burst);
  }

  /** Something happened that gives reason to as many. */
  forgive(kind: Glitch, count: number): void {
    const position = POSITIONS[kind];
    this.#levels[position] = Math.max(0, (this.#levels[position] as number) - count);
  }

  #leak(nowMs: number): void {
    const passedMs = nowMs - this.#leakedMs;
    if (passedMs <= 0) return;
    this.#leakedMs = nowMs;
    for (let i = 0; i < KINDS.length; i++) this.#levels[i] = Math.max(0, (this.#levels[i] as number) - passedMs * (PER_MS[i] as number));
  }
}
