/** In what the two sides of a connection differ: how they begin, and how much they bear. */
import {LIMITS} from '#src/core/limits.ts';
import {OWN_SETTINGS} from '#src/http2/frames.ts';

export interface SessionSide {
  /** The peer begins with a preface. */
  readonly isServer: boolean;
  readonly settings: readonly (readonly [identifier: number, value: number])[];
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
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
  queueBytesMax: LIMITS.h2SessionQueueBytesMax,
  outputBytesMax: LIMITS.h2OutputBytesMax + LIMITS.h2AnswerBytesMax,
};
