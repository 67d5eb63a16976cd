/** Writes the responses of one HTTP/1.1 connection. What an event brings of them leaves in one write at its end. */
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
  /** What can still be replaced, if nothing else of the response has left. */
  #text = '';
  #isChunked = false;
  /** The head has been begun and the end has not been written. */
  #isUnfinished = false;

  constructor(socket: Socket, isSecure: boolean, buffers: BufferPool) {
    this.#socket = socket;
    this.#writer = new SocketWriter(socket, !isSecure, buffers);
  }

  /** Some of the response has left: it can no longer be replaced by another one. */
  get isCommitted(): boolean {
    return this.#isUnfinished && this.bytesSent > 0;
  }

  get isBackedUp(): boolean {
    return this.#writer.isBackedUp;
  }

  /** What the client has not taken yet, as far as it is not in the kernel. */
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
    this.#writer.addText(text);
    this.#writer.flush();
  }

  begin(head: string, isChunked: boolean): void {
    this.#text = head;
    this.#isChunked = isChunked;
    this.#isUnfinished = true;
  }

  /** The bytes are lent. */
  writeBody(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    if (this.#text.length + length <= LIMITS.singleWriteBytesMax) {
      this.writeBodyText(bytes.toString('latin1', start, end));
      return;
    }
    if (this.#isChunked) this.#text += chunkSizeLine(length);
    this.#addText();
    this.bytesSent += length;
    this.#writer.addLent(bytes, start, end);
    if (this.#isChunked) this.#text = '\r\n';
  }

  writeBodyText(latin1: string): void {
    if (latin1.length === 0) return;
    this.#text += this.#isChunked ? `${chunkSizeLine(latin1.length)}${latin1}\r\n` : latin1;
  }

  flush(): void {
    this.#addText();
    this.#writer.flush();
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

  #addText(): void {
    if (this.#text === '') return;
    this.bytesSent += this.#text.length;
    this.#writer.addText(this.#text);
    this.#text = '';
  }
}
