/** Message bodies (RFC 9112 §6, §7): bytes in, spans of content out, whatever the framing. */
import {LIMITS} from '#src/core/limits.ts';
import {CR, HEX_VALUE, LF, SEMICOLON, VALUE_CLASS} from '#src/http1/characters.ts';
import {FieldBlock, INCOMPLETE, INVALID} from '#src/http1/field-block.ts';
import {BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';

/** Takes the content as spans of the caller's buffer, which is only lent: keep a copy of what is kept. */
export interface BodySink {
  onBody(bytes: Buffer, start: number, end: number): void;
}

export type BodyState =
  | 'length' | 'until_close'
  | 'size_first' | 'size' | 'extension' | 'size_lf' | 'data' | 'data_cr' | 'data_lf' | 'trailer'
  | 'complete' | 'invalid';

const TRAILER_LIMITS = {
  bytesMax: LIMITS.trailerBytesMax,
  fieldsMax: LIMITS.trailerFieldsMax,
  tooLarge: 'chunk_invalid',
  tooMany: 'chunk_invalid',
  invalid: 'chunk_invalid',
} as const;

const TRAILER_FIELDS = new FieldBlock(LIMITS.trailerFieldsMax);

/** One message's body. Reused by the messages of a connection. */
export class BodyDecoder {
  state: BodyState = 'complete';
  /** Of the body that has just been completed; lent until the next body of any connection. */
  trailers: FieldBlock | null = null;
  /** Bytes left of the body (`length`) or of the chunk (`data`). */
  #left = 0;
  #sizeDigits = 0;
  #extensionBytes = 0;
  #extensionBytesTotal = 0;
  #trailer: Buffer | null = null;

  /** @param bodyLength a length in bytes, `BODY_CHUNKED` or `BODY_UNTIL_CLOSE` */
  begin(bodyLength: number): void {
    this.#left = 0;
    this.#extensionBytesTotal = 0;
    this.#trailer = null;
    this.trailers = null;
    if (bodyLength === BODY_CHUNKED) this.#beginSize();
    else if (bodyLength === BODY_UNTIL_CLOSE) this.state = 'until_close';
    else {
      this.#left = bodyLength;
      this.state = bodyLength === 0 ? 'complete' : 'length';
    }
  }

  get isComplete(): boolean {
    return this.state === 'complete';
  }

  get isInvalid(): boolean {
    return this.state === 'invalid';
  }

  /** The connection ended. True where that is a proper end of this body. */
  finish(): boolean {
    if (this.state === 'until_close') this.state = 'complete';
    return this.state === 'complete';
  }

  /**
   * Decodes `bytes[start, end)` and gives the content to the sink. Returns the position after what belongs to this body; look at
   * `state` afterwards.
   */
  decode(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    if (this.state === 'length') return this.#decodeLength(bytes, start, end, sink);
    if (this.state === 'until_close') {
      if (end > start) sink.onBody(bytes, start, end);
      return end;
    }
    let at = start;
    while (at < end && this.state !== 'complete' && this.state !== 'invalid') {
      if (this.state === 'data') at = this.#decodeData(bytes, at, end, sink);
      else if (this.state === 'trailer') at = this.#decodeTrailer(bytes, at, end);
      else this.#decodeFrame(bytes[at++] as number);
    }
    return at;
  }

  #decodeLength(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    const stop = Math.min(end, start + this.#left);
    this.#left -= stop - start;
    if (this.#left === 0) this.state = 'complete';
    if (stop > start) sink.onBody(bytes, start, stop);
    return stop;
  }

  #decodeData(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    const stop = Math.min(end, start + this.#left);
    this.#left -= stop - start;
    if (this.#left === 0) this.state = 'data_cr';
    sink.onBody(bytes, start, stop);
    return stop;
  }

  /** One byte of what stands between the chunks' data. */
  #decodeFrame(byte: number): void {
    switch (this.state) {
      case 'size_first':
      case 'size': this.#decodeSize(byte); break;
      case 'extension': this.#decodeExtension(byte); break;
      case 'size_lf': this.#endSizeLine(byte); break;
      case 'data_cr': this.state = byte === CR ? 'data_lf' : 'invalid'; break;
      case 'data_lf':
        if (byte === LF) this.#beginSize();
        else this.state = 'invalid';
        break;
      default: this.state = 'invalid';
    }
  }

  #beginSize(): void {
    this.state = 'size_first';
    this.#left = 0;
    this.#sizeDigits = 0;
    this.#extensionBytes = 0;
  }

  #decodeSize(byte: number): void {
    const digit = HEX_VALUE[byte] as number;
    if (digit < 16) {
      this.state = 'size';
      this.#left = this.#left * 16 + digit;
      if (++this.#sizeDigits > LIMITS.chunkSizeDigitsMax || !Number.isSafeInteger(this.#left)) this.state = 'invalid';
    } else if (this.state === 'size_first') this.state = 'invalid';
    else if (byte === CR) this.state = 'size_lf';
    else if (byte === SEMICOLON) this.#decodeExtension(byte);
    // A blank before the extension is allowed as "bad white space" by the grammar and read differently in practice: refused.
    else this.state = 'invalid';
  }

  /** An extension is measured and thrown away: it is never forwarded (RFC 9112 §7.1.1). */
  #decodeExtension(byte: number): void {
    if (byte === CR) {
      this.state = 'size_lf';
      return;
    }
    this.#extensionBytes++;
    this.#extensionBytesTotal++;
    const isAccepted = VALUE_CLASS[byte] === 1 && this.#extensionBytes <= LIMITS.chunkExtensionBytesMax
      && this.#extensionBytesTotal <= LIMITS.chunkExtensionBytesTotalMax;
    this.state = isAccepted ? 'extension' : 'invalid';
  }

  #endSizeLine(byte: number): void {
    if (byte !== LF) this.state = 'invalid';
    else this.state = this.#left === 0 ? 'trailer' : 'data';
  }

  /** Trailers are checked like any field. Whether they pass is a matter of policy. */
  #decodeTrailer(bytes: Buffer, start: number, end: number): number {
    const kept = this.#trailer;
    const before = kept?.length ?? 0;
    const block = kept === null ? bytes.subarray(start, end) : Buffer.concat([kept, bytes.subarray(start, Math.min(end, start + LIMITS.trailerBytesMax))]);
    const blockEnd = TRAILER_FIELDS.scan(block, 0, 0, block.length, TRAILER_LIMITS);
    if (blockEnd === INVALID) {
      this.state = 'invalid';
      return end;
    }
    if (blockEnd === INCOMPLETE) {
      this.#trailer = Buffer.from(block);
      return end;
    }
    this.#trailer = null;
    this.state = 'complete';
    if (TRAILER_FIELDS.count > 0) {
      TRAILER_FIELDS.text = block.toString('latin1', 0, blockEnd);
      this.trailers = TRAILER_FIELDS;
    }
    return start + blockEnd - before;
  }
}
