/** Requests as they leave over an HTTP/1.1 connection, in as few writes as there can be. The framing is always Torwart's own. */
import {CHUNK_END, lastChunk, chunkSizeLine, framingLine} from '#src/http1/encode.ts';
import type {Piece} from '#src/core/piece-list.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import type {SocketWriter} from '#src/transport/socket-writer.ts';
import {NO_BODY} from '#src/upstream/upstream-stream.ts';

type RequestSocket = Pick<SocketWriter, 'addText' | 'addBytes' | 'addLent' | 'flush' | 'isBackedUp' | 'backlogBytes'>;

export class RequestWriter {
  readonly #socket: RequestSocket;
  #isChunked = false;
  /** Something was written in this turn of the event loop; the rest of the turn is collected. */
  #isTurnBegun = false;
  readonly #endTurn = (): void => {
    this.#isTurnBegun = false;
    this.#socket.flush();
  };

  constructor(socket: RequestSocket) {
    this.#socket = socket;
  }

  get isBackedUp(): boolean {
    return this.#socket.isBackedUp;
  }

  get backlogBytes(): number {
    return this.#socket.backlogBytes;
  }

  /** Parameters as in `UpstreamStream.sendRequest`. */
  begin(head: string, length: number, pieces: readonly Piece[]): void {
    const socket = this.#socket;
    this.#isChunked = length === BODY_CHUNKED;
    socket.addText(length === NO_BODY ? `${head}\r\n` : `${head}${framingLine(length)}\r\n`);
    for (const piece of pieces) {
      if (this.#isChunked) socket.addText(chunkSizeLine(piece.length));
      if (typeof piece === 'string') socket.addText(piece);
      else socket.addBytes(piece);
      if (this.#isChunked) socket.addText(CHUNK_END);
    }
    socket.flush();
  }

  /**
   * Content, which is lent. What one read of the client's brings leaves in one write, or in two: it is one piece mostly, and that need not
   * wait for others. A chunk is three pieces.
   */
  write(bytes: Buffer, start: number, end: number): void {
    const isFirst = !this.#isTurnBegun;
    if (isFirst) {
      this.#isTurnBegun = true;
      process.nextTick(this.#endTurn);
    }
    if (this.#isChunked) this.#socket.addText(chunkSizeLine(end - start));
    this.#socket.addLent(bytes, start, end);
    if (this.#isChunked) this.#socket.addText(CHUNK_END);
    else if (isFirst) this.#socket.flush();
  }

  /** Bytes of a tunnel, lent: no part of a request, and none waits. */
  writeTunnel(bytes: Buffer, start: number, end: number): void {
    this.#socket.addLent(bytes, start, end);
    this.#socket.flush();
  }

  end(trailers = ''): void {
    if (!this.#isChunked) return;
    this.#isChunked = false;
    this.#socket.addText(lastChunk(trailers));
    this.#socket.flush();
  }
}
