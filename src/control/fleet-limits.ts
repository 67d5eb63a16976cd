/**
 * Limits of the whole fleet. Requests are judged by this node's own buckets, in shared memory and at once, as for every other limit. What
 * they take is told to the store some times a second, and what the others have taken comes back: it raises the debts of the buckets here.
 * So no request ever waits for the store, and while it is away each node still has the limit to itself.
 */
import type {FleetLedger, LedgerEntry} from '#src/shared/fleet-ledger.ts';
import type {RateTables} from '#src/shared/rate-tables.ts';
import type {Reply} from '#src/control/store-protocol.ts';

/** Of one command: the store works on it in one go, and does nothing else. */
const BATCH = 256;
const BATCHES_PER_ROUND = 16;

/**
 * What a debt can be at most, in windows (burst × interval) of its limit. Each node may admit a burst before it hears of the others: so
 * many nodes are charged for all of it. And garbage in the store refuses nobody for longer.
 */
export const DEBT_WINDOWS_MAX = 16;

/**
 * Generic cell rate algorithm on the store's own clock: a key holds the time at which its bucket is full again, and is gone when it is.
 * Whatever else stands there counts as nothing. Lua prints numbers with 14 digits unless it is told otherwise, too few for milliseconds.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local debts = {}
for i = 1, #KEYS do
  local known = redis.pcall('GET', KEYS[i])
  local arrival = type(known) == 'string' and tonumber(known) or now
  if not (arrival > now) then arrival = now end
  arrival = math.min(arrival + tonumber(ARGV[2 * i - 1]), now + tonumber(ARGV[2 * i]))
  redis.call('SET', KEYS[i], string.format('%.3f', arrival), 'PX', math.ceil(arrival - now) + 1)
  debts[i] = string.format('%.3f', arrival - now)
end
return debts
`;

export interface FleetLimitsParts {
  readonly ledger: FleetLedger;
  readonly tables: RateTables;
  /** Monotonic milliseconds, the clock of the buckets. */
  readonly clock: () => number;
}

export type AskStore = (words: readonly string[]) => Promise<Reply>;

export class FleetLimits {
  readonly #parts: FleetLimitsParts;

  constructor(parts: FleetLimitsParts) {
    this.#parts = parts;
  }

  /** Tells what was taken since the last time. Rejects where the store does not do it; then nothing is lost but time. */
  async exchange(ask: AskStore): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_ROUND; batch++) {
      const entries = this.#drain();
      if (entries.length === 0) return;
      try {
        await this.#tell(entries, ask);
      } catch (error) {
        // It may have been counted, and will be counted twice then: nobody gets a token for a connection that was lost.
        for (const {keyHigh, keyLow, intervalMs, burst, taken} of entries) this.#parts.ledger.add(keyHigh, keyLow, intervalMs, burst, taken);
        throw error;
      }
    }
  }

  /** While the store was away for an hour, an hour's tokens have been taken, and come back: only what a bucket still owes is news. */
  #drain(): readonly LedgerEntry[] {
    const {ledger, tables, clock} = this.#parts;
    const nowMs = clock();
    return ledger.drain(BATCH).flatMap((entry) => {
      const {keyHigh, keyLow, intervalMs, burst} = entry;
      const owed = Math.ceil(tables.forWindow(intervalMs * burst).debt(keyHigh, keyLow, nowMs) / intervalMs);
      const taken = Math.min(entry.taken, owed);
      return taken > 0 ? [{...entry, taken}] : [];
    });
  }

  async #tell(entries: readonly LedgerEntry[], ask: AskStore): Promise<void> {
    const sentMs = this.#parts.clock();
    const keys = entries.map(({keyHigh, keyLow}) => `{torwart}:limit:${hex(keyHigh)}${hex(keyLow)}`);
    const values = entries.flatMap(({taken, intervalMs, burst}) => [String(taken * intervalMs), String(DEBT_WINDOWS_MAX * burst * intervalMs)]);
    const debts = readDebts(await ask(['EVAL', SCRIPT, String(keys.length), ...keys, ...values]), entries.length);
    for (const [index, entry] of entries.entries()) this.#raise(entry, sentMs, debts[index] ?? 0);
  }

  #raise({keyHigh, keyLow, intervalMs, burst}: LedgerEntry, sentMs: number, debtMs: number): void {
    const {ledger, tables} = this.#parts;
    const windowMs = burst * intervalMs;
    // What was taken here meanwhile is in the bucket already, and not in the answer.
    const arrivalMs = sentMs + Math.min(debtMs, DEBT_WINDOWS_MAX * windowMs) + ledger.takenOf(keyHigh, keyLow) * intervalMs;
    tables.forWindow(windowMs).raise(keyHigh, keyLow, arrivalMs);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

function readDebts(reply: Reply, count: number): readonly number[] {
  const debts = Array.isArray(reply) ? reply.map(Number) : [];
  if (debts.length !== count || !debts.every((debtMs) => debtMs >= 0)) throw new Error('the store gives no debts');
  return debts;
}
