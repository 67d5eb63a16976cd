/**
 * Credentials that were right a while ago, so that a password is not checked with every request.
 *
 * Kept as a hash with a key that never leaves this thread: the memory of the process holds no passwords longer than their check, and how long
 * a comparison takes says nothing about them. Part of it is the hash that the password belongs to, so a changed password is a new one.
 */
import {createHmac, randomBytes} from 'node:crypto';
import {LIMITS} from '#src/core/limits.ts';
import type {BasicCredentials} from '#src/policy/basic-credentials.ts';

const KEY_BYTES = 32;

export class VerifiedCredentials {
  readonly #key = randomBytes(KEY_BYTES);
  /** Until when, by digest; the one that was verified first stands first. */
  readonly #untilMs = new Map<string, number>();

  /** What stands for the credentials here. */
  digest({user, password}: BasicCredentials, hash: string): string {
    // No user and no hash holds a NUL.
    return createHmac('sha256', this.#key).update(`${user}\0${hash}\0${password}`).digest('latin1');
  }

  has(digest: string, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(digest);
    return untilMs !== undefined && nowMs < untilMs;
  }

  add(digest: string, nowMs: number): void {
    this.#untilMs.delete(digest);
    if (this.#untilMs.size >= LIMITS.verifiedCredentialsMax) {
      const [oldest] = this.#untilMs.keys();
      if (oldest !== undefined) this.#untilMs.delete(oldest);
    }
    this.#untilMs.set(digest, nowMs + LIMITS.verifiedCredentialsMs);
  }
}
