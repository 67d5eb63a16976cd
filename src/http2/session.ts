/**
 * One HTTP/2 connection (RFC 9113), without its socket: bytes and time come in, calls of a handler and bytes to be written come out.
 * Everything that one turn of the event loop produces leaves with one `takeOutput`. Here is what both sides have in common.
 *
 * Who owns the socket reads it only while `isOutputFull` is false, calls `takeOutput` at the end of each event until it is null (or the
 * socket is full), lets the session know of the time, and ends the socket when `isFinished` is true and everything has been written.
 */
import type {BufferPool} from '#src/core/buffer-pool.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {ClientPatience} from '#src/core/patience.ts';
import {ContentReceiver, type ContentObserver} from '#src/http2/content-receiver.ts';
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import type {FieldBlockReader} from '#src/http2/field-block-reader.ts';
import {FrameParser, type FrameEvents} from '#src/http2/frame-parser.ts';
import {ERROR, FLAG, PREFACE, type ErrorCode} from '#src/http2/frames.ts';
import {GLITCH_FAULTS, Glitches, type Glitch} from '#src/http2/glitches.ts';
import {HpackDecoder, type FieldSink} from '#src/http2/hpack-decoder.ts';
import {MessageSender, type SenderObserver} from '#src/http2/message-sender.ts';
import type {SlabPool} from '#src/http2/output-buffer.ts';
import {PeerSettings} from '#src/http2/peer-settings.ts';
import type {SessionSide} from '#src/http2/session-side.ts';
import type {StreamHandler} from '#src/http2/stream-handler.ts';
import {StreamRegistry} from '#src/http2/stream-registry.ts';
import {Stream} from '#src/http2/stream.ts';
import type {TrailerCheck} from '#src/http2/trailer-check.ts';

/**
 * `opening`: the peer's settings are awaited; `leaving`: no further streams are wanted, and those on their way are still served
 * (RFC 9113 §6.8); `left`: they are no longer; `closed`.
 */
export type SessionPhase = 'opening' | 'open' | 'leaving' | 'left' | 'closed';

/** Memory that the sessions of a thread use in turn: none of it is held between two calls. */
export interface SessionMemory {
  readonly slabs: SlabPool;
  /** For content that waits. */
  readonly content: BufferPool;
  readonly scratch: Buffer;
  readonly trailers: TrailerCheck;
}

/** A frame of content that is worth as many changes of a window: with smaller ones a peer could earn its flood by it. */
const CONTENT_BYTES_FORGIVING = 1024;
const WINDOWS_FORGIVEN = 10;

export abstract class Session<Context> implements FrameEvents, ContentObserver<Context>, SenderObserver<Context> {
  /** Time of the last call that brought one. */
  nowMs: number;
  protected readonly parser: FrameParser;
  protected readonly peer = new PeerSettings();
  protected readonly sender: MessageSender<Context>;
  protected readonly receiver: ContentReceiver<Context>;
  protected readonly registry = new StreamRegistry<Context>();
  protected readonly glitches: Glitches;
  protected readonly openedMs: number;
  protected phase: SessionPhase = 'opening';
  protected areSettingsAcknowledged = false;
  protected idleSinceMs: number;
  readonly #side: SessionSide;
  readonly #handler: StreamHandler<Context>;
  readonly #decoder: HpackDecoder;
  readonly #trailers: TrailerCheck;

  constructor(side: SessionSide, memory: SessionMemory, handler: StreamHandler<Context>, nowMs: number) {
    this.nowMs = nowMs;
    this.openedMs = nowMs;
    this.idleSinceMs = nowMs;
    this.#side = side;
    this.#handler = handler;
    this.#trailers = memory.trailers;
    this.#decoder = new HpackDecoder(memory.scratch, new DynamicTable());
    this.sender = new MessageSender(memory, this.peer, {handler, observer: this, queueBytesMax: side.queueBytesMax});
    this.receiver = new ContentReceiver(this.sender.output, this.registry, {handler, observer: this, side});
    this.parser = new FrameParser(this, this.receiver, side.isServer);
    this.glitches = new Glitches(nowMs);
    if (!side.isServer) this.sender.output.writeBytes(PREFACE);
    this.sender.output.writeSettings(side.settings);
    this.receiver.announceWindow();
  }

  // The socket's side.

  /** The bytes are lent. Content is handed over as it lies there. */
  receive(bytes: Buffer, nowMs: number): void {
    this.nowMs = nowMs;
    this.parser.parse(bytes, nowMs);
  }

  /** The next bytes to be written; null where there are none. They do not change until `onOutputWritten` has been called for them. */
  takeOutput(): Buffer | null {
    return this.sender.take();
  }

  /** The oldest bytes that were taken have been written: their memory is used again. */
  onOutputWritten(): void {
    this.sender.output.onWritten();
  }

  /** Too much is waiting for the socket: no more must be received before it has been taken, because answers to frames would pile up. */
  get isOutputFull(): boolean {
    return this.sender.output.pendingBytes >= this.#side.outputBytesMax;
  }

  /** What waits for the peer, and what of its own cannot be used yet. */
  get heldBytes(): number {
    return this.sender.heldBytes + this.parser.heldBytes;
  }

  /** `takeOutput` is not done. */
  get hasOutput(): boolean {
    return this.sender.output.pendingBytes > 0;
  }

  /** Nothing more is read; the output is the last. */
  get isFinished(): boolean {
    return this.phase === 'closed';
  }

  get isReading(): boolean { return this.phase !== 'closed'; }
  get streams(): Iterable<Stream<Context>> { return this.registry.live; }

  /** The connection is gone, or has to go without a word. */
  lose(fault: FaultCode): void {
    this.phase = 'closed';
    this.#loseStreams(ERROR.NO_ERROR, fault);
  }

  // The handler's side. What is said to a stream that is over is not heard.

  /** Content. The bytes are lent. Look at `stream.isBackedUp` afterwards. */
  sendContent(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void {
    if (stream.isEndQueued) throw new Error('content after the end');
    if (end > start && stream.advance('send_data')) this.sender.sendContent(stream, bytes, start, end);
  }

  /** The message is complete. @param trailers lines, or nothing */
  endMessage(stream: Stream<Context>, trailers = ''): void {
    if (stream.isEndQueued) throw new Error('a second end');
    if (!stream.isClosed) this.sender.sendEnd(stream, trailers);
  }

  /** Gives up a stream, so that the peer cannot take the message for complete. The handler hears no more of it. */
  resetStream(stream: Stream<Context>, code: ErrorCode): void {
    if (stream.advance('send_reset')) this.#dropReset(stream, code);
  }

  /** What arrives is still handed over, up to the window; then the peer has to wait. */
  pauseBody(stream: Stream<Context>): void {
    stream.isBodyPaused = true;
  }

  resumeBody(stream: Stream<Context>): void {
    if (stream.isBodyPaused) this.receiver.resume(stream);
  }

  // The sender's side.

  abstract onSent(stream: Stream<Context>): void;

  onContentSent(bytes: number): void {
    if (bytes >= CONTENT_BYTES_FORGIVING) this.glitches.forgive('window', WINDOWS_FORGIVEN);
    // gRPC measures the way with a ping for each piece of content that it gets.
    this.glitches.forgive('ping', 1);
  }

  // Streams.

  abstract onBlock(streamId: number, block: FieldBlockReader): void;
  abstract onPriorityUpdate(streamId: number, value: string): void;

  /** Every block is decoded, also for nothing: the peer's table goes on with it. False where the connection has failed. */
  protected decode({bytes, start, end}: FieldBlockReader, sink: FieldSink): boolean {
    const result = this.#decoder.decode(bytes, start, end, sink);
    if (result === 'invalid') this.onViolation(ERROR.COMPRESSION_ERROR, 'h2_compression');
    if (result === 'stopped') this.onViolation(ERROR.ENHANCE_YOUR_CALM, 'h2_header_bomb');
    return result === 'complete';
  }

  protected openStream(streamId: number, patience: ClientPatience): Stream<Context> {
    const stream = new Stream<Context>(streamId, this.peer.streamWindowBytes, patience, this.nowMs);
    stream.receiveWindow = this.#side.streamWindowBytes;
    stream.isBackedUp = this.sender.isCongested;
    this.registry.add(stream);
    return stream;
  }

  /** Fields after the content; or of a stream that is over. */
  protected onTrailers(streamId: number, block: FieldBlockReader): void {
    const trailers = this.#trailers;
    const stream = this.registry.get(streamId);
    trailers.begin();
    if (!this.decode(block, trailers)) return;
    if (stream === undefined) {
      this.onStray(streamId);
      return;
    }
    stream.bytesReceived += block.bytesReceived;
    if (!stream.advance('receive_headers')) this.onStreamFault(stream, ERROR.STREAM_CLOSED, 'h2_protocol');
    else if (trailers.isMalformed || !block.isEnd || stream.tunnel !== 'none') this.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'h2_request_malformed');
    else this.receiver.complete(stream, trailers.fields.count === 0 ? null : trailers.fields);
  }

  onReceived(stream: Stream<Context>): void {
    if (stream.isClosed) this.remove(stream);
  }

  onStray(streamId: number): void {
    switch (this.registry.absence(streamId)) {
      case 'idle': this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol'); break;
      case 'over': this.onViolation(ERROR.STREAM_CLOSED, 'h2_protocol'); break;
      case 'reset': this.onGlitch('stray');
    }
  }

  onStrayContent(streamId: number, _length: number): void {
    this.onStray(streamId);
  }

  onWindowExceeded(): void {
    this.onViolation(ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control');
  }

  onStreamReset(streamId: number, code: number): void {
    const stream = this.registry.get(streamId);
    if (stream !== undefined) {
      stream.advance('receive_reset');
      this.remove(stream);
      this.#handler.onReset(stream, code, this.#side.goneFault);
      this.onGlitch('reset');
    } else if (this.registry.absence(streamId) === 'idle') this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    else this.onGlitch('stray');
  }

  // The connection.

  abstract onGoAway(lastStreamId: number, code: number): void;
  abstract onPingAnswered(bytes: Buffer, start: number): void;

  onSettings(bytes: Buffer, start: number, end: number): void {
    const windowBefore = this.peer.streamWindowBytes;
    const error = this.peer.read(bytes, start, end);
    if (error !== null) this.onViolation(error, error === ERROR.ENHANCE_YOUR_CALM ? 'h2_settings_flood' : 'h2_protocol');
    else if (!this.sender.applySettings(this.peer.streamWindowBytes - windowBefore)) this.onWindowExceeded();
    else {
      if (this.phase === 'opening') this.phase = 'open';
      this.sender.output.writeSettingsAck();
      this.onGlitch('settings');
    }
  }

  /** They were sent once, so one answer is due. */
  onSettingsAcknowledged(): void {
    if (this.areSettingsAcknowledged) this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    this.areSettingsAcknowledged = true;
  }

  onPing(bytes: Buffer, start: number): void {
    this.sender.output.writePing(FLAG.ACK, bytes, start);
    this.onGlitch('ping');
  }

  onWindowUpdate(streamId: number, increment: number): void {
    const stream = this.registry.get(streamId);
    if (streamId === 0) {
      if (increment === 0) this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
      else if (!this.sender.widen(increment)) this.onWindowExceeded();
    } else if (stream !== undefined) {
      if (increment === 0) this.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'h2_protocol');
      else if (!this.sender.widenStream(stream, increment)) this.onStreamFault(stream, ERROR.FLOW_CONTROL_ERROR, 'h2_flow_control');
    } else if (this.registry.absence(streamId) === 'idle') this.onViolation(ERROR.PROTOCOL_ERROR, 'h2_protocol');
    this.onGlitch('window');
  }

  // The ends of streams and of the session.

  /** The peer made it necessary; so too many of them are an attack of their own. */
  onStreamFault(stream: Stream<Context>, code: ErrorCode, fault: FaultCode): void {
    stream.advance('send_reset');
    this.#dropReset(stream, code);
    this.#handler.onReset(stream, code, fault);
    this.onGlitch('provoked');
  }

  #dropReset(stream: Stream<Context>, code: ErrorCode): void {
    this.registry.rememberReset(stream.id);
    this.sender.output.writeReset(stream.id, code);
    this.remove(stream);
  }

  protected remove(stream: Stream<Context>): void {
    this.registry.delete(stream);
    this.receiver.release(stream);
    this.sender.drop(stream);
    this.idleSinceMs = this.nowMs;
    this.leaveIfDone();
  }

  /** A stream is over, and may have been the last one. */
  protected abstract leaveIfDone(): void;

  onGlitch(glitch: Glitch): void {
    const isTooMany = this.glitches.isTooMany(glitch, this.nowMs);
    if (this.glitches.isNotable(glitch)) this.onNotableGlitches();
    if (this.glitches.takeQuarter(glitch)) this.onGlitchQuarters(1);
    if (isTooMany) this.onViolation(ERROR.ENHANCE_YOUR_CALM, GLITCH_FAULTS[glitch]);
  }

  /** Those of this connection are not too many yet, but those of all of a peer's connections may be. */
  protected onNotableGlitches(): void {
    // Nothing, where there is nobody to hold it against.
  }

  /** As many quarters of bursts: of one connection that is no more than it may do, but of many it may be. */
  protected onGlitchQuarters(_count: number): void {
    // As above.
  }

  /** Fails the connection (RFC 9113 §5.4.1). */
  onViolation(code: ErrorCode, fault: FaultCode): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.sender.output.writeGoAway(this.#side.isServer ? this.registry.lastStreamId : 0, code);
    this.#loseStreams(code, fault);
    this.#handler.onConnectionError(code, fault);
  }

  #loseStreams(code: ErrorCode, fault: FaultCode): void {
    for (const stream of this.registry.clear()) {
      stream.advance('receive_reset');
      this.sender.drop(stream);
      this.#handler.onReset(stream, code, fault);
    }
  }
}
