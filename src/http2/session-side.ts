/** In what the two sides of a connection differ: how they begin, and how much they bear. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {OWN_SETTINGS, SETTING} from '#src/http2/frames.ts';

export interface SessionSide {
  /** The peer begins with a preface. */
  readonly isServer: boolean;
  readonly settings: readonly (readonly [identifier: number, value: number])[];
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** To what a stream's window is widened when its first content has been taken, while there are no more streams than that. */
  readonly wideWindowBytes: number;
  readonly wideStreamsMax: number;
  /** A stream that the peer has reset. */
  readonly goneFault: FaultCode;
  /** What may wait of all streams together before all of them are backed up. */
  readonly queueBytesMax: number;
  /** Frames that are ready to leave; then the peer must not be read. */
  readonly outputBytesMax: number;
}

export const SERVER_SIDE: SessionSide = {
  isServer: true,
  settings: OWN_SETTINGS,
  streamWindowBytes: LIMITS.h2StreamWindowBytes,
  connectionWindowBytes: LIMITS.h2ConnectionWindowBytes,
  wideWindowBytes: LIMITS.h2StreamWindowBytes,
  wideStreamsMax: 0,
  goneFault: 'client_gone',
  queueBytesMax: LIMITS.h2SessionQueueBytesMax,
  outputBytesMax: LIMITS.h2OutputBytesMax + LIMITS.h2AnswerBytesMax,
};

/**
 * To applications a connection is shared by many clients. So it has room for the windows of all streams: slow clients shut those of their own
 * and nobody else's; and an application that takes nothing of some uploads stops no others.
 */
export const CLIENT_SIDE: SessionSide = {
  isServer: false,
  settings: [
    [SETTING.ENABLE_PUSH, 0],
    [SETTING.INITIAL_WINDOW_SIZE, LIMITS.h2UpstreamWindowBytes],
    [SETTING.MAX_HEADER_LIST_SIZE, LIMITS.responseHeadBytesMax],
  ],
  streamWindowBytes: LIMITS.h2UpstreamWindowBytes,
  connectionWindowBytes: LIMITS.h2UpstreamStreamsMax * LIMITS.h2UpstreamWindowBytes + LIMITS.h2UpstreamWideStreamsMax * (LIMITS.h2UpstreamWideWindowBytes - LIMITS.h2UpstreamWindowBytes),
  wideWindowBytes: LIMITS.h2UpstreamWideWindowBytes,
  wideStreamsMax: LIMITS.h2UpstreamWideStreamsMax,
  goneFault: 'upstream_closed',
  queueBytesMax: Number.POSITIVE_INFINITY,
  // Content stops at half of it: an application that reads nothing while it writes is still read.
  outputBytesMax: 2 * LIMITS.h2OutputBytesMax,
};
