/**
 * The TLS session that the next connection to one endpoint may resume. The server's certificate is not looked at then, and each resumed
 * connection may bring a new session: without an end to that chain, a certificate that has expired would be good for as long as there is
 * traffic (RFC 8446 §4.6.1). So a chain ends some time after the handshake that it began with.
 */
import {LIMITS} from '#src/core/limits.ts';

export class SessionStore {
  #session: Buffer | null = null;
  /** When the server's certificate was last looked at. */
  #verifiedMs = -Infinity;

  /** The session to offer; undefined: none, and the certificate is looked at again. */
  find(nowMs: number): Buffer | undefined {
    if (nowMs - this.#verifiedMs >= LIMITS.tlsSessionChainMs) this.#session = null;
    return this.#session ?? undefined;
  }

  /** A handshake is complete. */
  onHandshake(isResumed: boolean, nowMs: number): void {
    if (!isResumed) this.#verifiedMs = nowMs;
  }

  /** Only of a connection whose server has been verified. */
  keep(session: Buffer): void {
    this.#session = session;
  }

  /** The handshake that offered it has failed: the next one is a full one. */
  drop(): void {
    this.#session = null;
  }
}
