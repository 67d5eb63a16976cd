/**
 * The frames that wait to leave, in memory that is borrowed from a pool while there are any: an idle connection holds none. What has been
 * taken is not written again before the socket has said that it is done with it. A fresh buffer for each response would cost its
 * page faults, which is more than the copy into it.
 */
import {FLAG, FRAME, FRAME_HEADER_BYTES, type ErrorCode} from '#src/http2/frames.ts';

/** A head and what one read of an upstream brings at most often, 64 KiB, leave as one piece. */
const SLAB_BYTES = 72 * 1024;
/** A slab with less than this left waits until all of it has been written. */
const SLAB_REST_BYTES_MIN = 4 * 1024;
/** What is kept of slabs when a burst is over. */
const FREE_SLABS_MAX = 64;

interface Slab {
  readonly bytes: Buffer;
  /** Everything before this is taken. */
  used: number;
  /** Pieces that are not written yet. */
  unwritten: number;
  /** Somebody writes frames into it, or it has room for some and is in the pool. */
  isOpen: boolean;
}

/** Shared by the connections of a thread. */
export class SlabPool {
  readonly #free: Slab[] = [];

  acquire(bytesMin: number): Slab {
    for (let slab = this.#free.pop(); slab !== undefined; slab = this.#free.pop()) {
      if (slab.unwritten === 0) slab.used = 0;
      if (slab.bytes.length - slab.used >= bytesMin) return slab;
      // It comes back when it has been written.
      slab.isOpen = false;
    }
    return {bytes: Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytesMin)), used: 0, unwritten: 0, isOpen: true};
  }

  release(slab: Slab): void {
    slab.isOpen = this.#free.length < FREE_SLABS_MAX && (slab.unwritten === 0 || slab.bytes.length - slab.used >= SLAB_REST_BYTES_MIN);
    if (slab.isOpen) this.#free.push(slab);
  }

  /** One piece of the slab has been written. */
  onWritten(slab: Slab): void {
    slab.unwritten--;
    if (slab.unwritten > 0 || slab.isOpen || this.#free.length >= FREE_SLABS_MAX) return;
    slab.isOpen = true;
    this.#free.push(slab);
  }
}

const EMPTY = Buffer.alloc(0);

export class OutputBuffer {
  /** Where the next byte goes: `bytes[at]`. Only what has been reserved may be written. */
  bytes: Buffer = EMPTY;
  at = 0;
  readonly #pool: SlabPool;
  #slab: Slab | null = null;
  #start = 0;
  /** What filled earlier slabs. */
  readonly #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** Where the pieces are, the oldest first: those that have been taken and are not written, then `#pieces`. */
  readonly #slabs: Slab[] = [];
  /** Flags of the last frame and its stream, while they can still be changed. */
  #lastFlagsAt = -1;
  #lastStreamId = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  get pendingBytes(): number {
    return this.#pieceBytes + this.at - this.#start;
  }

  /** Part of what is pending fills a slab already. */
  get hasFullPiece(): boolean {
    return this.#pieces.length > 0;
  }

  /** Room for `count` bytes in a row. */
  reserve(count: number): void {
    if (this.bytes.length - this.at >= count) return;
    this.#cut();
    const slab = this.#pool.acquire(count);
    this.#slab = slab;
    this.bytes = slab.bytes;
    this.at = slab.used;
    this.#start = slab.used;
  }

  /** The oldest bytes that are pending, to be written next; null where there are none. */
  take(): Buffer | null {
    if (this.#pieces.length === 0) this.#cut();
    const piece = this.#pieces.shift();
    if (piece === undefined) return null;
    this.#pieceBytes -= piece.length;
    return piece;
  }

  /** The oldest piece that was taken has been written, and nobody refers to it any more. */
  onWritten(): void {
    const slab = this.#slabs.shift();
    if (slab !== undefined) this.#pool.onWritten(slab);
  }

  #cut(): void {
    const slab = this.#slab;
    this.#lastFlagsAt = -1;
    if (slab === null) return;
    if (this.at > this.#start) {
      this.#pieces.push(this.bytes.subarray(this.#start, this.at));
      this.#pieceBytes += this.at - this.#start;
      this.#slabs.push(slab);
      slab.unwritten++;
    }
    slab.used = this.at;
    this.#slab = null;
    this.bytes = EMPTY;
    this.at = 0;
    this.#start = 0;
    this.#pool.release(slab);
  }

  /** The header of a frame, at the end of what is pending. */
  writeFrameHeader(length: number, type: number, flags: number, streamId: number): void {
    this.reserve(FRAME_HEADER_BYTES + length);
    this.patchFrameHeader(this.at, length, type, flags, streamId);
    this.at += FRAME_HEADER_BYTES;
  }

  /** The header of a frame whose payload has been written after it already. It is the last frame. */
  patchFrameHeader(at: number, length: number, type: number, flags: number, streamId: number): void {
    const {bytes} = this;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = streamId >>> 24;
    bytes[at + 6] = streamId >>> 16;
    bytes[at + 7] = streamId >>> 8;
    bytes[at + 8] = streamId;
    const canEnd = type === FRAME.DATA || type === FRAME.HEADERS;
    this.#lastFlagsAt = canEnd ? at + 4 : -1;
    this.#lastStreamId = streamId;
  }

  /** Lets the frame that was written last end its stream. False where it is another stream's, or gone. */
  endStreamInLastFrame(streamId: number): boolean {
    if (this.#lastFlagsAt < 0 || this.#lastStreamId !== streamId) return false;
    this.bytes[this.#lastFlagsAt] = (this.bytes[this.#lastFlagsAt] as number) | FLAG.END_STREAM;
    this.#lastFlagsAt = -1;
    return true;
  }

  /** The last frame belongs to a block of several, whose first one would have to end the stream. */
  forbidEnd(): void {
    this.#lastFlagsAt = -1;
  }

  writeUint32(value: number): void {
    const {bytes} = this;
    bytes[this.at++] = value >>> 24;
    bytes[this.at++] = value >>> 16;
    bytes[this.at++] = value >>> 8;
    bytes[this.at++] = value;
  }

  writeBytes(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
    this.#lastFlagsAt = -1;
  }

  /** @param settings pairs of identifier and value */
  writeSettings(settings: readonly (readonly [number, number])[]): void {
    this.writeFrameHeader(settings.length * 6, FRAME.SETTINGS, 0, 0);
    for (const [identifier, value] of settings) {
      this.bytes[this.at++] = identifier >>> 8;
      this.bytes[this.at++] = identifier;
      this.writeUint32(value);
    }
  }

  writeSettingsAck(): void {
    this.writeFrameHeader(0, FRAME.SETTINGS, FLAG.ACK, 0);
  }

  /** @param flags with `FLAG.ACK` for the answer to a ping */
  writePing(flags: number, bytes: Uint8Array, start: number): void {
    this.writeFrameHeader(8, FRAME.PING, flags, 0);
    for (let i = 0; i < 8; i++) this.bytes[this.at++] = bytes[start + i] as number;
  }

  writeWindowUpdate(streamId: number, increment: number): void {
    this.writeFrameHeader(4, FRAME.WINDOW_UPDATE, 0, streamId);
    this.writeUint32(increment);
  }

  writeReset(streamId: number, code: ErrorCode): void {
    this.writeFrameHeader(4, FRAME.RST_STREAM, 0, streamId);
    this.writeUint32(code);
  }

  writeGoAway(lastStreamId: number, code: ErrorCode): void {
    this.writeFrameHeader(8, FRAME.GOAWAY, 0, 0);
    this.writeUint32(lastStreamId);
    this.writeUint32(code);
  }
}
