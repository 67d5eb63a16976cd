/** Statistics over the rounds of a run. Pure: numbers in, numbers out. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Whether a bigger number is the better one (requests a second) or the worse one (bytes, milliseconds). */
export type Direction = 'higher' | 'lower';

/** `part` 0 is the smallest value, 1 the largest; between two values it is interpolated. Empty: an error. */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) throw new Error('a quantile needs at least one value');
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * part;
  const below = sorted[Math.floor(position)] ?? 0;
  const above = sorted[Math.ceil(position)] ?? 0;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function spreadOf(values: readonly number[]): Spread {
  return {median: median(values), min: Math.min(...values), max: Math.max(...values)};
}

/**
 * How much better the subject is than the peer, round by round: 1 is equal, 2 is twice as good, whichever direction is good.
 * Rounds are paired before the median is taken, because a machine that drifts slows both halves of a round alike. A round with a
 * value of zero or below (memory that shrank) has no ratio and is left out; null where no round has one.
 */
export function pairedRatio(subject: readonly number[], peer: readonly number[], better: Direction): Spread | null {
  const ratios: number[] = [];
  for (let round = 0; round < Math.min(subject.length, peer.length); round++) {
    const own = subject[round] ?? 0, other = peer[round] ?? 0;
    if (own > 0 && other > 0) ratios.push(better === 'higher' ? own / other : other / own);
  }
  return ratios.length === 0 ? null : spreadOf(ratios);
}
