/** Collects the frames of one field block (RFC 9113 §4.3, §6.2, §6.10) and lets nothing grow without end. */
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME_HEADER_BYTES, type ErrorCode} from '#src/http2/frames.ts';

const PRIORITY_BYTES = 5;

const NOTHING = Buffer.alloc(0);

/** `complete`: the block is in `bytes[start, end)`. Otherwise the connection's error. */
export type BlockResult = 'complete' | 'incomplete' | ErrorCode;

export class FieldBlockReader {
  /** The stream whose block is being received; 0: none. */
  openStreamId = 0;
  isEnd = false;
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** Frames of this block, with their headers. */
  bytesReceived = 0;
  #continuations = 0;

  get heldBytes(): number {
    return this.openStreamId === 0 ? 0 : this.end - this.start;
  }

  /** A frame of HEADERS, with the payload in `bytes[start, end)`. */
  begin(flags: number, streamId: number, bytes: Buffer, start: number, end: number): BlockResult {
    const isPadded = (flags & FLAG.PADDED) !== 0;
    const from = start + (isPadded ? 1 : 0) + ((flags & FLAG.PRIORITY) === 0 ? 0 : PRIORITY_BYTES);
    if (from > end) return ERROR.FRAME_SIZE_ERROR;
    const to = end - (isPadded ? (bytes[start] as number) : 0);
    if (to < from) return ERROR.PROTOCOL_ERROR;
    this.isEnd = (flags & FLAG.END_STREAM) !== 0;
    this.bytes = bytes;
    this.start = from;
    this.end = to;
    this.bytesReceived = FRAME_HEADER_BYTES + end - start;
    this.#continuations = 0;
    if ((flags & FLAG.END_HEADERS) !== 0) return 'complete';
    this.openStreamId = streamId;
    this.bytes = Buffer.from(bytes.subarray(from, to));
    this.start = 0;
    this.end = to - from;
    return 'incomplete';
  }

  /** The block is decoded: an idle connection must not keep alive what it was received in. */
  release(): void {
    this.bytes = NOTHING;
  }

  /** A frame of CONTINUATION of the open block. "CONTINUATION flood": CVE-2024-27316 and its like in many servers. */
  continue(flags: number, bytes: Buffer, start: number, end: number): BlockResult {
    const length = this.end - this.start + end - start;
    if (++this.#continuations > LIMITS.h2ContinuationsMax || length > LIMITS.h2HeaderBlockBytesMax) return ERROR.ENHANCE_YOUR_CALM;
    this.bytes = Buffer.concat([this.bytes.subarray(this.start, this.end), bytes.subarray(start, end)]);
    this.start = 0;
    this.end = length;
    this.bytesReceived += FRAME_HEADER_BYTES + end - start;
    if ((flags & FLAG.END_HEADERS) === 0) return 'incomplete';
    this.openStreamId = 0;
    return 'complete';
  }
}
