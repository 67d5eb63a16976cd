/**
 * An accepted connection until TLS is agreed on: the places that it has, whose it is as soon as the client's hello tells, and how long it
 * may take, whatever comes meanwhile.
 */
import type {TLSSocket} from 'node:tls';
import type {PlaceAccount, PlaceAccounts} from '#src/balance/fair-places.ts';
import type {TimeAccount, Waiter} from '#src/balance/time-account.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {ConnectionPlace} from '#src/edge/connection-place.ts';
import type {Edge} from '#src/edge/edge.ts';

export interface HandshakeEvents {
  /** Once, unless the handshake fails. */
  onSecure(): void;
  /** What to count a failure as. @param code of OpenSSL or the system; empty where the client has just gone */
  explainFailure(code: string): FaultCode;
}

export class Handshake extends Deadlined implements Waiter {
  /** That the connection will have. */
  readonly place: ConnectionPlace;
  nextWaiter: Waiter | null = null;
  waitingSinceMs = Number.NaN;
  readonly #edge: Edge;
  readonly #peer: ClientIdentity;
  /** Whose time signing takes, and what begins it once the name is known. */
  #time: TimeAccount | null = null;
  #sign: (() => void) | null = null;
  #socket: TLSSocket | null = null;
  #events: HandshakeEvents | null = null;
  #account: PlaceAccount | null = null;
  /** Why the handshake was ended here. */
  #fault: FaultCode | null = null;
  #isPending = true;

  /** For a connection that has been admitted, with its handshake. */
  constructor(edge: Edge, peer: ClientIdentity) {
    super();
    this.#edge = edge;
    this.#peer = peer;
    this.place = new ConnectionPlace(edge.places.connections);
  }

  /** Before the socket is read for the first time. */
  begin(socket: TLSSocket, events: HandshakeEvents): void {
    const edge = this.#edge;
    this.#socket = socket;
    this.#events = events;
    socket.once('secure', () => this.#succeed(events));
    // Once TLS is agreed on, too: a record that cannot be read ends the connection.
    socket.on('_tlsError', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? ''));
    edge.wheel.arm(this, edge.clock.nowMs + edge.timeouts.tlsHandshakeMs);
  }

  /** The socket is closed, whatever has become of the handshake. */
  onClose(): void {
    this.#fail('');
    this.#edge.releaseConnection(this.#peer);
  }

  /** Refuses before anything is signed, which is what costs the most. A client that has named one customer cannot name another. */
  assign(accounts: PlaceAccounts): FaultCode | null {
    if (this.#account !== null) return null;
    this.#fault = this.place.take(accounts) ?? this.#edge.places.handshakes.takeForCustomer(accounts.handshakes);
    if (this.#fault === null) this.#account = accounts.handshakes;
    return this.#fault;
  }

  /** Signing is most of what a handshake takes. Where the thread is busy with this customer, it waits for its turn. */
  sign(time: TimeAccount, sign: () => void): void {
    const {clock, timeMeter: {shares}} = this.#edge;
    clock.refresh();
    this.#time = time;
    this.#sign = sign;
    if (shares.mustWait(time, clock.nowMs)) shares.wait(time, this, clock.nowMs);
    else this.proceed(0);
  }

  proceed(waitedMs: number): false {
    const time = this.#time, sign = this.#sign;
    this.#sign = null;
    if (!this.#isPending || time === null || sign === null) return false;
    this.#edge.timeMeter.chargeFixed(time, LIMITS.handshakeMs);
    if (waitedMs <= LIMITS.timeWaitMsMax) sign();
    else {
      time.count('timeRefusals', 1);
      this.lose('time_share_exceeded');
    }
    return false;
  }

  #succeed(events: HandshakeEvents): void {
    this.#edge.clock.refresh();
    this.#end();
    try {
      events.onSecure();
    } catch (error) {
      giveUp(this, error, this.#edge.reportBug);
    }
  }

  #fail(code: string): void {
    if (!this.#isPending) this.#socket?.destroy();
    else this.lose(this.#fault ?? this.#events?.explainFailure(code) ?? 'tls_failed');
  }

  /** It has succeeded or failed. The place of the connection stays. */
  #end(): void {
    const {places: {handshakes}, wheel} = this.#edge;
    this.#isPending = false;
    wheel.disarm(this);
    if (this.#account !== null) handshakes.freeForCustomer(this.#account);
    this.#account = null;
    handshakes.freeForClient(this.#peer);
  }

  onDeadline(): void {
    this.lose('tls_timeout');
  }

  /** No connection has taken over the socket, and the place with it. */
  lose(fault: FaultCode): void {
    if (this.#isPending) this.#end();
    this.#edge.countFault(fault);
    this.place.free();
    this.#socket?.destroy();
  }
}
