/** The server's side of a connection: the requests of one client. See `session.ts`. */
import {LIMITS} from '#src/core/limits.ts';
import type {FieldBlockReader} from '#src/http2/field-block-reader.ts';
import {ERROR, STREAM_ID_MAX, type ErrorCode} from '#src/http2/frames.ts';
import type {Glitch} from '#src/http2/glitches.ts';
import {isContentLate, judgeResponse} from '#src/http2/patience.ts';
import {parsePriority} from '#src/http2/priority.ts';
import type {SessionHandler, SessionOptions} from '#src/http2/session-handler.ts';
import {SERVER_SIDE} from '#src/http2/session-side.ts';
import {Session} from '#src/http2/session.ts';
import type {Stream} from '#src/http2/stream.ts';

/** Its answer shows that the client has read the GOAWAY before it. */
const DRAIN_PING = Buffer.from('draining', 'latin1');
/** RFC 8297. */
const EARLY_HINTS = 103;

export class ServerSession<Context> extends Session<Context> {
  readonly #handler: SessionHandler<Context>;
  readonly #options: SessionOptions;
  #isPeerLeaving = false;
  #leavingSinceMs = Number.NaN;

  constructor(options: SessionOptions, handler: SessionHandler<Context>, nowMs: number) {
    super(SERVER_SIDE, options.workspace, handler, nowMs);
    this.#options = options;
    this.#handler = handler;
  }

  /** Enforces every limit of time. */
  onTick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.phase === 'closed') return;
    const {requestHeadMs, keepAliveMs} = this.#options.timeouts;
    if (this.phase === 'opening' && nowMs - this.openedMs >= requestHeadMs) this.onViolation(ERROR.SETTINGS_TIMEOUT, 'request_head_timeout');
    else if (nowMs - this.parser.incompleteSinceMs >= requestHeadMs) this.onViolation(ERROR.ENHANCE_YOUR_CALM, 'request_head_timeout');
    else if (!this.areSettingsAcknowledged && nowMs - this.openedMs >= LIMITS.h2SettingsAckMs) this.onViolation(ERROR.SETTINGS_TIMEOUT, 'h2_settings_timeout');
    else if (this.phase === 'leaving' && nowMs - this.#leavingSinceMs >= LIMITS.h2DrainGraceMs) this.#leave();
    else if (this.registry.size === 0 && nowMs - this.idleSinceMs >= keepAliveMs) {
      this.#handler.onIdle();
      this.#leave();
    }
    for (const stream of this.registry.live) {
      const fault = judgeResponse(stream, this.sender, nowMs);
      if (fault !== null) this.onStreamFault(stream, ERROR.ENHANCE_YOUR_CALM, fault);
      else if (isContentLate(stream, this.receiver.isWindowOpen(stream), nowMs)) this.#handler.onBodyTimeout(stream);
    }
  }

  /** Ends the session when its requests are answered, and tells the client in two steps, so that none is lost (RFC 9113 §6.8). */
  drain(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.phase === 'opening') this.#leave();
    if (this.phase !== 'open') return;
    this.phase = 'leaving';
    this.#leavingSinceMs = nowMs;
    this.sender.output.writeGoAway(STREAM_ID_MAX, ERROR.NO_ERROR);
    this.sender.output.writePing(0, DRAIN_PING, 0);
  }

  /** The same for a client that is not wanted: it gets no time for further requests. */
  dismiss(): void {
    if (this.phase !== 'left' && this.phase !== 'closed') this.#leave();
  }

  protected override onNotableGlitches(): void {
    this.#handler.onNotableGlitches();
  }

  protected override onGlitchQuarters(count: number): void {
    this.#handler.onGlitchQuarters(count);
  }

  /** The connection is gone: nothing of it is left uncounted. */
  settleGlitches(): void {
    const rest = this.glitches.takeRest();
    if (rest >= LIMITS.glitchQuartersTold) this.#handler.onGlitchQuarters(rest);
  }

  // The handler's side.

  /**
   * The head of the response, or before it any number of interim ones; of those, hints (103) only while the client takes what there is: no window
   * holds them back. @param lines checked fields: `name: value CRLF` each
   */
  sendHead(stream: Stream<Context>, status: number, lines: string): void {
    if (status === EARLY_HINTS && this.sender.output.pendingBytes >= LIMITS.h2OutputBytesMax) return;
    if (stream.advance('send_headers')) this.sender.sendFields(stream, status, lines, 0);
  }

  // The sender's side.

  onSent(stream: Stream<Context>): void {
    if (!stream.advance('send_end')) throw new Error(`a response ended in the state ${stream.state}`);
    if (stream.isClosed) this.remove(stream);
    // RFC 9113 §8.1: the rest of the request is of no use any more, and that is no error.
    else this.resetStream(stream, ERROR.NO_ERROR);
  }

  // Requests.

  onBlock(streamId: number, block: FieldBlockReader): void {
    if (streamId > this.registry.lastStreamId) this.#onRequest(streamId, block);
    else this.onTrailers(streamId, block);
  }

  #onRequest(streamId: number, block: FieldBlockReader): void {
    const {requests} = this.#options.workspace;
    const {isEnd, bytesReceived} = block;
    this.registry.lastStreamId = streamId;
    requests.begin(this.#options.scheme, this.areSettingsAcknowledged);
    if (!this.decode(block, requests)) return;
    const priority = this.registry.takePriority(streamId) ?? requests.priority;
    // Sent before the client had read the last GOAWAY, unless there is much of it.
    if (this.phase === 'left') this.#refuse(streamId, ERROR.REFUSED_STREAM, 'stray');
    else if (this.registry.size >= LIMITS.h2StreamsMax) {
      this.#handler.onRefusedRequest('h2_streams_exceeded');
      // Before it has our settings a client cannot know the limit.
      this.#refuse(streamId, ERROR.REFUSED_STREAM, this.areSettingsAcknowledged ? 'provoked' : 'stray');
    } else {
      const verdict = requests.finish(isEnd);
      if (verdict === 'malformed') {
        this.#handler.onRefusedRequest('h2_request_malformed');
        this.#refuse(streamId, ERROR.PROTOCOL_ERROR, 'provoked');
        return;
      }
      const stream = this.#open(streamId, isEnd);
      stream.bytesReceived = bytesReceived;
      stream.priority = priority;
      stream.contentLength = requests.head.contentLength;
      if (requests.head.isExtendedConnect) stream.tunnel = 'awaited';
      stream.hasBody = verdict === 'good' && (stream.tunnel !== 'none' || requests.head.bodyLength !== 0);
      if (verdict === 'good') this.#handler.onRequest(stream, requests.head);
      else this.#handler.onInvalidRequest(stream, verdict);
    }
  }

  #open(streamId: number, isEnd: boolean): Stream<Context> {
    const stream = this.openStream(streamId, this.#options.timeouts);
    stream.advance('receive_headers');
    if (isEnd) stream.advance('receive_end');
    return stream;
  }

  /** Nothing of the request has been done (RFC 9113 §8.7). */
  #refuse(streamId: number, code: ErrorCode, glitch: Glitch): void {
    this.sender.output.writeReset(streamId, code);
    this.registry.rememberReset(streamId);
    this.onGlitch(glitch);
  }

  // The connection.

  onPingAnswered(bytes: Buffer, start: number): void {
    if (this.phase === 'leaving' && DRAIN_PING.equals(bytes.subarray(start, start + DRAIN_PING.length))) this.#leave();
    else this.onGlitch('ping');
  }

  onGoAway(): void {
    // Once is enough, and twice is usual (RFC 9113 §6.8).
    if (this.#isPeerLeaving) this.onGlitch('stray');
    this.#isPeerLeaving = true;
    this.leaveIfDone();
  }

  onPriorityUpdate(streamId: number, value: string): void {
    const stream = this.registry.get(streamId);
    if (stream !== undefined) this.sender.prioritise(stream, parsePriority(value));
    else if (streamId > this.registry.lastStreamId) this.registry.keepPriority(streamId, parsePriority(value));
    this.onGlitch('priority');
  }

  /** The last word: streams that are not open yet will not be served, and may be tried elsewhere. */
  #leave(): void {
    this.phase = 'left';
    this.sender.output.writeGoAway(this.registry.lastStreamId, ERROR.NO_ERROR);
    this.leaveIfDone();
  }

  protected leaveIfDone(): void {
    if (this.registry.size > 0 || this.phase === 'closed') return;
    if (this.phase === 'left') this.phase = 'closed';
    else if (this.#isPeerLeaving) this.#leave();
  }
}
