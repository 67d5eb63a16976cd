/**
 * Writes the responses of one HTTP/1.1 connection: text is collected until the end of an event and leaves in one write, large pieces of
 * a body leave as they are, corked together with the text around them.
 */
import type {Socket} from 'node:net';
import type {BufferPool} from '#src/core/buffer-pool.ts';
import {LIMITS} from '#src/core/limits.ts';
import {lastChunk, chunkSizeLine} from '#src/http1/encode.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';

export class ResponseWriter {
  /** Bytes of the current response that were handed to the socket. */
  bytesSent = 0;
  /** Of earlier responses; and of all, when `takeDrained` was last asked. */
  #bytesBefore = 0;
  #bytesDrained = 0;
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  readonly #buffers: BufferPool;
  #text = '';
  #isChunked = false;
  #isCorked = false;
  /** The head has been begun and the end has not been written. */
  #isUnfinished = false;

  /** Pieces of bodies that the socket has not written yet, the oldest first. */
  readonly #lent: Buffer[] = [];
  #onWritten: ((error?: Error | null) => void) | null = null;

  constructor(socket: Socket, isSecure: boolean, buffers: BufferPool) {
    this.#socket = socket;
    this.#writer = new SocketWriter(socket, !isSecure);
    this.#buffers = buffers;
  }

  /** Some of the response has left: it can no longer be replaced by another one. */
  get isCommitted(): boolean {
    return this.#isUnfinished && this.bytesSent > 0;
  }

  get isBackedUp(): boolean {
    return this.#writer.isBackedUp;
  }

  /** What was written and the kernel has not taken. */
  get backlogBytes(): number {
    return this.#writer.backlogBytes;
  }

  reset(): void {
    this.#bytesBefore += this.bytesSent;
    this.bytesSent = 0;
    this.#text = '';
    this.#isChunked = false;
    this.#isUnfinished = false;
  }

  /** Bytes that were handed over since the last call. */
  takeDrained(): number {
    const bytes = this.#bytesBefore + this.bytesSent - this.#bytesDrained;
    this.#bytesDrained += bytes;
    return bytes;
  }

  /** An interim response. It is none of the final one's bytes. */
  writeInterim(text: string): void {
    this.#writer.writeText(text);
  }

  begin(head: string, isChunked: boolean): void {
    this.#text = head;
    this.#isChunked = isChunked;
    this.#isUnfinished = true;
  }

  /** The bytes are lent: what does not leave as text is copied. */
  writeBody(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    if (this.#text.length + length <= LIMITS.singleWriteBytesMax) {
      this.writeBodyText(bytes.toString('latin1', start, end));
      return;
    }
    if (this.#isChunked) this.#text += chunkSizeLine(length);
    this.#cork();
    this.#writeText();
    this.bytesSent += length;
    for (let at = start; at < end; at += this.#buffers.bytesPerBuffer) this.#writeCopy(bytes, at, Math.min(end, at + this.#buffers.bytesPerBuffer));
    if (this.#isChunked) this.#text = '\r\n';
  }

  /** The socket keeps what it cannot send at once, so it gets a copy. The callbacks come in the order of the writes. */
  #writeCopy(bytes: Buffer, start: number, end: number): void {
    const copy = this.#buffers.acquire();
    bytes.copy(copy, 0, start, end);
    this.#lent.push(copy);
    this.#onWritten ??= (error) => {
      const written = this.#lent.shift();
      // Of a socket that broke it is not known which pieces are still in use: the next owner may be another customer's response.
      if (error) this.#lent.length = 0;
      else if (written !== undefined) this.#buffers.release(written);
    };
    this.#writer.writeBytes(copy.subarray(0, end - start), this.#onWritten);
  }

  writeBodyText(latin1: string): void {
    if (latin1.length === 0) return;
    this.#text += this.#isChunked ? `${chunkSizeLine(latin1.length)}${latin1}\r\n` : latin1;
  }

  flush(): void {
    this.#writeText();
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#writer.uncork();
  }

  end(trailers = ''): void {
    if (this.#isChunked) this.#text += lastChunk(trailers);
    this.#isChunked = false;
    this.#isUnfinished = false;
    this.flush();
  }

  /** Drops a response of which nothing has left. */
  abandon(): void {
    this.reset();
  }

  /**
   * Ends the connection. The client must not take a response for complete that is not: one that only the end of the connection would
   * delimit is cut by a reset (in TLS the missing close_notify says the same). Once this side has ended, libuv refuses to reset and Node
   * forgets the socket without closing it.
   */
  destroy(isSecure: boolean): void {
    if (this.isCommitted && !isSecure && !this.#socket.writableEnded) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#writer.cork();
  }

  #writeText(): void {
    if (this.#text === '') return;
    this.bytesSent += this.#text.length;
    this.#writer.writeText(this.#text);
    this.#text = '';
  }
}
