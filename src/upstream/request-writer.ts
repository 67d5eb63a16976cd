/** Requests as they leave over an HTTP/1.1 connection, in as few writes as there can be. The framing is always Torwart's own. */
import {copyBytes} from '#src/core/bytes.ts';
import {LIMITS} from '#src/core/limits.ts';
import {CHUNK_END, lastChunk, chunkSizeLine, framingLine} from '#src/http1/encode.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import type {SocketWriter} from '#src/transport/socket-writer.ts';
import {NO_BODY} from '#src/upstream/upstream-stream.ts';

/** A smaller piece leaves as one text with its framing. */
const TEXT_CHUNK_BYTES_MAX = 1024;

type RequestSocket = Pick<SocketWriter, 'writeText' | 'writeBytes' | 'cork' | 'uncork' | 'isBackedUp' | 'backlogBytes'>;

export class RequestWriter {
  readonly #socket: RequestSocket;
  #isChunked = false;
  /** Something was written in this turn of the event loop; the rest of the turn may be collected. */
  #isTurnBegun = false;
  #isCorked = false;
  readonly #endTurn = (): void => {
    this.#isTurnBegun = false;
    if (this.#isCorked) this.#socket.uncork();
    this.#isCorked = false;
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
  begin(head: string, length: number, pieces: readonly Buffer[]): void {
    const lines = length === NO_BODY ? `${head}\r\n` : `${head}${framingLine(length)}\r\n`;
    this.#isChunked = length === BODY_CHUNKED;
    const [first] = pieces;
    if (first === undefined) this.#socket.writeText(lines);
    else if (first.length === length && lines.length + length <= LIMITS.singleWriteBytesMax) this.#socket.writeText(lines + first.toString('latin1'));
    else {
      this.#socket.cork();
      this.#socket.writeText(lines);
      for (const piece of pieces) this.#writePiece(piece);
      this.#socket.uncork();
    }
  }

  /**
   * What one read of the client's brings leaves in one write, or in two: it is one piece mostly, and that need not wait for others. A
   * chunk is three pieces.
   */
  write(bytes: Buffer): void {
    const isAlone = !this.#isTurnBegun && !this.#isChunked;
    if (!this.#isTurnBegun) {
      this.#isTurnBegun = true;
      process.nextTick(this.#endTurn);
    }
    if (!isAlone && !this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
    }
    this.#writePiece(bytes);
  }

  /** Not part of a request: bytes of a tunnel. What is small leaves as a text, for which nothing is allocated outside of V8's heap. */
  writeLent(bytes: Buffer, start: number, end: number): void {
    if (end - start <= LIMITS.singleWriteBytesMax) this.#socket.writeText(bytes.toString('latin1', start, end));
    else this.#socket.writeBytes(copyBytes(bytes, start, end));
  }

  end(trailers = ''): void {
    if (!this.#isChunked) return;
    this.#isChunked = false;
    this.#socket.writeText(lastChunk(trailers));
  }

  #writePiece(bytes: Buffer): void {
    if (this.#isChunked && bytes.length <= TEXT_CHUNK_BYTES_MAX) {
      this.#socket.writeText(chunkSizeLine(bytes.length) + bytes.toString('latin1') + CHUNK_END);
      return;
    }
    if (this.#isChunked) this.#socket.writeText(chunkSizeLine(bytes.length));
    this.#socket.writeBytes(bytes);
    if (this.#isChunked) this.#socket.writeText(CHUNK_END);
  }
}
