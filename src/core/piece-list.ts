/** Bytes that are collected piece by piece. Whoever sends chooses how small the pieces are, and none of them may cost an object for long. */

/** So many pieces become one. */
const LOOSE_PIECES_MAX = 64;

export class PieceList {
  #pieces: Buffer[] = [];
  /** How many of them, from the first, were joined. */
  #joined = 0;

  get pieces(): readonly Buffer[] {
    return this.#pieces;
  }

  /** The bytes must not change afterwards. */
  add(bytes: Buffer): void {
    this.#pieces.push(bytes);
    if (this.#pieces.length - this.#joined < LOOSE_PIECES_MAX) return;
    this.#pieces.push(Buffer.concat(this.#pieces.splice(this.#joined)));
    this.#joined = this.#pieces.length;
  }

  /** Whoever was given the pieces keeps them. */
  clear(): void {
    this.#pieces = [];
    this.#joined = 0;
  }
}
