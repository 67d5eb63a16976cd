/**
 * Records of TLS that carry nothing. No event tells of them, but each is decrypted, and may want an answer: ten thousands of key updates
 * (RFC 8446 §4.6.3) take a second of the thread, and their answers wait in memory for a client that does not read. OpenSSL bounds records that are
 * empty, and Node renegotiations, but not these. So what a connection has received is compared with the content of it, from time to time.
 */
import type {TLSSocket} from 'node:tls';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {receivedBytes} from '#src/edge/accepted-sockets.ts';
import type {Edge} from '#src/edge/edge.ts';

/** How OpenSSL and Node say that they bear no more: of records that are empty, and of wishes for another handshake (TLS 1.2, and never granted). */
const FLOODS: ReadonlySet<string> = new Set(['ERR_SSL_RECORD_TOO_SMALL', 'ERR_TLS_SESSION_ATTACK']);

export class RecordWatch extends Deadlined {
  readonly #edge: Edge;
  readonly #socket: TLSSocket;
  readonly #peer: ClientIdentity;
  /** As of the last look. */
  #receivedBytes: number;
  #contentBytes: number;
  /** Without content, and not forgiven yet. */
  #emptyBytes = 0;

  /** The handshake is over. */
  constructor(edge: Edge, socket: TLSSocket, peer: ClientIdentity) {
    super();
    this.#edge = edge;
    this.#socket = socket;
    this.#peer = peer;
    this.#receivedBytes = receivedBytes(socket);
    this.#contentBytes = socket.bytesRead;
  }

  begin(): void {
    this.#socket.on('_tlsError', ({code = ''}: NodeJS.ErrnoException) => { if (FLOODS.has(code)) this.#endFlood(); });
    this.#socket.once('close', () => { this.#edge.wheel.disarm(this); });
    this.#wait();
  }

  #wait(): void {
    this.#edge.wheel.arm(this, this.#edge.clock.nowMs + LIMITS.tlsLookMs);
  }

  onDeadline(): void {
    const received = receivedBytes(this.#socket), content = this.#socket.bytesRead;
    const explained = (content - this.#contentBytes) * LIMITS.tlsRecordBytesMin + LIMITS.tlsEmptyBytesPerLook;
    this.#emptyBytes = Math.max(0, this.#emptyBytes + received - this.#receivedBytes - explained);
    this.#receivedBytes = received;
    this.#contentBytes = content;
    if (this.#emptyBytes > LIMITS.tlsEmptyBytesMax) this.#endFlood();
    else this.#wait();
  }

  #endFlood(): void {
    this.#edge.offences.record(this.#peer, LIMITS.offencePointsOfConnection);
    this.lose('tls_flood');
  }

  lose(fault: FaultCode): void {
    this.#edge.countFault(fault);
    this.#socket.destroy();
  }
}
