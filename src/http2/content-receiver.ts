/**
 * The content of messages, and the windows for it (RFC 9113 §5.2, §6.1, §6.9). Credit is given back when content has been handed over to a
 * handler that wants more; while it does not, both windows shrink, so that the connection's window bounds what a client can make this
 * process hold.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {ERROR, FLAG, FRAME_HEADER_BYTES, WINDOW_BYTES_DEFAULT, type ErrorCode} from '#src/http2/frames.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ContentSink} from '#src/http2/frame-reader.ts';
import type {Glitch} from '#src/http2/glitches.ts';
import type {OutputBuffer} from '#src/http2/output-buffer.ts';
import type {SessionSide} from '#src/http2/session-side.ts';
import type {StreamHandler} from '#src/http2/stream-handler.ts';
import type {StreamRegistry} from '#src/http2/stream-registry.ts';
import type {Stream} from '#src/http2/stream.ts';

export interface ContentObserver<Context> {
  readonly nowMs: number;
  /** The stream must not go on. */
  onStreamFault(stream: Stream<Context>, code: ErrorCode, fault: FaultCode): void;
  /** The message of the peer is complete. */
  onReceived(stream: Stream<Context>): void;
  onGlitch(glitch: Glitch): void;
  /** Content of a stream that is not alive, with its padding. */
  onStrayContent(streamId: number, length: number): void;
  /** More than a window allows. */
  onWindowExceeded(): void;
}

export interface ReceiverParts<Context> {
  readonly handler: Pick<StreamHandler<Context>, 'onData' | 'onEnd'>;
  readonly observer: ContentObserver<Context>;
  readonly side: Pick<SessionSide, 'streamWindowBytes' | 'connectionWindowBytes' | 'wideWindowBytes' | 'wideStreamsMax'>;
}

export class ContentReceiver<Context> implements ContentSink {
  readonly #output: OutputBuffer;
  readonly #registry: StreamRegistry<Context>;
  readonly #parts: ReceiverParts<Context>;
  /** Credit below half of a window is collected: an update for each frame would be a frame for each frame. */
  readonly #connectionCreditMin: number;
  #window: number;
  #credit = 0;
  // The frame that is being received. Its stream is null where it is over.
  #stream: Stream<Context> | null = null;
  #isLast = false;
  #length = 0;
  #content = 0;

  constructor(output: OutputBuffer, registry: StreamRegistry<Context>, parts: ReceiverParts<Context>) {
    this.#output = output;
    this.#registry = registry;
    this.#parts = parts;
    this.#connectionCreditMin = parts.side.connectionWindowBytes / 2;
    this.#window = parts.side.connectionWindowBytes;
  }

  /** Tells the peer of the connection's window, which begins smaller and has no setting. */
  announceWindow(): void {
    this.#output.writeWindowUpdate(0, this.#parts.side.connectionWindowBytes - WINDOW_BYTES_DEFAULT);
  }

  /** The peer may send: its silence is its own. */
  isWindowOpen(stream: Stream<Context>): boolean {
    return this.#window > 0 && stream.receiveWindow > 0;
  }

  /** The windows count the payload with its padding (RFC 9113 §6.9.1). */
  onDataStart(flags: number, streamId: number, length: number): void {
    const stream = this.#registry.get(streamId) ?? null;
    this.#stream = stream;
    this.#isLast = (flags & FLAG.END_STREAM) !== 0;
    this.#length = length;
    this.#content = 0;
    this.#window -= length;
    if (stream !== null) {
      stream.receiveWindow -= length;
      stream.bytesReceived += FRAME_HEADER_BYTES + length;
    }
    if (this.#window < 0 || (stream !== null && stream.receiveWindow < 0)) this.#parts.observer.onWindowExceeded();
    else if (stream === null) this.#parts.observer.onStrayContent(streamId, length);
    else if (!stream.isHeadComplete) this.#parts.observer.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'h2_protocol');
    else if (!stream.advance('receive_data')) this.#parts.observer.onStreamFault(stream, ERROR.STREAM_CLOSED, 'h2_protocol');
  }

  onDataContent(bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    this.#content += end - start;
    if (stream === null || stream.isClosed) return;
    stream.contentReceived += end - start;
    // RFC 9113 §8.1.1: what is too much must never reach who was told of less.
    const isTooMuch = stream.contentLength >= 0 && stream.contentReceived > stream.contentLength;
    if (isTooMuch) this.#parts.observer.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'framing_invalid');
    else if (stream.hasBody) this.#parts.handler.onData(stream, bytes, start, end);
  }

  /** Credit is given only here, so that what is sent never depends on how the network cut the frame. */
  onDataEnd(): void {
    const stream = this.#stream;
    this.#stream = null;
    if (this.#content === 0 && !this.#isLast) this.#parts.observer.onGlitch('empty');
    if (stream !== null && !stream.isClosed && this.#isLast) this.complete(stream, null);
    if (stream === null || stream.isClosed) this.#giveBackConnection(this.#length);
    else if (stream.isBodyPaused) {
      stream.withheld += this.#content;
      this.#giveBack(stream, this.#length - this.#content);
    } else this.#giveBack(stream, this.#length);
  }

  /** The message ends, here or with trailers. */
  complete(stream: Stream<Context>, trailers: FieldBlock | null): void {
    if (stream.contentLength >= 0 && stream.contentReceived !== stream.contentLength) {
      this.#parts.observer.onStreamFault(stream, ERROR.PROTOCOL_ERROR, 'framing_invalid');
      return;
    }
    stream.advance('receive_end');
    this.#parts.observer.onReceived(stream);
    if (stream.hasBody) this.#parts.handler.onEnd(stream, trailers);
  }

  resume(stream: Stream<Context>): void {
    const {withheld} = stream;
    stream.isBodyPaused = false;
    stream.withheld = 0;
    if (!stream.isClosed) this.#giveBack(stream, withheld);
  }

  /** The stream is over: its part of the connection's window is free. */
  release(stream: Stream<Context>): void {
    const {withheld} = stream;
    stream.withheld = 0;
    this.#giveBackConnection(withheld);
  }

  #giveBack(stream: Stream<Context>, bytes: number): void {
    this.#giveBackConnection(bytes);
    stream.credit += bytes;
    const {streamWindowBytes, wideWindowBytes} = this.#parts.side;
    const creditMin = (stream.isWindowWide ? wideWindowBytes : streamWindowBytes) / 2;
    if (stream.credit < creditMin || !stream.advance('send_window_update')) return;
    this.#widen(stream);
    this.#output.writeWindowUpdate(stream.id, stream.credit);
    stream.receiveWindow += stream.credit;
    stream.credit = 0;
  }

  /** Those that have a wide one were all there when there were few: so they are few for ever, and one download alone is as fast as it can be. */
  #widen(stream: Stream<Context>): void {
    const {streamWindowBytes, wideWindowBytes, wideStreamsMax} = this.#parts.side;
    if (stream.isWindowWide || this.#registry.size > wideStreamsMax) return;
    stream.isWindowWide = true;
    stream.credit += wideWindowBytes - streamWindowBytes;
  }

  /** Streams that are paused may hold most of the window: then the others' credit is not collected for longer than what is left of it. */
  #giveBackConnection(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit === 0 || (this.#credit < this.#connectionCreditMin && this.#credit < this.#window)) return;
    this.#output.writeWindowUpdate(0, this.#credit);
    this.#window += this.#credit;
    this.#credit = 0;
  }
}
