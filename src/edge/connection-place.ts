/**
 * The customer that a connection counts for, over all threads. Over TLS that is known with the client's hello; in cleartext with each request,
 * so that nobody comes in on one customer's account and goes on with another's.
 */
import type {FairPlaces, PlaceAccount, PlaceAccounts} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';

/** One a connection. */
export class ConnectionPlace {
  readonly #places: FairPlaces;
  #accounts: Pick<PlaceAccounts, 'connections' | 'buffers'> | null = null;

  constructor(places: FairPlaces) {
    this.#places = places;
  }

  /** The connection is of this customer from now on, and of no other. Else nothing has changed, and the fault says why. */
  take(accounts: Pick<PlaceAccounts, 'connections' | 'buffers'>): FaultCode | null {
    if (this.#accounts?.connections.customer === accounts.connections.customer) return null;
    const fault = this.#places.takeForCustomer(accounts.connections);
    if (fault !== null) return fault;
    this.free();
    this.#accounts = accounts;
    return null;
  }

  /** Where the memory counts that is held for the connection. */
  get buffers(): PlaceAccount | null {
    return this.#accounts?.buffers ?? null;
  }

  /** The connection is closed. */
  free(): void {
    const accounts = this.#accounts;
    this.#accounts = null;
    if (accounts !== null) this.#places.freeForCustomer(accounts.connections);
  }
}
