/** How long a client may take for what only it can do. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {Stream} from '#src/http2/stream.ts';

/** The client has been silent within a body for too long, although it could have sent more. Begins anew after that. */
export function isContentLate<Context>(stream: Stream<Context>, isWindowOpen: boolean, nowMs: number): boolean {
  if (!stream.hasBody || stream.isTunnel || !stream.isReceiving) return false;
  if (stream.isBodyPaused || !isWindowOpen) {
    stream.lastReceivedMs = nowMs;
    return false;
  }
  if (nowMs - stream.lastReceivedMs < stream.requestBodyIdleMs) return false;
  stream.lastReceivedMs = nowMs;
  return true;
}

/**
 * Looks whether content waits for too long. In the time of `responseIdleMs` a client must let out more than a drop: windows of zero, or
 * of a few bytes at a time, would keep the response here, and its upstream waiting, for as long as somebody likes.
 */
export function judgeResponse<Context>(stream: Stream<Context>, isWindowOpen: boolean, nowMs: number): FaultCode | null {
  if (!(nowMs - stream.waitingSinceMs >= stream.responseIdleMs)) return null;
  const sent = stream.bytesSent - stream.waitingSinceBytes;
  if (sent >= LIMITS.h2TrickleBytesMin) {
    stream.waitingSinceMs = nowMs;
    stream.waitingSinceBytes = stream.bytesSent;
    return null;
  }
  if (isWindowOpen) return 'client_stalled';
  return sent === 0 ? 'h2_window_stalled' : 'h2_trickle';
}
