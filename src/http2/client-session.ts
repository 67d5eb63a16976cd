/**
 * The client's side of a connection: requests of ours, and what an application answers. See `session.ts`. Nothing that it sends is trusted:
 * what is wrong with one stream ends that stream, what is wrong with the connection ends all of them.
 */
import {BufferPool} from '#src/core/buffer-pool.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientPatience} from '#src/core/patience.ts';
import {ResponseHead} from '#src/http1/response-head.ts';
import type {FieldBlockReader} from '#src/http2/field-block-reader.ts';
import {ERROR, STREAM_ID_MAX, type ErrorCode} from '#src/http2/frames.ts';
import type {Glitch} from '#src/http2/glitches.ts';
import {makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {SlabPool} from '#src/http2/output-buffer.ts';
import {ResponseAssembler} from '#src/http2/response-assembler.ts';
import {CLIENT_SIDE} from '#src/http2/session-side.ts';
import {Session, type SessionMemory} from '#src/http2/session.ts';
import type {StreamHandler} from '#src/http2/stream-handler.ts';
import type {Stream} from '#src/http2/stream.ts';
import {TrailerCheck} from '#src/http2/trailer-check.ts';

/** The heads are lent: whatever is needed later is taken out before returning. */
export interface ClientHandler<Context> extends StreamHandler<Context> {
  /** Any status below 200. */
  onInterim(stream: Stream<Context>, head: ResponseHead): void;
  /** The final head. `onEnd` follows in any case, or `onReset`. */
  onResponse(stream: Stream<Context>, head: ResponseHead): void;
}

export interface ClientWorkspace extends SessionMemory {
  readonly responses: ResponseAssembler;
}

export function makeClientWorkspace(): ClientWorkspace {
  return {
    slabs: new SlabPool(),
    content: new BufferPool(LIMITS.h2ContentBufferBytes, LIMITS.h2IdleContentBuffersMax),
    scratch: makeHuffmanScratch(),
    trailers: new TrailerCheck(),
    responses: new ResponseAssembler(new ResponseHead()),
  };
}

/** The faults of clients, as they are called of applications. What is not here is called so already. */
const UPSTREAM_FAULTS: Readonly<Partial<Record<FaultCode, FaultCode>>> = {
  h2_protocol: 'upstream_h2_protocol', h2_compression: 'upstream_h2_protocol', h2_flow_control: 'upstream_h2_protocol',
  h2_settings_timeout: 'upstream_h2_protocol', h2_continuation_flood: 'upstream_h2_flood', h2_header_bomb: 'upstream_h2_flood',
  h2_settings_flood: 'upstream_h2_flood', h2_ping_flood: 'upstream_h2_flood', h2_empty_frames: 'upstream_h2_flood',
  h2_priority_flood: 'upstream_h2_flood', h2_window_flood: 'upstream_h2_flood', h2_unknown_frames: 'upstream_h2_flood',
  h2_stray_frames: 'upstream_h2_flood', h2_request_malformed: 'upstream_trailers_invalid', framing_invalid: 'upstream_framing_invalid',
};

/** A server may widen a window for each piece that it takes, and mark the end of content that trailers follow by an empty frame. */
const WINDOWS_FORGIVEN = 2;
const STRAYS_FORGIVEN = 5;

/** How long an application may take is a matter of whoever asks it. */
const OWN_PATIENCE: ClientPatience = {requestBodyIdleMs: 0, responseIdleMs: 0, requestBodyRateMin: 0, responseRateMin: 0};

export class ClientSession<Context> extends Session<Context> {
  readonly #handler: ClientHandler<Context>;
  readonly #workspace: ClientWorkspace;
  #nextStreamId = 1;
  /** The highest stream that the server may still answer. */
  #lastServedId = STREAM_ID_MAX;
  /** What the server may have sent of streams before it knew that they are given up. */
  #strayBytesLeft = 0;

  constructor(workspace: ClientWorkspace, handler: ClientHandler<Context>, nowMs: number) {
    super(CLIENT_SIDE, workspace, handler, nowMs);
    this.#handler = handler;
    this.#workspace = workspace;
  }

  get isOpening(): boolean { return this.phase === 'opening'; }
  /** The server's settings are here: it speaks HTTP/2, and its limits are known. */
  get isReady(): boolean { return this.phase !== 'opening' && this.phase !== 'closed'; }
  /** No request may be added any more, whatever there is room for. */
  get isLeaving(): boolean { return this.phase !== 'opening' && this.phase !== 'open'; }
  get streamCount(): number { return this.registry.size; }
  get streamsMax(): number { return Math.min(LIMITS.h2UpstreamStreamsMax, this.peer.streamsMax); }
  get hasRoom(): boolean { return this.phase === 'open' && this.registry.size < this.streamsMax; }

  /** When the next limit of time is reached if nothing happens. */
  nextDeadlineMs(keepAliveMs: number): number {
    let deadlineMs = this.areSettingsAcknowledged ? Number.POSITIVE_INFINITY : this.openedMs + LIMITS.h2SettingsAckMs;
    if (this.registry.size === 0) deadlineMs = Math.min(deadlineMs, this.idleSinceMs + keepAliveMs);
    const {incompleteSinceMs} = this.parser;
    return Number.isNaN(incompleteSinceMs) ? deadlineMs : Math.min(deadlineMs, incompleteSinceMs + LIMITS.h2UpstreamFrameMs);
  }

  /** Enforces every limit of time that is not one of a request. */
  onTick(nowMs: number, keepAliveMs: number): void {
    this.nowMs = nowMs;
    if (this.phase === 'closed') return;
    if (!this.areSettingsAcknowledged && nowMs - this.openedMs >= LIMITS.h2SettingsAckMs) this.onViolation(ERROR.SETTINGS_TIMEOUT, 'h2_settings_timeout');
    else if (nowMs - this.parser.incompleteSinceMs >= LIMITS.h2UpstreamFrameMs) this.onViolation(ERROR.ENHANCE_YOUR_CALM, 'h2_protocol');
    else if (this.registry.size === 0 && nowMs - this.idleSinceMs >= keepAliveMs) this.retire();
  }

  /** Takes no more requests. Those that there are go on, and the session ends with the last of them. */
  retire(): void {
    if (this.phase === 'opening' || this.phase === 'open') this.phase = 'leaving';
    this.leaveIfDone();
  }

  /** Begins a request. There must be room. @param lines pseudo-header fields, then checked fields: `name: value CRLF` each */
  beginRequest(context: Context, method: string, lines: string): Stream<Context> {
    if (!this.hasRoom) throw new Error('a request without room for it');
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    this.registry.lastStreamId = streamId;
    const stream = this.openStream(streamId, OWN_PATIENCE);
    stream.context = context;
    stream.requestMethod = method;
    stream.isHeadComplete = false;
    stream.hasBody = true;
    stream.advance('send_headers');
    this.sender.sendFields(stream, 0, lines, 0);
    this.glitches.forgive('window', WINDOWS_FORGIVEN);
    if (this.#nextStreamId > STREAM_ID_MAX) this.retire();
    return stream;
  }

  onSent(stream: Stream<Context>): void {
    if (!stream.advance('send_end')) throw new Error(`a request ended in the state ${stream.state}`);
    if (stream.isClosed) this.remove(stream);
  }

  override onContentSent(bytes: number): void {
    super.onContentSent(bytes);
    this.glitches.forgive('window', WINDOWS_FORGIVEN);
  }

  override resetStream(stream: Stream<Context>, code: ErrorCode): void {
    this.#expectStrays(stream);
    super.resetStream(stream, code);
    this.glitches.forgive('stray', STRAYS_FORGIVEN);
  }

  #expectStrays({isReceiving, receiveWindow}: Stream<Context>): void {
    if (isReceiving) this.#strayBytesLeft += Math.max(0, receiveWindow);
  }

  /** In frames of any size: clients that cancel must not be able to make a flood of them, which would end their siblings. */
  override onStrayContent(streamId: number, length: number): void {
    if (length === 0 || length > this.#strayBytesLeft || this.registry.absence(streamId) !== 'reset') super.onStrayContent(streamId, length);
    else this.#strayBytesLeft -= length;
  }

  // Responses.

  /** An answer may come before all of the request has left: the rest is of no use any more. */
  override onReceived(stream: Stream<Context>): void {
    super.onReceived(stream);
    if (!stream.isClosed) this.resetStream(stream, ERROR.CANCEL);
  }

  onBlock(streamId: number, block: FieldBlockReader): void {
    const stream = this.registry.get(streamId);
    if (stream !== undefined && !stream.isHeadComplete) this.#onHead(stream, block);
    else {
      this.onTrailers(streamId, block);
      this.glitches.forgive('empty', 1);
    }
  }

  #onHead(stream: Stream<Context>, block: FieldBlockReader): void {
    const {responses} = this.#workspace;
    const {isEnd} = block;
    responses.begin();
    if (!this.decode(block, responses)) return;
    stream.bytesReceived += block.bytesReceived;
    stream.advance('receive_headers');
    const fault = responses.finish(stream.requestMethod, isEnd);
    const {head} = responses;
    if (fault !== null) this.onStreamFault(stream, ERROR.PROTOCOL_ERROR, fault);
    else if (head.status < 200) this.#handler.onInterim(stream, head);
    else {
      stream.isHeadComplete = true;
      stream.contentLength = head.bodyLength < 0 ? head.contentLength : head.bodyLength;
      this.#handler.onResponse(stream, head);
      if (isEnd && !stream.isClosed) this.receiver.complete(stream, null);
    }
  }

  // The connection.

  override onSettings(bytes: Buffer, start: number, end: number): void {
    super.onSettings(bytes, start, end);
    // RFC 9113 §6.5.2: no server may say so.
    if (this.peer.isPushEnabled) this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
  }

  onPingAnswered(): void {
    this.onGlitch('ping');
  }

  /** RFC 9218 §7.1: clients send it. */
  onPriorityUpdate(): void {
    this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
  }

  /** What it has not begun may be sent again (RFC 9113 §6.8, §8.7). */
  onGoAway(lastStreamId: number): void {
    if (lastStreamId > this.#lastServedId) {
      this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
      return;
    }
    this.#lastServedId = lastStreamId;
    if (!this.isLeaving) this.phase = 'leaving';
    for (const stream of [...this.registry.live].filter(({id}) => id > lastStreamId)) {
      stream.advance('receive_reset');
      this.remove(stream);
      this.#handler.onReset(stream, ERROR.REFUSED_STREAM, 'upstream_refused');
    }
    this.onGlitch('unknown');
    this.leaveIfDone();
  }

  /** Resets cost no more than the requests that they answer, and those are ours. */
  override onGlitch(glitch: Glitch): void {
    if (glitch !== 'reset' && glitch !== 'provoked') super.onGlitch(glitch);
  }

  override onStreamFault(stream: Stream<Context>, code: ErrorCode, fault: FaultCode): void {
    this.#expectStrays(stream);
    super.onStreamFault(stream, code, UPSTREAM_FAULTS[fault] ?? fault);
  }

  override onViolation(code: ErrorCode, fault: FaultCode): void {
    super.onViolation(code, UPSTREAM_FAULTS[fault] ?? fault);
  }

  protected leaveIfDone(): void {
    if (this.registry.size === 0 && this.phase === 'leaving') this.phase = 'closed';
  }
}
