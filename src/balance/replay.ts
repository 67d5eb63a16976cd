/** May a request that failed at one endpoint be sent to another? The one place that decides it. */
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';

/** RFC 9110 §9.2.2. Methods are case-sensitive, and an unknown one is not idempotent. */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT_METHODS.has(method);
}

/** How long a connection may have been idle that such a request is given. One that must not be sent twice gets none that may be about to end. */
export function reusableIdleMs(method: string): number {
  return isIdempotent(method) ? Number.POSITIVE_INFINITY : LIMITS.unsafeIdleMs;
}

/** What is known of the attempt that failed. */
export interface FailedAttempt {
  readonly fault: FaultCode;
  readonly idempotent: boolean;
  /** Any byte of the request was handed to the upstream connection. */
  readonly requestBegun: boolean;
  /** Any byte of the final response was handed to the client. */
  readonly responseBegun: boolean;
  /** All of the body that was read from the client is still at hand. */
  readonly bodyReplayable: boolean;
  /** Attempts made so far, this one included. */
  readonly attempts: number;
}

/**
 * A request that never left may always be sent again, an idempotent one while nothing of an answer went out, and any other never
 * (RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests"). A connection that closes without a byte looks the same
 * whether it ended for idleness or its application took the order and died; `reusableIdleMs` keeps the first from happening.
 */
export function mayReplay(attempt: FailedAttempt): boolean {
  if (!FAULTS[attempt.fault].retryable || attempt.attempts >= LIMITS.attemptsMax) return false;
  if (attempt.responseBegun || !attempt.bodyReplayable) return false;
  return !attempt.requestBegun || attempt.idempotent;
}
