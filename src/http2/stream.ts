/** One request and its response. */
import {LIMITS} from '#src/core/limits.ts';
import type {ClientPatience} from '#src/core/patience.ts';
import type {ContentQueue} from '#src/http2/content-queue.ts';
import {PRIORITY_DEFAULT, type Priority} from '#src/http2/priority.ts';
import {nextState, type StreamEvent, type StreamState} from '#src/http2/stream-state.ts';

export class Stream<Context> {
  readonly id: number;
  /** Whatever the handler needs with this stream. */
  context: Context | null = null;
  state: StreamState = 'idle';
  priority: Priority = PRIORITY_DEFAULT;
  /** Frames of this request and of its response, with their headers. */
  bytesReceived = 0;
  bytesSent = 0;
  /** How long the client may take for the body, and for reading the response. */
  patience: ClientPatience;

  /** The final head is here: content may come. */
  isHeadComplete = true;
  /** Of a request of ours: whether its response has a body depends on it. */
  requestMethod = '';

  // What comes in. The session's own.
  /** Content that was announced, -1 where nothing was. */
  contentLength = -1;
  contentReceived = 0;
  /** RFC 8441: content that is no body, and has no time of its own. Whoever accepts it sets `open`. */
  tunnel: 'none' | 'awaited' | 'open' = 'none';
  /** The handler waits for a body and its end. */
  hasBody = false;
  receiveWindow: number = LIMITS.h2StreamWindowBytes;
  isWindowWide = false;
  /** Content that the client may send once more. It is told in portions. */
  credit = 0;
  /** Content for which the handler has no more room: credit later. */
  withheld = 0;
  isBodyPaused = false;
  /** What is left of its reserve for that, when it was last looked at, and what it had sent then. */
  bodyLeftMs = Number.POSITIVE_INFINITY;
  bodyJudgedMs: number;
  bodyJudgedBytes = 0;

  // What goes out. The sender's own.
  sendWindow: number;
  /** Content that could not be sent yet. */
  queue: ContentQueue | null = null;
  queuedBytes = 0;
  /** Fields after the content, as lines. */
  trailers = '';
  /** The response ends with what is queued. */
  isEndQueued = false;
  /** The handler has been told to stop producing, and will be told to go on. */
  isBackedUp = false;
  /** Since when bytes have been waiting, and what had been sent then. NaN: none are. */
  waitingSinceMs = Number.NaN;
  waitingSinceBytes = 0;
  /** What is left of the client's reserve, when it was last looked at, and what had been sent then: of this response, and of all. */
  responseLeftMs = Number.POSITIVE_INFINITY;
  responseJudgedMs = 0;
  responseJudgedBytes = 0;
  sessionJudgedBytes = 0;
  isReady = false;
  nextReady: Stream<Context> | null = null;
  previousReady: Stream<Context> | null = null;

  constructor(id: number, sendWindow: number, patience: ClientPatience, nowMs: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.patience = patience;
    this.bodyJudgedMs = nowMs;
  }

  /** Moves on. False where the event is forbidden, and nothing has changed. */
  advance(event: StreamEvent): boolean {
    const next = nextState(this.state, event);
    if (next === null) return false;
    this.state = next;
    return true;
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  /** The peer has more to send. */
  get isReceiving(): boolean {
    return this.state === 'open' || this.state === 'half_closed_local';
  }
}
