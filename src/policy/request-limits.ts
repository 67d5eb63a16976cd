/** The limits that a request passes, in the order of their scopes. Whoever is over any of them is refused. */
import type {LimitSnapshot} from '#src/config/snapshot.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';

export interface CompiledLimit {
  readonly name: string;
  readonly perClient: boolean;
  readonly intervalMs: number;
  readonly burst: number;
  /** Tells the limit's keys from those of every other limit. A limit that keeps its name keeps its buckets over a reload. */
  readonly seedHigh: number;
  readonly seedLow: number;
}

/** @param scope the customer's name, or empty for the node */
export function compileLimits(scope: string, limits: readonly LimitSnapshot[], hash: KeyedHash): readonly CompiledLimit[] {
  return limits.map((limit) => {
    hash.hashText(`${scope}\n${limit.name}\n${limit.key}`);
    return {name: limit.name, perClient: limit.key === 'client', intervalMs: limit.intervalMs, burst: limit.burst, seedHigh: hash.high, seedLow: hash.low};
  });
}

/**
 * Takes one token of every limit. Returns 0, or the milliseconds after which the refusing limit would admit the next request.
 * Both halves of a key are secret hashes, so their sum is as good a key as any.
 */
export function takeLimits(limits: readonly CompiledLimit[], buckets: RateBuckets, client: ClientIdentity, nowMs: number): number {
  for (const limit of limits) {
    const keyHigh = limit.perClient ? (limit.seedHigh ^ client.keyHigh) : limit.seedHigh;
    const keyLow = limit.perClient ? (limit.seedLow ^ client.keyLow) : limit.seedLow;
    const waitMs = buckets.take(keyHigh, keyLow, nowMs, limit.intervalMs, limit.burst);
    if (waitMs > 0) return waitMs;
  }
  return 0;
}
