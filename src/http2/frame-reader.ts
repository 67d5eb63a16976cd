/**
 * Cuts what comes in into frames. Small frames are handed over whole; the content of DATA as it comes, because it can be large and nothing
 * is gained by collecting it.
 */
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME, FRAME_HEADER_BYTES, PREFACE, readUint24, readUint31, type ErrorCode} from '#src/http2/frames.ts';

/** Takes DATA. */
export interface ContentSink {
  /** @param length of the payload, with its padding */
  onDataStart(flags: number, streamId: number, length: number): void;
  /** At least one byte. */
  onDataContent(bytes: Buffer, start: number, end: number): void;
  onDataEnd(): void;
}

export interface FrameSink extends ContentSink {
  /** False from the moment on in which the connection has failed. */
  readonly isReading: boolean;
  /** Any frame but DATA. The payload is `bytes[start, end)`. */
  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void;
  onUnreadable(code: ErrorCode): void;
}

type Phase = 'preface' | 'frame' | 'pad_length' | 'content' | 'padding';

export class FrameReader {
  readonly #sink: FrameSink;
  #phase: Phase;
  #prefaceLength = 0;
  /** The part of a frame that is here: all of it but DATA's payload. */
  #rest: Buffer | null = null;
  #contentLeft = 0;
  #paddingLeft = 0;

  /** @param hasPreface the peer begins with one: it is a client */
  constructor(sink: FrameSink, hasPreface: boolean) {
    this.#sink = sink;
    this.#phase = hasPreface ? 'preface' : 'frame';
  }

  /** A frame has begun of which more is awaited than the content of DATA. */
  get isFrameIncomplete(): boolean {
    return this.#rest !== null;
  }

  get heldBytes(): number {
    return this.#rest === null ? 0 : this.#rest.length;
  }

  /** The bytes are lent: of what is incomplete a copy is kept. */
  read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#sink.isReading) {
      switch (this.#phase) {
        case 'preface': at = this.#readPreface(bytes, at); break;
        case 'frame': at = this.#rest === null ? this.#readFrames(bytes, at) : this.#completeFrame(this.#rest, bytes, at); break;
        case 'pad_length': at = this.#readPadLength(bytes, at); break;
        case 'content': at = this.#readContent(bytes, at); break;
        case 'padding': at = this.#readPadding(bytes, at); break;
      }
    }
  }

  #readPreface(bytes: Buffer, start: number): number {
    let at = start;
    while (at < bytes.length && this.#prefaceLength < PREFACE.length) {
      if (bytes[at++] !== PREFACE[this.#prefaceLength++]) return this.#refuse(ERROR.PROTOCOL_ERROR, bytes);
    }
    if (this.#prefaceLength === PREFACE.length) this.#phase = 'frame';
    return at;
  }

  /** Hands over frames up to the first DATA frame, and keeps what is incomplete. Returns the position after them. */
  #readFrames(bytes: Buffer, start: number): number {
    const sink = this.#sink;
    let at = start;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = readUint24(bytes, at);
      const type = bytes[at + 3] as number;
      const flags = bytes[at + 4] as number;
      if (length > LIMITS.h2FrameBytesMax) return this.#refuse(ERROR.FRAME_SIZE_ERROR, bytes);
      const payload = at + FRAME_HEADER_BYTES;
      if (type === FRAME.DATA) {
        this.#beginData(flags, readUint31(bytes, at + 5), length, bytes);
        return payload;
      }
      if (bytes.length - payload < length) break;
      at = payload + length;
      sink.onFrame(type, flags, readUint31(bytes, payload - 4), bytes, payload, at);
      if (!sink.isReading) return bytes.length;
    }
    // A few bytes must not keep a large chunk alive, and what upstreams send is read into one buffer again and again.
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
    return bytes.length;
  }

  /** Takes no more than the begun frame needs, so that what follows it is not copied. */
  #completeFrame(rest: Buffer, bytes: Buffer, start: number): number {
    const wanted = rest.length < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + readUint24(rest, 0);
    const end = Math.min(bytes.length, start + wanted - rest.length);
    this.#rest = null;
    this.#readFrames(Buffer.concat([rest, bytes.subarray(start, end)]), 0);
    return end;
  }

  #beginData(flags: number, streamId: number, length: number, bytes: Buffer): void {
    const isPadded = (flags & FLAG.PADDED) !== 0;
    if (isPadded && length === 0) {
      this.#refuse(ERROR.FRAME_SIZE_ERROR, bytes);
      return;
    }
    this.#contentLeft = length;
    this.#paddingLeft = 0;
    this.#phase = isPadded ? 'pad_length' : 'content';
    this.#sink.onDataStart(flags, streamId, length);
    if (length === 0) this.#endData();
  }

  #readPadLength(bytes: Buffer, at: number): number {
    const padLength = bytes[at] as number;
    // RFC 9113 §6.1: padding as long as the payload or longer.
    if (padLength >= this.#contentLeft) return this.#refuse(ERROR.PROTOCOL_ERROR, bytes);
    this.#contentLeft -= 1 + padLength;
    this.#paddingLeft = padLength;
    if (this.#contentLeft > 0) this.#phase = 'content';
    else this.#endContent();
    return at + 1;
  }

  #readContent(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#contentLeft);
    this.#contentLeft -= end - at;
    this.#sink.onDataContent(bytes, at, end);
    if (this.#contentLeft === 0) this.#endContent();
    return end;
  }

  #endContent(): void {
    if (this.#paddingLeft > 0) this.#phase = 'padding';
    else this.#endData();
  }

  /** RFC 9113 §6.1 lets a receiver refuse padding that is not zero: nothing honest is lost by that. */
  #readPadding(bytes: Buffer, start: number): number {
    const end = Math.min(bytes.length, start + this.#paddingLeft);
    for (let at = start; at < end; at++) {
      if (bytes[at] !== 0) return this.#refuse(ERROR.PROTOCOL_ERROR, bytes);
    }
    this.#paddingLeft -= end - start;
    if (this.#paddingLeft === 0) this.#endData();
    return end;
  }

  #endData(): void {
    this.#phase = 'frame';
    if (this.#sink.isReading) this.#sink.onDataEnd();
  }

  #refuse(code: ErrorCode, bytes: Buffer): number {
    this.#sink.onUnreadable(code);
    return bytes.length;
  }
}
