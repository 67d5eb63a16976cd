/**
 * The sending side of a socket: what an event produces is collected and leaves in one write. What a cleartext socket can send at once goes
 * past the queue of its stream, which costs more than the call into the kernel that follows: a state machine, an object and a turn of
 * `process.nextTick` for each write.
 */
import type {Socket} from 'node:net';
import type {BufferPool} from '#src/core/buffer-pool.ts';
import {copyBytes} from '#src/core/bytes.ts';
import {LIMITS} from '#src/core/limits.ts';

/** As `writable._writev` takes them. */
interface Piece {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
  /** The buffer of the pool that it is the last part of. */
  loan: Buffer | null;
}

/** A piece that stands alone and is smaller than this part of a buffer of the pool does not occupy one. */
const LOAN_PARTS = 8;

export class SocketWriter {
  readonly #socket: Socket;
  readonly #isCleartext: boolean;
  readonly #pool: BufferPool;
  /** What has been collected: pieces, then text. */
  #pieces: Piece[] = [];
  #pieceBytes = 0;
  #text = '';
  /** The buffer that copies go into, how much of it is used, and the piece that was copied last. */
  #loan: Buffer | null = null;
  #loanUsed = 0;
  #loanPiece: Piece | null = null;
  /** Writes past the stream that the kernel has not taken whole: one at most. */
  #isUnfinished = false;
  #unfinishedBytes = 0;
  /** How many of `#loans` are in it. */
  #unfinishedLoans = 0;
  /** Buffers of the pool that the socket may still read, the oldest first. */
  readonly #loans: Buffer[] = [];
  readonly #onWritten = (error?: Error | null): void => this.#finish(error);
  readonly #onLoanWritten = (error?: Error | null): void => this.#release(1, error);

  /** @param pool for copies of what is lent; shared by the sockets of a thread */
  constructor(socket: Socket, isCleartext: boolean, pool: BufferPool) {
    this.#socket = socket;
    this.#isCleartext = isCleartext;
    this.#pool = pool;
  }

  /** Bytes that the kernel has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength + this.#unfinishedBytes + this.#pieceBytes + this.#text.length;
  }

  /** Stop producing until the socket's `drain`. */
  get isBackedUp(): boolean {
    return this.backlogBytes >= this.#socket.writableHighWaterMark;
  }

  addText(latin1: string): void {
    this.#text += latin1;
    if (this.#text.length > LIMITS.singleWriteBytesMax) this.#endText();
  }

  /** The bytes never change. */
  addBytes(bytes: Buffer): void {
    if (this.#text.length + bytes.length <= LIMITS.singleWriteBytesMax) this.#text += bytes.toString('latin1');
    else this.#addPiece(bytes);
  }

  /** The bytes are lent: what does not leave as text is copied. */
  addLent(bytes: Buffer, start: number, end: number): void {
    if (this.#text.length + end - start <= LIMITS.singleWriteBytesMax) {
      this.#text += bytes.toString('latin1', start, end);
      return;
    }
    const {bytesPerBuffer} = this.#pool;
    if (this.#pieces.length === 0 && end - start < bytesPerBuffer / LOAN_PARTS) {
      this.#addPiece(copyBytes(bytes, start, end));
      return;
    }
    for (let at = start; at < end;) {
      const loan = this.#loan ??= this.#pool.acquire(), used = this.#loanUsed;
      const length = Math.min(bytesPerBuffer - used, end - at);
      bytes.copy(loan, used, at, at + length);
      this.#loanPiece = this.#addPiece(loan.subarray(used, used + length));
      this.#loanUsed += length;
      at += length;
      if (this.#loanUsed === bytesPerBuffer) this.#endLoan();
    }
  }

  /** Hands over what has been collected. */
  flush(): void {
    const text = this.#text;
    if (this.#pieces.length > 0) this.#flushPieces();
    else if (text !== '') {
      this.#text = '';
      if (this.#mayWriteDirectly) this.#socket._write(text, 'latin1', this.#beginDirectly(text.length, 0));
      else this.#socket.write(text, 'latin1');
    }
  }

  #addPiece(chunk: Buffer): Piece {
    this.#endText();
    const piece: Piece = {chunk, encoding: 'buffer' as BufferEncoding, loan: null};
    this.#pieces.push(piece);
    this.#pieceBytes += chunk.length;
    return piece;
  }

  #endLoan(): void {
    if (this.#loanPiece !== null) this.#loanPiece.loan = this.#loan;
    this.#loan = null;
    this.#loanUsed = 0;
    this.#loanPiece = null;
  }

  #endText(): void {
    if (this.#text === '') return;
    this.#pieces.push({chunk: this.#text, encoding: 'latin1', loan: null});
    this.#pieceBytes += this.#text.length;
    this.#text = '';
  }

  #flushPieces(): void {
    this.#endText();
    this.#endLoan();
    const pieces = this.#pieces, bytes = this.#pieceBytes;
    this.#pieces = [];
    this.#pieceBytes = 0;
    const loansBefore = this.#loans.length;
    for (const {loan} of pieces) {
      if (loan !== null) this.#loans.push(loan);
    }
    if (!this.#mayWriteDirectly || this.#socket._writev === undefined) this.#writeThroughStream(pieces);
    else this.#socket._writev(pieces, this.#beginDirectly(bytes, this.#loans.length - loansBefore));
  }

  #writeThroughStream(pieces: readonly Piece[]): void {
    this.#socket.cork();
    for (const {chunk, encoding, loan} of pieces) this.#socket.write(chunk, encoding, loan === null ? undefined : this.#onLoanWritten);
    this.#socket.uncork();
  }

  /**
   * Only where nothing waits: the order of bytes is then that of the writes, because the kernel's side of a TCP socket (libuv's queue)
   * takes writes in their order. OpenSSL's side takes one at a time, so TLS keeps to the stream.
   */
  get #mayWriteDirectly(): boolean {
    const socket = this.#socket;
    return this.#isCleartext && !this.#isUnfinished && socket.writableLength === 0 && socket.writableCorked === 0 && !socket.connecting && socket.writable;
  }

  /**
   * The next call is one of `_write` and `_writev`, which is what the stream itself calls (Node's documentation of them). It calls back before
   * it returns, mostly.
   */
  #beginDirectly(bytes: number, loans: number): (error?: Error | null) => void {
    this.#isUnfinished = true;
    this.#unfinishedBytes = bytes;
    this.#unfinishedLoans = loans;
    return this.#onWritten;
  }

  #finish(error: Error | null | undefined): void {
    const wasBackedUp = this.isBackedUp;
    this.#isUnfinished = false;
    this.#unfinishedBytes = 0;
    if (this.#unfinishedLoans > 0) this.#release(this.#unfinishedLoans, error);
    this.#unfinishedLoans = 0;
    if (error) this.#socket.destroy(error);
    else if (wasBackedUp && !this.isBackedUp) this.#socket.emit('drain');
  }

  /** Of a socket that broke it is not known which loans are still in use: the next owner may be another customer's message. */
  #release(loans: number, error: Error | null | undefined): void {
    if (error) this.#loans.length = 0;
    for (let i = 0; i < loans; i++) {
      const loan = this.#loans.shift();
      if (loan !== undefined) this.#pool.release(loan);
    }
  }
}
