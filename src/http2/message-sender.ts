/**
 * The way out: frames of messages within the windows that the peer grants. What may not leave yet waits in its stream, copied; and who
 * produces it is told to stop before much is waiting.
 */
import type {BufferPool} from '#src/core/buffer-pool.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ContentQueue} from '#src/http2/content-queue.ts';
import {FLAG, FRAME, FRAME_HEADER_BYTES, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX} from '#src/http2/frames.ts';
import {HpackEncoder, encodedBytesMax} from '#src/http2/hpack-encoder.ts';
import {OutputBuffer, type SlabPool} from '#src/http2/output-buffer.ts';
import type {PeerSettings} from '#src/http2/peer-settings.ts';
import type {Priority} from '#src/http2/priority.ts';
import {ReadyStreams} from '#src/http2/ready-streams.ts';
import type {StreamHandler} from '#src/http2/stream-handler.ts';
import type {Stream} from '#src/http2/stream.ts';

/** What the session has to know. */
export interface SenderObserver<Context> {
  /** The message has been sent to its end. */
  onSent(stream: Stream<Context>): void;
  /** A frame with content has been sent. */
  onContentSent(bytes: number): void;
  /** Those that are not closed. */
  readonly streams: Iterable<Stream<Context>>;
  readonly nowMs: number;
}

/** Shared by the connections of a thread. */
export interface SenderMemory {
  readonly slabs: SlabPool;
  /** For content that waits. */
  readonly content: BufferPool;
}

/** Larger frames would make others wait, and gain nothing: a TLS record is not larger either. */
const DATA_BYTES_MAX = LIMITS.h2FrameBytesMax;

export interface SenderParts<Context> {
  readonly handler: Pick<StreamHandler<Context>, 'onBackedUp' | 'onDrain'>;
  readonly observer: SenderObserver<Context>;
  /** What may wait of all streams together before all of them are backed up. */
  readonly queueBytesMax: number;
}

export class MessageSender<Context> {
  readonly output: OutputBuffer;
  /** Content of all streams that has left. */
  contentSent = 0;
  readonly #parts: SenderParts<Context>;
  readonly #peer: PeerSettings;
  readonly #contentPool: BufferPool;
  readonly #encoder = new HpackEncoder();
  readonly #ready = new ReadyStreams<Context>();
  #window = WINDOW_BYTES_DEFAULT;
  #queuedBytes = 0;
  #isCongested = false;

  constructor(memory: SenderMemory, peer: PeerSettings, parts: SenderParts<Context>) {
    this.output = new OutputBuffer(memory.slabs);
    this.#contentPool = memory.content;
    this.#peer = peer;
    this.#parts = parts;
  }

  /** What waits to leave, of all streams and of the connection. */
  get heldBytes(): number {
    return this.#queuedBytes + this.output.pendingBytes;
  }

  /** All streams together have too much waiting: a new one is backed up from the start. */
  get isCongested(): boolean {
    return this.#isCongested;
  }

  /** Neither window is what the stream waits for. */
  isWindowOpen(stream: Stream<Context>): boolean {
    return stream.sendWindow > 0 && this.#window > 0;
  }

  // Windows and settings (RFC 9113 §6.9).

  /** False where the window becomes larger than windows may be. */
  widen(increment: number): boolean {
    this.#window += increment;
    return this.#window <= WINDOW_BYTES_MAX;
  }

  widenStream(stream: Stream<Context>, increment: number): boolean {
    stream.sendWindow += increment;
    if (stream.sendWindow > WINDOW_BYTES_MAX) return false;
    this.#becomeReady(stream);
    return true;
  }

  /** The peer's settings have changed. False where a window becomes too large by that. */
  applySettings(windowDifference: number): boolean {
    this.#encoder.resize(this.#peer.headerTableBytes);
    if (windowDifference === 0) return true;
    // RFC 9113 §6.9.2: windows of all streams change, and may become negative.
    for (const stream of this.#parts.observer.streams) {
      if (!this.widenStream(stream, windowDifference)) return false;
      if (stream.sendWindow <= 0 && stream.queuedBytes > 0) this.#ready.remove(stream);
    }
    return true;
  }

  prioritise(stream: Stream<Context>, priority: Priority): void {
    const wasReady = stream.isReady;
    this.#ready.remove(stream);
    stream.priority = priority;
    if (wasReady) this.#ready.add(stream);
  }

  // Messages.

  /**
   * The head of a response, interim or final, or (status 0) that of a request, or trailers.
   * @param flags `FLAG.END_STREAM` or 0
   */
  sendFields(stream: Stream<Context>, status: number, lines: string, flags: number): void {
    const {output} = this;
    const room = encodedBytesMax(lines.length);
    output.reserve(FRAME_HEADER_BYTES * (2 + Math.ceil(room / this.#peer.frameBytesMax)) + room);
    const start = output.at;
    output.at += FRAME_HEADER_BYTES;
    this.#encoder.encode(output, status, lines);
    const length = output.at - start - FRAME_HEADER_BYTES;
    if (length <= this.#peer.frameBytesMax) output.patchFrameHeader(start, length, FRAME.HEADERS, FLAG.END_HEADERS | flags, stream.id);
    else this.#splitFields(stream.id, start, length, flags);
    stream.bytesSent += output.at - start;
  }

  /** A block that does not fit into a frame goes on in others, right behind it (RFC 9113 §6.10). From the end on, each part makes room. */
  #splitFields(streamId: number, start: number, length: number, flags: number): void {
    const {output} = this;
    const {frameBytesMax} = this.#peer;
    const count = Math.ceil(length / frameBytesMax);
    for (let i = count - 1; i >= 0; i--) {
      const from = start + FRAME_HEADER_BYTES + i * frameBytesMax;
      const to = start + i * (FRAME_HEADER_BYTES + frameBytesMax);
      const partLength = Math.min(frameBytesMax, length - i * frameBytesMax);
      output.bytes.copyWithin(to + FRAME_HEADER_BYTES, from, from + partLength);
      const isLast = i === count - 1;
      output.patchFrameHeader(to, partLength, i === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, (i === 0 ? flags : 0) | (isLast ? FLAG.END_HEADERS : 0), streamId);
    }
    output.at += (count - 1) * FRAME_HEADER_BYTES;
    output.forbidEnd();
  }

  /** Content. The bytes are lent: what cannot be sent at once is copied. */
  sendContent(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void {
    let at = start;
    // Whoever comes later must not overtake, whatever there is room for.
    if (stream.queuedBytes === 0 && this.#ready.isEmpty) {
      while (at < end) {
        const length = this.#permitted(stream, end - at);
        if (length === 0) break;
        this.#writeData(stream, bytes, at, at + length);
        at += length;
      }
    }
    if (at === end) return;
    stream.queue ??= new ContentQueue(this.#contentPool);
    stream.queue.push(bytes, at, end);
    if (stream.queuedBytes === 0) this.#waitFrom(stream);
    stream.queuedBytes += end - at;
    this.#queuedBytes += end - at;
    this.#becomeReady(stream);
    if (stream.queuedBytes > LIMITS.h2StreamQueueBytesMax || this.#isCongested) stream.isBackedUp = true;
    if (this.#queuedBytes > this.#parts.queueBytesMax) this.#congest();
  }

  /** The end, with what is waiting before it. */
  sendEnd(stream: Stream<Context>, trailers: string): void {
    stream.trailers = trailers;
    if (stream.queuedBytes > 0) stream.isEndQueued = true;
    else this.#finish(stream);
  }

  #finish(stream: Stream<Context>): void {
    const {output} = this;
    if (stream.trailers !== '') this.sendFields(stream, 0, stream.trailers, FLAG.END_STREAM);
    else if (!output.endStreamInLastFrame(stream.id)) {
      output.writeFrameHeader(0, FRAME.DATA, FLAG.END_STREAM, stream.id);
      stream.bytesSent += FRAME_HEADER_BYTES;
    }
    stream.isEndQueued = false;
    this.#parts.observer.onSent(stream);
  }

  /** Forgets the stream: it is over. */
  drop(stream: Stream<Context>): void {
    this.#ready.remove(stream);
    this.#queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue?.clear();
    stream.queue = null;
    stream.isEndQueued = false;
    stream.waitingSinceMs = Number.NaN;
    this.#relieve();
  }

  /** The oldest bytes that are to be written next, with as much content as windows and fairness allow. Null where there are none. */
  take(): Buffer | null {
    const {output} = this;
    while (!output.hasFullPiece) {
      const stream = this.#ready.first();
      if (stream === null || this.#permitted(stream, stream.queuedBytes) === 0) break;
      this.#sendQueued(stream);
    }
    return output.take();
  }

  // What is waiting.

  #becomeReady(stream: Stream<Context>): void {
    if (stream.queuedBytes > 0 && stream.sendWindow > 0) this.#ready.add(stream);
  }

  /** How many of `wanted` bytes of content may be written as one frame now. */
  #permitted(stream: Stream<Context>, wanted: number): number {
    if (this.output.pendingBytes >= LIMITS.h2OutputBytesMax) return 0;
    return Math.max(0, Math.min(wanted, stream.sendWindow, this.#window, DATA_BYTES_MAX));
  }

  #writeData(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void {
    const {output} = this;
    const length = end - start;
    output.writeFrameHeader(length, FRAME.DATA, 0, stream.id);
    bytes.copy(output.bytes, output.at, start, end);
    output.at += length;
    this.#account(stream, length);
  }

  #account(stream: Stream<Context>, length: number): void {
    stream.sendWindow -= length;
    this.#window -= length;
    this.contentSent += length;
    stream.bytesSent += FRAME_HEADER_BYTES + length;
    this.#parts.observer.onContentSent(length);
  }

  /** One frame of a stream whose turn it is, of as many pieces as fit. */
  #sendQueued(stream: Stream<Context>): void {
    const {output} = this;
    const length = this.#permitted(stream, stream.queuedBytes);
    output.writeFrameHeader(length, FRAME.DATA, 0, stream.id);
    stream.queue?.moveTo(output.bytes, output.at, length);
    output.at += length;
    this.#account(stream, length);
    stream.queuedBytes -= length;
    this.#queuedBytes -= length;
    if (stream.queuedBytes === 0) {
      this.#ready.remove(stream);
      stream.queue = null;
      stream.waitingSinceMs = Number.NaN;
      if (stream.isEndQueued) this.#finish(stream);
    } else if (stream.sendWindow <= 0) this.#ready.remove(stream);
    else this.#ready.rotate(stream);
    this.#relieve();
    this.#drainIfLow(stream);
  }

  #waitFrom(stream: Stream<Context>): void {
    stream.waitingSinceMs = this.#parts.observer.nowMs;
    stream.waitingSinceBytes = stream.bytesSent;
    stream.responseJudgedMs = this.#parts.observer.nowMs;
    stream.responseJudgedBytes = stream.bytesSent;
    stream.sessionJudgedBytes = this.contentSent;
  }

  // Back pressure.

  #congest(): void {
    if (this.#isCongested) return;
    this.#isCongested = true;
    for (const stream of this.#parts.observer.streams) {
      if (stream.isBackedUp || stream.isEndQueued) continue;
      stream.isBackedUp = true;
      this.#parts.handler.onBackedUp(stream);
    }
  }

  #relieve(): void {
    if (!this.#isCongested || this.#queuedBytes > this.#parts.queueBytesMax / 2) return;
    this.#isCongested = false;
    for (const stream of this.#parts.observer.streams) this.#drainIfLow(stream);
  }

  #drainIfLow(stream: Stream<Context>): void {
    if (!stream.isBackedUp || this.#isCongested || stream.isClosed || stream.queuedBytes > LIMITS.h2StreamQueueBytesMax / 2) return;
    stream.isBackedUp = false;
    if (!stream.isEndQueued) this.#parts.handler.onDrain(stream);
  }
}
