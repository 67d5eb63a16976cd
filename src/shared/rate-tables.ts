/**
 * The buckets of all limits, in one table for each order of magnitude of their windows. A new key may take over the debt of one that it
 * evicts (see `RateBuckets`): in a common table, a flood of keys of an hourly limit would leave debts of an hour to clients of others.
 */
import {RateBuckets} from '#src/shared/rate-buckets.ts';

/** A limit's window, burst × interval, is what its largest debt can be. Each table takes windows up to this. */
const WINDOWS_MS_MAX = [10_000, 600_000, Infinity] as const;

export class RateTables {
  readonly #tables: readonly RateBuckets[];

  /** @param keysMax live keys in each table */
  static createBuffers(keysMax: number): readonly SharedArrayBuffer[] {
    return WINDOWS_MS_MAX.map(() => new SharedArrayBuffer(RateBuckets.byteLength(keysMax)));
  }

  constructor(buffers: readonly SharedArrayBuffer[]) {
    if (buffers.length !== WINDOWS_MS_MAX.length) throw new RangeError(`${buffers.length} buffers are not the tables of rate buckets`);
    this.#tables = buffers.map((buffer) => new RateBuckets(buffer));
  }

  forWindow(windowMs: number): RateBuckets {
    const table = this.#tables[WINDOWS_MS_MAX.findIndex((windowMsMax) => windowMs <= windowMsMax)];
    if (table === undefined) throw new RangeError(`${windowMs} ms are no window`);
    return table;
  }
}
