/**
 * Max-min fairness over what is taken already: whoever takes less than its share keeps that, and what it leaves is shared by the others.
 */

export interface Claim {
  /** What is taken. */
  readonly used: number;
  /** Above 0. */
  readonly weight: number;
}

/**
 * The level `L` at which everybody who has more than `L × weight` is cut to that and the others keep what they have, and all together have
 * `capacity`. Infinite where nobody has to be cut.
 */
export function findFairLevel(claims: readonly Claim[], capacity: number): number {
  const byLevel = claims.filter(({used}) => used > 0).sort((a, b) => a.used / a.weight - b.used / b.weight);
  let left = capacity, weights = byLevel.reduce((sum, {weight}) => sum + weight, 0);
  for (const {used, weight} of byLevel) {
    const level = left / weights;
    if (used / weight > level) return Math.max(0, level);
    left -= used;
    weights -= weight;
  }
  return Number.POSITIVE_INFINITY;
}
