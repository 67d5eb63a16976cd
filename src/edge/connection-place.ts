/**
 * The customer that a connection counts for, over all threads. Over TLS that is known with the client's hello; in cleartext with each request,
 * so that nobody comes in on one customer's account and goes on with another's.
 */
import type {FairPlaces, PlaceAccount} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';

/** One a connection. */
export class ConnectionPlace {
  readonly #places: FairPlaces;
  #account: PlaceAccount | null = null;

  constructor(places: FairPlaces) {
    this.#places = places;
  }

  /** The connection is of this customer from now on, and of no other. Else nothing has changed, and the fault says why. */
  take(account: PlaceAccount): FaultCode | null {
    if (this.#account?.customer === account.customer) return null;
    const fault = this.#places.takeForCustomer(account);
    if (fault !== null) return fault;
    this.free();
    this.#account = account;
    return null;
  }

  /** The connection is closed. */
  free(): void {
    const account = this.#account;
    this.#account = null;
    if (account !== null) this.#places.freeForCustomer(account);
  }
}
