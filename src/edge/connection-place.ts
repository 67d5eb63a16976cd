/**
 * The customer that a connection counts for, over all threads. Over TLS that is known with the handshake; in cleartext with each request, so
 * that nobody comes in on one customer's account and goes on with another's.
 */
import type {PlaceCount} from '#src/shared/place-count.ts';

/** What a customer's connections count under. */
export interface ConnectionAccount {
  readonly customer: string;
  readonly count: PlaceCount;
  readonly connectionsMax: number;
}

/** One a connection. */
export class ConnectionPlace {
  #account: ConnectionAccount | null = null;

  /** The connection is of this customer from now on, and of no other. False, and nothing changed: the customer has too many. */
  take(account: ConnectionAccount): boolean {
    if (this.#account?.customer === account.customer) return true;
    if (account.count.begin() > account.connectionsMax) {
      account.count.end();
      return false;
    }
    this.free();
    this.#account = account;
    return true;
  }

  /** The connection is closed. */
  free(): void {
    this.#account?.count.end();
    this.#account = null;
  }
}
