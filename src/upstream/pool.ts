/** A customer's pool as a proxy thread sees it: its endpoints, and how one of them is picked. */
import {createPicker, type Picker} from '#src/balance/picker.ts';
import type {PoolSnapshot} from '#src/config/snapshot.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';

export class UpstreamPool {
  readonly snapshot: PoolSnapshot;
  readonly endpoints: readonly UpstreamEndpoint[];
  /** Column = status class; see `POOL_ROW_LENGTH`. */
  readonly counters: Float64Array;
  readonly #picker: Picker;

  constructor(snapshot: PoolSnapshot, endpoints: readonly UpstreamEndpoint[], counters: Float64Array) {
    this.snapshot = snapshot;
    this.endpoints = endpoints;
    this.counters = counters;
    this.#picker = createPicker(snapshot.balance, endpoints, snapshot.health !== null);
  }

  /** @param excluded the endpoint that has just failed. Null where none is left. */
  pick(nowMs: number, hash: number, random: number, excluded: UpstreamEndpoint | null): UpstreamEndpoint | null {
    const index = this.#picker.pick(nowMs, hash, random, excluded === null ? -1 : this.endpoints.indexOf(excluded));
    return this.endpoints[index] ?? null;
  }
}
