/**
 * Places for requests in flight: so many of the node, so many of a customer. Counted first and judged then, so that two threads may both
 * refuse the last place for a moment, but never both give it.
 *
 * Customers may take what others leave, until three quarters of the node's places are taken. Above that whoever has more than its fair share
 * gets no more, and the last quarter is for those who have less: what is taken is given back when requests end and not when somebody
 * else comes, so without a reserve the first one would find nothing.
 */
import {findFairLevel} from '#src/balance/fair-shares.ts';
import type {Clock} from '#src/core/clock.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {PlaceCount} from '#src/shared/place-count.ts';

/** What a customer counts under. */
export interface RequestAccount {
  readonly slot: PlaceCount;
  readonly requestsMax: number;
  readonly weight: number;
}

export interface RequestPlacesParts {
  readonly clock: Clock;
  readonly node: PlaceCount;
  /** Those of all customers. */
  readonly accounts: () => Iterable<RequestAccount>;
}

export class RequestPlaces {
  readonly #parts: RequestPlacesParts;
  #requestsMax: number;
  /** Requests that a weight of 1 may have while places are scarce, as of then. */
  #level = Number.POSITIVE_INFINITY;
  #levelMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RequestPlacesParts, requestsMax: number) {
    this.#parts = parts;
    this.#requestsMax = requestsMax;
  }

  configure(requestsMax: number): void {
    this.#requestsMax = requestsMax;
    this.#levelMs = Number.NEGATIVE_INFINITY;
  }

  /** Takes a place, or says why there is none. */
  take(account: RequestAccount): FaultCode | null {
    const own = account.slot.begin(), total = this.#parts.node.begin();
    const fault = this.#judge(account, own, total);
    if (fault !== null) this.free(account);
    return fault;
  }

  free({slot}: RequestAccount): void {
    slot.end();
    this.#parts.node.end();
  }

  #judge(account: RequestAccount, own: number, total: number): FaultCode | null {
    if (own > account.requestsMax) return 'requests_per_customer';
    if (total > this.#requestsMax) return 'requests_total';
    const sharedFreely = this.#requestsMax * LIMITS.shareFreePart;
    return total > sharedFreely && own > Math.max(1, this.#findLevel(sharedFreely) * account.weight) ? 'share_exceeded' : null;
  }

  /** Looking at all customers takes a while: with many of them it is not done for each request. */
  #findLevel(capacity: number): number {
    const {clock, accounts} = this.#parts;
    if (clock.nowMs - this.#levelMs < LIMITS.shareLevelMs) return this.#level;
    this.#levelMs = clock.nowMs;
    const claims = Array.from(accounts(), ({slot, weight}) => ({used: slot.total, weight}));
    this.#level = claims.length > 1 ? findFairLevel(claims, capacity) : Number.POSITIVE_INFINITY;
    return this.#level;
  }
}
