/**
 * Writes the responses of one HTTP/1.1 connection: text is collected until the end of an event and leaves in one write, large pieces of
 * a body leave as they are, corked together with the text around them.
 */
import type {Socket} from 'node:net';
import {LIMITS} from '#src/core/limits.ts';
import {LAST_CHUNK, chunkSizeLine} from '#src/http1/encode.ts';

export class ResponseWriter {
  /** Bytes of the current response that were handed to the socket. */
  bytesSent = 0;
  readonly #socket: Socket;
  #text = '';
  #isChunked = false;
  #isCorked = false;
  /** The head has been begun and the end has not been written. */
  #isUnfinished = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Some of the response has left: it can no longer be replaced by another one. */
  get isCommitted(): boolean {
    return this.#isUnfinished && this.bytesSent > 0;
  }

  get isBackedUp(): boolean {
    return this.#socket.writableNeedDrain;
  }

  reset(): void {
    this.bytesSent = 0;
    this.#text = '';
    this.#isChunked = false;
    this.#isUnfinished = false;
  }

  /** An interim response. It is none of the final one's bytes. */
  writeInterim(text: string): void {
    this.#socket.write(text, 'latin1');
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
    this.#socket.write(Buffer.from(bytes.subarray(start, end)));
    if (this.#isChunked) this.#text = '\r\n';
  }

  writeBodyText(latin1: string): void {
    if (latin1.length === 0) return;
    this.#text += this.#isChunked ? `${chunkSizeLine(latin1.length)}${latin1}\r\n` : latin1;
  }

  flush(): void {
    this.#writeText();
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket.uncork();
  }

  end(): void {
    if (this.#isChunked) this.#text += LAST_CHUNK;
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
   * delimit is cut by a reset (in TLS the missing close_notify says the same).
   */
  destroy(isSecure: boolean): void {
    if (this.isCommitted && !isSecure) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
  }

  #writeText(): void {
    if (this.#text === '') return;
    this.bytesSent += this.#text.length;
    this.#socket.write(this.#text, 'latin1');
    this.#text = '';
  }
}
