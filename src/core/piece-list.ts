/** Bytes that are collected piece by piece. Whoever sends chooses how small the pieces are, and none of them may cost an object for long. */

/** Bytes, or as many characters of Latin-1. */
export type Piece = Buffer | string;

/** So many pieces become one. */
const LOOSE_PIECES_MAX = 64;

export function toBytes(piece: Piece): Buffer {
  return typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
}

export class PieceList {
  #pieces: Piece[] = [];
  /** How many of them, from the first, were joined. */
  #joined = 0;

  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  /** All of it, copied. */
  join(): Buffer {
    return Buffer.concat(this.#pieces.map(toBytes));
  }

  /** Bytes must not change afterwards. */
  add(piece: Piece): void {
    this.#pieces.push(piece);
    if (this.#pieces.length - this.#joined < LOOSE_PIECES_MAX) return;
    this.#pieces.push(Buffer.concat(this.#pieces.splice(this.#joined).map(toBytes)));
    this.#joined = this.#pieces.length;
  }

  /** Whoever was given the pieces keeps them. */
  clear(): void {
    this.#pieces = [];
    this.#joined = 0;
  }
}
