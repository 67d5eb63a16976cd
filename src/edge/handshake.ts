/** One TLS handshake in flight: the places that it has, and whose it is as soon as the client's hello tells. */
import type {PlaceAccount} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {ConnectionPlace} from '#src/edge/connection-place.ts';
import type {Places} from '#src/edge/edge.ts';

/** The customer's, of whom a hello has asked for a server name. */
export interface HandshakeAccounts {
  readonly connections: PlaceAccount;
  readonly handshakes: PlaceAccount;
}

export class Handshake {
  /** That the connection will have. */
  readonly place: ConnectionPlace;
  /** Why the handshake was ended here. */
  fault: FaultCode | null = null;
  readonly #places: Places;
  readonly #peer: ClientIdentity;
  #account: PlaceAccount | null = null;

  /** For a connection that has been admitted, with its handshake. */
  constructor(places: Places, peer: ClientIdentity) {
    this.#places = places;
    this.#peer = peer;
    this.place = new ConnectionPlace(places.connections);
  }

  /** Refuses before anything is signed, which is what costs the most. A client that has named one customer cannot name another. */
  assign({connections, handshakes}: HandshakeAccounts): FaultCode | null {
    if (this.#account !== null) return null;
    this.fault = this.place.take(connections) ?? this.#places.handshakes.takeForCustomer(handshakes);
    if (this.fault === null) this.#account = handshakes;
    return this.fault;
  }

  /** It has succeeded or failed. The place of the connection stays. */
  end(): void {
    if (this.#account !== null) this.#places.handshakes.freeForCustomer(this.#account);
    this.#account = null;
    this.#places.handshakes.freeForClient(this.#peer);
  }
}
