/**
 * One HTTP/2 connection of a client (RFC 9113), without its socket: bytes and time come in, calls of a handler and bytes to be written come
 * out. Everything that one turn of the event loop produces leaves with one `takeOutput`.
 *
 * Who owns the socket reads it only while `isOutputFull` is false, calls `takeOutput` at the end of each event until it is null (or the
 * socket is full), `onTick` about four times a second, and ends the socket when `isFinished` is true and everything has been written.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ContentReceiver, type ContentObserver} from '#src/http2/content-receiver.ts';
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import type {FieldBlockReader} from '#src/http2/field-block-reader.ts';
import {FrameParser, type FrameEvents} from '#src/http2/frame-parser.ts';
import {ERROR, FLAG, OWN_SETTINGS, STREAM_ID_MAX, type ErrorCode} from '#src/http2/frames.ts';
import {GLITCH_FAULTS, Glitches, type Glitch} from '#src/http2/glitches.ts';
import {HpackDecoder, type FieldSink} from '#src/http2/hpack-decoder.ts';
import {isContentLate, judgeResponse} from '#src/http2/patience.ts';
import {PeerSettings} from '#src/http2/peer-settings.ts';
import {parsePriority} from '#src/http2/priority.ts';
import {ResponseSender, type SenderObserver} from '#src/http2/response-sender.ts';
import type {SessionHandler, SessionOptions} from '#src/http2/session-handler.ts';
import {StreamRegistry} from '#src/http2/stream-registry.ts';
import {Stream} from '#src/http2/stream.ts';

/**
 * `opening`: the client's settings are awaited; `leaving`: the client has been told to open no more streams, and those on their way are
 * still served (RFC 9113 §6.8); `left`: they are no longer; `closed`.
 */
type Phase = 'opening' | 'open' | 'leaving' | 'left' | 'closed';

/** Its answer shows that the client has read the GOAWAY before it. */
const DRAIN_PING = Buffer.from('draining', 'latin1');
/** A frame of content that is worth as many changes of a window: with smaller ones a client could earn its flood by it. */
const CONTENT_BYTES_FORGIVING = 1024;
const WINDOWS_FORGIVEN = 10;

export class ServerSession<Context> implements FrameEvents, ContentObserver<Context>, SenderObserver<Context> {
  /** Time of the last call that brought one. */
  nowMs: number;
  readonly #handler: SessionHandler<Context>;
  readonly #options: SessionOptions;
  readonly #parser: FrameParser;
  readonly #decoder: HpackDecoder;
  readonly #peer = new PeerSettings();
  readonly #sender: ResponseSender<Context>;
  readonly #receiver: ContentReceiver<Context>;
  readonly #registry = new StreamRegistry<Context>();
  readonly #glitches: Glitches;
  #phase: Phase = 'opening';
  #areSettingsAcknowledged = false;
  #isPeerLeaving = false;
  readonly #openedMs: number;
  #idleSinceMs: number;
  #leavingSinceMs = Number.NaN;

  constructor(options: SessionOptions, handler: SessionHandler<Context>, nowMs: number) {
    this.nowMs = nowMs;
    this.#options = options;
    this.#handler = handler;
    this.#openedMs = nowMs;
    this.#idleSinceMs = nowMs;
    this.#decoder = new HpackDecoder(options.workspace.scratch, new DynamicTable());
    this.#sender = new ResponseSender(options.workspace, this.#peer, handler, this);
    this.#receiver = new ContentReceiver(this.#sender.output, this.#registry, handler, this);
    this.#parser = new FrameParser(this, this.#receiver);
    this.#glitches = new Glitches(nowMs);
    this.#sender.output.writeSettings(OWN_SETTINGS);
    this.#receiver.announceWindow();
  }

  // The socket's side.

  /** The bytes must not change afterwards. */
  receive(bytes: Buffer, nowMs: number): void {
    this.nowMs = nowMs;
    this.#parser.parse(bytes, nowMs);
  }

  /** The next bytes to be written; null where there are none. They do not change until `onOutputWritten` has been called for them. */
  takeOutput(): Buffer | null {
    return this.#sender.take();
  }

  /** The oldest bytes that were taken have been written: their memory is used again. */
  onOutputWritten(): void {
    this.#sender.output.onWritten();
  }

  /** Too much is waiting for the socket: no more must be received before it has been taken, because answers to frames would pile up. */
  get isOutputFull(): boolean {
    return this.#sender.output.pendingBytes >= LIMITS.h2OutputBytesMax;
  }

  /** `takeOutput` is not done. */
  get hasOutput(): boolean {
    return this.#sender.output.pendingBytes > 0;
  }

  /** Nothing more is read; the output is the last. */
  get isFinished(): boolean {
    return this.#phase === 'closed';
  }

  get isReading(): boolean { return this.#phase !== 'closed'; }
  get streams(): Iterable<Stream<Context>> { return this.#registry.live; }

  /** Enforces every limit of time. */
  onTick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.#phase === 'closed') return;
    const {requestHeadMs, keepAliveMs} = this.#options.timeouts;
    if (this.#phase === 'opening' && nowMs - this.#openedMs >= requestHeadMs) this.onViolation(ERROR.SETTINGS_TIMEOUT, 'request_head_timeout');
    else if (nowMs - this.#parser.incompleteSinceMs >= requestHeadMs) this.onViolation(ERROR.ENHANCE_YOUR_CALM, 'request_head_timeout');
    else if (!this.#areSettingsAcknowledged && nowMs - this.#openedMs >= LIMITS.h2SettingsAckMs) this.onViolation(ERROR.SETTINGS_TIMEOUT, 'h2_settings_timeout');
    else if (this.#phase === 'leaving' && nowMs - this.#leavingSinceMs >= LIMITS.h2DrainGraceMs) this.#leave();
    else if (this.#registry.size === 0 && nowMs - this.#idleSinceMs >= keepAliveMs) this.#leave();
    for (const stream of this.#registry.live) {
      const fault = judgeResponse(stream, this.#sender.isWindowOpen(stream), nowMs);
      if (fault !== null) this.onStreamFault(stream, ERROR.ENHANCE_YOUR_CALM, fault);
      else if (isContentLate(stream, this.#receiver.isWindowOpen(stream), nowMs)) this.#handler.onBodyTimeout(stream);
    }
  }

  /** Ends the session when its requests are answered, and tells the client in two steps, so that none is lost (RFC 9113 §6.8). */
  drain(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.#phase === 'opening') this.#leave();
    if (this.#phase !== 'open') return;
    this.#phase = 'leaving';
    this.#leavingSinceMs = nowMs;
    this.#sender.output.writeGoAway(STREAM_ID_MAX, ERROR.NO_ERROR);
    this.#sender.output.writePing(0, DRAIN_PING, 0);
  }

  /** The connection is gone, or has to go without a word. */
  lose(fault: FaultCode): void {
    this.#phase = 'closed';
    this.#loseStreams(ERROR.NO_ERROR, fault);
  }

  // The handler's side. What is said to a stream that is over is not heard.

  /** The head of the response, or before it any number of interim ones. @param lines checked fields: `name: value CRLF` each */
  sendHead(stream: Stream<Context>, status: number, lines: string): void {
    if (stream.advance('send_headers')) this.#sender.sendFields(stream, status, lines, 0);
  }

  /** Content. The bytes are lent. Look at `stream.isBackedUp` afterwards. */
  sendContent(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void {
    if (stream.isEndQueued) throw new Error('content after the end');
    if (end > start && stream.advance('send_data')) this.#sender.sendContent(stream, bytes, start, end);
  }

  /** The response is complete. @param trailers lines, or nothing */
  endResponse(stream: Stream<Context>, trailers = ''): void {
    if (stream.isEndQueued) throw new Error('a second end');
    if (!stream.isClosed) this.#sender.sendEnd(stream, trailers);
  }

  /** Gives up a stream, so that the client cannot take its response for complete. The handler hears no more of it. */
  resetStream(stream: Stream<Context>, code: ErrorCode): void {
    if (stream.advance('send_reset')) this.#dropReset(stream, code);
  }

  /** What arrives is still handed over, up to the window; then the client has to wait. */
  pauseBody(stream: Stream<Context>): void {
    stream.isBodyPaused = true;
  }

  resumeBody(stream: Stream<Context>): void {
    if (stream.isBodyPaused) this.#receiver.resume(stream);
  }

  // The sender's side.

  onSent(stream: Stream<Context>): void {
    if (!stream.advance('send_end')) throw new Error(`a response ended in the state ${stream.state}`);
    if (stream.isClosed) this.#remove(stream);
    // RFC 9113 §8.1: the rest of the request is of no use any more, and that is no error.
    else this.resetStream(stream, ERROR.NO_ERROR);
  }

  onContentSent(bytes: number): void {
    if (bytes >= CONTENT_BYTES_FORGIVING) this.#glitches.forgive('window', WINDOWS_FORGIVEN);
  }

  // Requests.

  onBlock(streamId: number, block: FieldBlockReader): void {
    if (streamId > this.#registry.lastStreamId) this.#onRequest(streamId, block);
    else this.#onTrailers(streamId, block);
  }

  /** Every block is decoded, also for nothing: the client's table goes on with it. False where the connection has failed. */
  #decode({bytes, start, end}: FieldBlockReader, sink: FieldSink): boolean {
    const result = this.#decoder.decode(bytes, start, end, sink);
    if (result === 'invalid') this.onViolation(ERROR.COMPRESSION_ERROR, 'h2_compression');
    if (result === 'stopped') this.onViolation(ERROR.ENHANCE_YOUR_CALM, 'h2_header_bomb');
    return result === 'complete';
  }

  #onRequest(streamId: number, block: FieldBlockReader): void {
    const {requests} = this.#options.workspace;
    const {isEnd, bytesReceived} = block;
    this.#registry.lastStreamId = streamId;
    requests.begin(this.#options.scheme, this.#areSettingsAcknowledged);
    if (!this.#decode(block, requests)) return;
    const priority = this.#registry.takePriority(streamId) ?? requests.priority;
    // Sent before the client had read the last GOAWAY, unless there is much of it.
    if (this.#phase === 'left') this.#refuse(streamId, ERROR.REFUSED_STREAM, 'stray');
    else if (this.#registry.size >= LIMITS.h2StreamsMax) {
      this.#handler.onRefusedRequest('h2_streams_exceeded');
      // Before it has our settings a client cannot know the limit.
      this.#refuse(streamId, ERROR.REFUSED_STREAM, this.#areSettingsAcknowledged ? 'provoked' : 'stray');
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
      stream.isTunnel = requests.head.isExtendedConnect;
      stream.hasBody = verdict === 'good' && (stream.isTunnel || requests.head.bodyLength !== 0);
      if (verdict === 'good') this.#handler.onRequest(stream, requests.head);
      else this.#handler.onInvalidRequest(stream, verdict);
    }
  }

  #open(streamId: number, isEnd: boolean): Stream<Context> {
    const {requestBodyIdleMs, responseIdleMs} = this.#options.timeouts;
    const stream = new Stream<Context>(streamId, this.#peer.streamWindowBytes, requestBodyIdleMs, responseIdleMs, this.nowMs);
    stream.advance('receive_headers');
    if (isEnd) stream.advance('receive_end');
    stream.isBackedUp = this.#sender.isCongested;
    this.#registry.add(stream);
    return stream;
  }

  /** Nothing of the request has been done (RFC 9113 §8.7). */
  #refuse(streamId: number, code: ErrorCode, glitch: Glitch): void {
    this.#sender.output.writeReset(streamId, code);
    this.#registry.rememberReset(streamId);
    this.onGlitch(glitch);
  }

  /** Fields after the content; or of a stream that is over. */
  #onTrailers(streamId: number, block: FieldBlockReader): void {
    const {trailers} = this.#options.workspace;
    const stream = this.#registry.get(streamId);
    trailers.begin();
    if (!this.#decode(block, trailers)) return;
    if (stream === undefined) {
      this.onStray(streamId);
      return;
    }
    stream.bytesReceived += block.bytesReceived;
    if (!stream.advance('receive_headers')) this.onStreamFault(stream, ERROR.STREAM_CLOSED, 'h2_protocol');
    else if (trailers.isMalformed || !block.isEnd || stream.isTunnel) this.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'h2_request_malformed');
    else this.#receiver.complete(stream);
  }

  onStray(streamId: number): void {
    switch (this.#registry.absence(streamId)) {
      case 'idle': this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol'); break;
      case 'over': this.onViolation(ERROR.STREAM_CLOSED, 'h2_protocol'); break;
      case 'reset': this.onGlitch('stray');
    }
  }

  onWindowExceeded(): void {
    this.onViolation(ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control');
  }

  onStreamReset(streamId: number, code: number): void {
    const stream = this.#registry.get(streamId);
    if (stream !== undefined) {
      stream.advance('receive_reset');
      this.#remove(stream);
      this.#handler.onReset(stream, code, 'client_gone');
      this.onGlitch('reset');
    } else if (this.#registry.absence(streamId) === 'idle') this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    else this.onGlitch('stray');
  }

  // The connection.

  onSettings(bytes: Buffer, start: number, end: number): void {
    const windowBefore = this.#peer.streamWindowBytes;
    const error = this.#peer.read(bytes, start, end);
    if (error !== null) this.onViolation(error, error === ERROR.ENHANCE_YOUR_CALM ? 'h2_settings_flood' : 'h2_protocol');
    else if (!this.#sender.applySettings(this.#peer.streamWindowBytes - windowBefore)) this.onWindowExceeded();
    else {
      if (this.#phase === 'opening') this.#phase = 'open';
      this.#sender.output.writeSettingsAck();
      this.onGlitch('settings');
    }
  }

  /** They were sent once, so one answer is due. */
  onSettingsAcknowledged(): void {
    if (this.#areSettingsAcknowledged) this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    this.#areSettingsAcknowledged = true;
  }

  onPing(bytes: Buffer, start: number): void {
    this.#sender.output.writePing(FLAG.ACK, bytes, start);
    this.onGlitch('ping');
  }

  onPingAnswered(bytes: Buffer, start: number): void {
    if (this.#phase === 'leaving' && DRAIN_PING.equals(bytes.subarray(start, start + DRAIN_PING.length))) this.#leave();
    else this.onGlitch('ping');
  }

  onGoAway(): void {
    this.#isPeerLeaving = true;
    this.#leaveIfDone();
  }

  onWindowUpdate(streamId: number, increment: number): void {
    const stream = this.#registry.get(streamId);
    if (streamId === 0) {
      if (increment === 0) this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
      else if (!this.#sender.widen(increment)) this.onWindowExceeded();
    } else if (stream !== undefined) {
      if (increment === 0) this.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'h2_protocol');
      else if (!this.#sender.widenStream(stream, increment)) this.onStreamFault(stream, ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control');
    } else if (this.#registry.absence(streamId) === 'idle') this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    this.onGlitch('window');
  }

  onPriorityUpdate(streamId: number, value: string): void {
    const stream = this.#registry.get(streamId);
    if (stream !== undefined) this.#sender.prioritise(stream, parsePriority(value));
    else if (streamId > this.#registry.lastStreamId) this.#registry.keepPriority(streamId, parsePriority(value));
    this.onGlitch('priority');
  }

  // The ends of streams and of the session.

  /** The client made it necessary; so too many of them are an attack of their own. */
  onStreamFault(stream: Stream<Context>, code: ErrorCode, fault: FaultCode): void {
    stream.advance('send_reset');
    this.#dropReset(stream, code);
    this.#handler.onReset(stream, code, fault);
    this.onGlitch('provoked');
  }

  #dropReset(stream: Stream<Context>, code: ErrorCode): void {
    this.#registry.rememberReset(stream.id);
    this.#sender.output.writeReset(stream.id, code);
    this.#remove(stream);
  }

  #remove(stream: Stream<Context>): void {
    this.#registry.delete(stream);
    this.#receiver.release(stream);
    this.#sender.drop(stream);
    this.#idleSinceMs = this.nowMs;
    this.#leaveIfDone();
  }

  onGlitch(glitch: Glitch): void {
    if (this.#glitches.isTooMany(glitch, this.nowMs)) this.onViolation(ERROR.ENHANCE_YOUR_CALM, GLITCH_FAULTS[glitch]);
  }

  /** Fails the connection (RFC 9113 §5.4.1). */
  onViolation(code: ErrorCode, fault: FaultCode): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#sender.output.writeGoAway(this.#registry.lastStreamId, code);
    this.#loseStreams(code, fault);
    this.#handler.onConnectionError(code, fault);
  }

  #loseStreams(code: ErrorCode, fault: FaultCode): void {
    for (const stream of this.#registry.clear()) {
      stream.advance('receive_reset');
      this.#sender.drop(stream);
      this.#handler.onReset(stream, code, fault);
    }
  }

  /** The last word: streams that are not open yet will not be served, and may be tried elsewhere. */
  #leave(): void {
    this.#phase = 'left';
    this.#sender.output.writeGoAway(this.#registry.lastStreamId, ERROR.NO_ERROR);
    this.#leaveIfDone();
  }

  #leaveIfDone(): void {
    if (this.#registry.size > 0 || this.#phase === 'closed') return;
    if (this.#phase === 'left') this.#phase = 'closed';
    else if (this.#isPeerLeaving) this.#leave();
  }
}
