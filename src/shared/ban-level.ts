/** How often somebody has been banned lately: each time for twice as long. */
import {LIMITS} from '#src/core/limits.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';

/** Returns how often the first ban's length is to be doubled this time. */
export function raiseBanLevel(memory: RateBuckets, keyHigh: number, keyLow: number, nowMs: number): number {
  const doublings = Math.ceil(memory.debt(keyHigh, keyLow, nowMs) / LIMITS.banLevelMs);
  memory.take(keyHigh, keyLow, nowMs, LIMITS.banLevelMs, LIMITS.banLevelMax);
  return doublings;
}
