/**
 * Content of one response that waits for the client, copied: what it was read into is used again at once. Large pieces go into buffers of a
 * pool, because fresh ones would keep the garbage collector busy; small ones do not, because each would hold such a buffer.
 */
import type {BufferPool} from '#src/core/buffer-pool.ts';

const POOLED_BYTES_MIN = 16 * 1024;

interface Piece {
  readonly bytes: Buffer;
  end: number;
  readonly isPooled: boolean;
}

export class ContentQueue {
  readonly #pool: BufferPool;
  readonly #pieces: Piece[] = [];
  /** Where the rest of the first piece begins. */
  #offset = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Takes a copy. */
  push(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      let last = this.#pieces.at(-1);
      if (last === undefined || last.end === last.bytes.length) last = this.#addPiece(Math.min(end - at, this.#pool.bytesPerBuffer), last);
      const length = Math.min(end - at, last.bytes.length - last.end);
      bytes.copy(last.bytes, last.end, at, at + length);
      last.end += length;
      at += length;
    }
  }

  /** Behind another one with room for more than what is there: whoever sends a byte at a time must not make a piece of each. */
  #addPiece(length: number, before: Piece | undefined): Piece {
    const isPooled = length >= POOLED_BYTES_MIN;
    const room = before === undefined ? length : Math.max(length, Math.min(2 * before.bytes.length, POOLED_BYTES_MIN));
    const piece: Piece = {bytes: isPooled ? this.#pool.acquire() : Buffer.allocUnsafeSlow(room), end: 0, isPooled};
    this.#pieces.push(piece);
    return piece;
  }

  /** Moves the next `length` bytes, of as many pieces as that takes. There must be as many. */
  moveTo(target: Buffer, at: number, length: number): void {
    let left = length;
    while (left > 0) {
      const piece = this.#pieces[0] as Piece;
      const taken = Math.min(left, piece.end - this.#offset);
      piece.bytes.copy(target, at + length - left, this.#offset, this.#offset + taken);
      left -= taken;
      this.#offset += taken;
      if (this.#offset === piece.end) this.#release();
    }
  }

  clear(): void {
    while (this.#pieces.length > 0) this.#release();
  }

  #release(): void {
    const piece = this.#pieces.shift();
    this.#offset = 0;
    if (piece?.isPooled === true) this.#pool.release(piece.bytes);
  }
}
