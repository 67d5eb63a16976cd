/** TLS of one pool in one thread: what all of its connections share. */
import type {ConnectionOptions, SecureContext} from 'node:tls';
import {isDeepStrictEqual} from 'node:util';
import type {PoolTlsSnapshot, UpstreamProtocol} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {createUpstreamContext, upstreamTlsOptions} from '#src/shared/upstream-tls.ts';

export class PoolTls {
  readonly #snapshot: PoolTlsSnapshot;
  /** Made when the first connection needs it: with thousands of pools, most are quiet in most threads. */
  #context: SecureContext | null = null;
  #reportedMs = -Infinity;

  constructor(snapshot: PoolTlsSnapshot) {
    this.#snapshot = snapshot;
  }

  isMadeOf(snapshot: PoolTlsSnapshot): boolean {
    return isDeepStrictEqual(this.#snapshot, snapshot);
  }

  /** Throws where OpenSSL does not take what the configuration has. */
  optionsFor(address: string, protocol: UpstreamProtocol): ConnectionOptions {
    this.#context ??= createUpstreamContext(this.#snapshot);
    return upstreamTlsOptions(this.#snapshot, {address, protocol, secureContext: this.#context});
  }

  /** Whether a failure may be logged: one a pool and minute tells enough. */
  takeReport(nowMs: number): boolean {
    if (nowMs - this.#reportedMs < LIMITS.tlsFailureReportMs) return false;
    this.#reportedMs = nowMs;
    return true;
  }
}
