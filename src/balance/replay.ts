/** May a request that failed at one endpoint be sent to another? The one place that decides it. */
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';

/** RFC 9110 §9.2.2. Methods are case-sensitive, and an unknown one is not idempotent. */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT_METHODS.has(method);
}

/** What is known of the attempt that failed. */
export interface FailedAttempt {
  readonly fault: FaultCode;
  readonly idempotent: boolean;
  /** Any byte of the request was handed to the upstream connection. */
  readonly requestBegun: boolean;
  /** Any byte of the final response was handed to the client. */
  readonly responseBegun: boolean;
  /** The upstream connection had answered an earlier request. */
  readonly connectionReused: boolean;
  /** Of this attempt. */
  readonly upstreamBytesReceived: number;
  /** All of the body that was read from the client is still at hand. */
  readonly bodyReplayable: boolean;
  /** Attempts made so far, this one included. */
  readonly attempts: number;
}

/**
 * A request that never left may always be sent again, an idempotent one while nothing of an answer went out, and any other only after
 * the race that every keep-alive connection has: the upstream closed it for idleness just when the request was on its way, so that not a
 * byte came back (RFC 9112 §9.3.1).
 */
export function mayReplay(attempt: FailedAttempt): boolean {
  if (!FAULTS[attempt.fault].retryable || attempt.attempts >= LIMITS.attemptsMax) return false;
  if (attempt.responseBegun || !attempt.bodyReplayable) return false;
  if (!attempt.requestBegun || attempt.idempotent) return true;
  return attempt.connectionReused && attempt.upstreamBytesReceived === 0;
}
