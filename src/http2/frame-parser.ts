/** What each frame says, and whether it may stand where it stands (RFC 9113 §3.4, §4, §6): everything that needs no knowledge of streams. */
import type {FaultCode} from '#src/core/faults.ts';
import {FieldBlockReader, type BlockResult} from '#src/http2/field-block-reader.ts';
import {FrameReader, type ContentSink, type FrameSink} from '#src/http2/frame-reader.ts';
import {CONNECTION_FRAMES, ERROR, FLAG, FRAME, STREAM_FRAMES, readUint31, readUint32, type ErrorCode} from '#src/http2/frames.ts';
import type {Glitch} from '#src/http2/glitches.ts';

export interface FrameEvents {
  /** False from the moment on in which the connection has failed. */
  readonly isReading: boolean;
  /** A complete block of fields, still encoded. */
  onBlock(streamId: number, block: FieldBlockReader): void;
  onStreamReset(streamId: number, code: number): void;
  onSettings(bytes: Buffer, start: number, end: number): void;
  onSettingsAcknowledged(): void;
  /** 8 bytes. */
  onPing(bytes: Buffer, start: number): void;
  onPingAnswered(bytes: Buffer, start: number): void;
  /** `code` may be any number. */
  onGoAway(lastStreamId: number, code: number): void;
  /** @param streamId 0: the connection's window */
  onWindowUpdate(streamId: number, increment: number): void;
  onPriorityUpdate(streamId: number, value: string): void;
  /** Nothing that matters, unless there is much of it. */
  onGlitch(glitch: Glitch): void;
  /** The connection cannot go on. */
  onViolation(code: ErrorCode, fault: FaultCode): void;
}

export class FrameParser implements FrameSink {
  /** Since when a frame or a block of fields has been incomplete; NaN: none is. */
  incompleteSinceMs = Number.NaN;
  readonly #events: FrameEvents;
  readonly #content: ContentSink;
  readonly #reader: FrameReader;
  readonly #block = new FieldBlockReader();
  #hasSettings = false;
  /** Frames, and blocks of fields. */
  #completed = 0;

  /** @param hasPreface the peer begins with one: it is a client */
  constructor(events: FrameEvents, content: ContentSink, hasPreface: boolean) {
    this.#reader = new FrameReader(this, hasPreface);
    this.#events = events;
    this.#content = content;
  }

  /** The bytes are lent. */
  parse(bytes: Buffer, nowMs: number): void {
    const completedBefore = this.#completed;
    this.#reader.read(bytes);
    // A client in full flow may never stop between two frames: what counts is since when it has been the same one.
    if (!this.#isIncomplete) this.incompleteSinceMs = Number.NaN;
    else if (Number.isNaN(this.incompleteSinceMs) || this.#completed !== completedBefore) this.incompleteSinceMs = nowMs;
  }

  /** A frame or a block of fields has begun and is not complete. The content of DATA does not count: it is passed on as it comes. */
  get #isIncomplete(): boolean {
    return this.#reader.isFrameIncomplete || this.#block.openStreamId !== 0;
  }

  /** Of a frame or a block of fields that is incomplete. */
  get heldBytes(): number {
    return this.#reader.heldBytes + this.#block.heldBytes;
  }

  get isReading(): boolean {
    return this.#events.isReading;
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (!this.#isInOrder(type, flags, streamId)) return;
    this.#read(type, flags, streamId, bytes, start, end);
    if (this.#block.openStreamId === 0) this.#completed++;
  }

  #read(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const events = this.#events;
    switch (type) {
      case FRAME.HEADERS: this.#onHeaders(flags, streamId, bytes, start, end); break;
      case FRAME.CONTINUATION: this.#onBlock(streamId, this.#block.continue(flags, bytes, start, end)); break;
      case FRAME.SETTINGS: this.#onSettings(flags, bytes, start, end); break;
      case FRAME.PRIORITY_UPDATE: this.#onPriorityUpdate(bytes, start, end); break;
      case FRAME.RST_STREAM:
        if (this.#hasLength(4, start, end)) events.onStreamReset(streamId, readUint32(bytes, start));
        break;
      case FRAME.WINDOW_UPDATE:
        if (this.#hasLength(4, start, end)) events.onWindowUpdate(streamId, readUint31(bytes, start));
        break;
      case FRAME.PRIORITY:
        // Without a meaning (RFC 9113 §5.3.2). Its stream may be idle, so that no error but the connection's could be sent.
        if (this.#hasLength(5, start, end)) events.onGlitch('priority');
        break;
      case FRAME.PING:
        if (!this.#hasLength(8, start, end)) break;
        if ((flags & FLAG.ACK) === 0) events.onPing(bytes, start);
        else events.onPingAnswered(bytes, start);
        break;
      case FRAME.GOAWAY:
        if (end - start < 8) this.onUnreadable(ERROR.FRAME_SIZE_ERROR);
        else events.onGoAway(readUint31(bytes, start), readUint32(bytes, start + 4));
        break;
      // No client may push, and no server whose client has forbidden it.
      case FRAME.PUSH_PROMISE: this.onUnreadable(ERROR.PROTOCOL_ERROR); break;
      // RFC 9113 §5.5: unknown types are ignored.
      default: events.onGlitch('unknown');
    }
  }

  onDataStart(flags: number, streamId: number, length: number): void {
    if (this.#isInOrder(FRAME.DATA, flags, streamId)) this.#content.onDataStart(flags, streamId, length);
  }

  onDataContent(bytes: Buffer, start: number, end: number): void {
    this.#content.onDataContent(bytes, start, end);
  }

  onDataEnd(): void {
    this.#completed++;
    this.#content.onDataEnd();
  }

  onUnreadable(code: ErrorCode): void {
    this.#events.onViolation(code, 'h2_protocol');
  }

  /** The peer begins with its settings (RFC 9113 §3.4), a block of fields is never interrupted (§4.3), and each type has its place. */
  #isInOrder(type: number, flags: number, streamId: number): boolean {
    const {openStreamId} = this.#block;
    let isInOrder = true;
    if (openStreamId !== 0) isInOrder = type === FRAME.CONTINUATION && streamId === openStreamId;
    else if (!this.#hasSettings) isInOrder = type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0 && streamId === 0;
    else if (CONNECTION_FRAMES.has(type)) isInOrder = streamId === 0;
    else if (STREAM_FRAMES.has(type)) isInOrder = streamId !== 0;
    else if (type === FRAME.CONTINUATION) isInOrder = false;
    if (!isInOrder) this.onUnreadable(ERROR.PROTOCOL_ERROR);
    return isInOrder;
  }

  #hasLength(length: number, start: number, end: number): boolean {
    if (end - start === length) return true;
    this.onUnreadable(ERROR.FRAME_SIZE_ERROR);
    return false;
  }

  #onHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    // Even numbers are for pushes.
    if (streamId % 2 === 0) this.onUnreadable(ERROR.PROTOCOL_ERROR);
    else this.#onBlock(streamId, this.#block.begin(flags, streamId, bytes, start, end));
  }

  #onBlock(streamId: number, result: BlockResult): void {
    if (result === 'incomplete') return;
    if (result === 'complete') {
      this.#events.onBlock(streamId, this.#block);
      this.#block.release();
    } else this.#events.onViolation(result, result === ERROR.ENHANCE_YOUR_CALM ? 'h2_continuation_flood' : 'h2_protocol');
  }

  #onSettings(flags: number, bytes: Buffer, start: number, end: number): void {
    this.#hasSettings = true;
    if ((flags & FLAG.ACK) === 0) this.#events.onSettings(bytes, start, end);
    else if (this.#hasLength(0, start, end)) this.#events.onSettingsAcknowledged();
  }

  /** RFC 9218 §7.1: a stream of the client's, and an ASCII text. */
  #onPriorityUpdate(bytes: Buffer, start: number, end: number): void {
    if (end - start < 4) {
      this.onUnreadable(ERROR.FRAME_SIZE_ERROR);
      return;
    }
    const streamId = readUint31(bytes, start);
    if (streamId % 2 === 0) this.onUnreadable(ERROR.PROTOCOL_ERROR);
    else this.#events.onPriorityUpdate(streamId, bytes.toString('latin1', start + 4, end));
  }
}
