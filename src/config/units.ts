/** The units of the configuration. Each parser gives null for what it does not know. */

const DURATION_PATTERN = /^(0|[1-9]\d{0,9})(ms|s|m|h)$/;
const SIZE_PATTERN = /^(0|[1-9]\d{0,15})(KiB|MiB|GiB)?$/;
const RATE_PATTERN = /^([1-9]\d{0,6})\/(s|m|h)$/;

const MILLISECONDS = {ms: 1, s: 1_000, m: 60_000, h: 3_600_000} as const;
const BYTES = {KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3} as const;

/** `250ms`, `5s`, `10m`, `1h` → milliseconds. */
export function parseDuration(text: string): number | null {
  const match = DURATION_PATTERN.exec(text);
  if (match === null) return null;
  return Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS];
}

/** `65536`, `16KiB`, `1MiB`, `2GiB` → bytes. */
export function parseSize(text: string): number | null {
  const match = SIZE_PATTERN.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (match[2] === undefined ? 1 : BYTES[match[2] as keyof typeof BYTES]);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** In the largest unit that keeps the number whole. */
export function formatSize(bytes: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((candidate) => bytes % BYTES[candidate] === 0);
  return unit === undefined || bytes === 0 ? String(bytes) : `${bytes / BYTES[unit]}${unit}`;
}

export interface Rate {
  /** The number before the slash. */
  readonly count: number;
  /** Milliseconds between two of them. */
  readonly intervalMs: number;
}

/** `50/s`, `600/m`, `10/h`. */
export function parseRate(text: string): Rate | null {
  const match = RATE_PATTERN.exec(text);
  if (match === null) return null;
  const count = Number(match[1]);
  return {count, intervalMs: MILLISECONDS[match[2] as 's' | 'm' | 'h'] / count};
}
