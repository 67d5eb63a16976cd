/** How long a client may take for what only it can do: see `core/patience.ts`. Both are asked a few times a second. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {settleReserve} from '#src/core/patience.ts';
import type {Stream} from '#src/http2/stream.ts';

/** The client has used up its time for the body, although it could have sent more. Begins anew after that. */
export function isContentLate<Context>(stream: Stream<Context>, isWindowOpen: boolean, nowMs: number): boolean {
  if (!stream.hasBody || stream.tunnel !== 'none' || !stream.isReceiving) return false;
  const {requestBodyIdleMs, requestBodyRateMin} = stream.patience;
  const waitedMs = nowMs - stream.bodyJudgedMs, bytes = stream.contentReceived - stream.bodyJudgedBytes;
  stream.bodyJudgedMs = nowMs;
  stream.bodyJudgedBytes = stream.contentReceived;
  if (stream.isBodyPaused || !isWindowOpen) return false;
  stream.bodyLeftMs = settleReserve(stream.bodyLeftMs, requestBodyIdleMs, waitedMs, bytes, requestBodyRateMin);
  if (stream.bodyLeftMs > 0) return false;
  stream.bodyLeftMs = requestBodyIdleMs;
  return true;
}

/** What the sender of the session knows. */
export interface SendingProgress<Context> {
  /** Content of all responses that has left. */
  readonly contentSent: number;
  isWindowOpen(stream: Stream<Context>): boolean;
}

/**
 * Looks whether content waits for too long: windows of zero, or of a few bytes at a time, would keep the response here, and its upstream
 * waiting, for as long as somebody likes. A response that its own window does not stop shares the line with its siblings, and is not to
 * blame for their number: what they move counts for it.
 */
export function judgeResponse<Context>(stream: Stream<Context>, sender: SendingProgress<Context>, nowMs: number): FaultCode | null {
  if (Number.isNaN(stream.waitingSinceMs)) return null;
  const {responseIdleMs, responseRateMin} = stream.patience;
  const moved = stream.sendWindow > 0 ? sender.contentSent - stream.sessionJudgedBytes : stream.bytesSent - stream.responseJudgedBytes;
  const rateMin = Math.max(responseRateMin, LIMITS.h2TrickleBytesMin * 1000 / responseIdleMs);
  stream.responseLeftMs = settleReserve(stream.responseLeftMs, responseIdleMs, nowMs - stream.responseJudgedMs, moved, rateMin);
  stream.responseJudgedMs = nowMs;
  stream.responseJudgedBytes = stream.bytesSent;
  stream.sessionJudgedBytes = sender.contentSent;
  if (stream.responseLeftMs > 0) return null;
  if (sender.isWindowOpen(stream)) return 'client_stalled';
  return stream.bytesSent === stream.waitingSinceBytes ? 'h2_window_stalled' : 'h2_trickle';
}
