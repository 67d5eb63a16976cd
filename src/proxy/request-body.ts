/**
 * The body of a request on its way upstream. Up to the route's buffer it is collected before an upstream is dialled, so that a slow
 * client never occupies an application's worker; what is larger streams with Torwart's own framing.
 */
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {CHUNK_END, LAST_CHUNK, chunkSizeLine, framingLine} from '#src/http1/encode.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {UpstreamConnection} from '#src/upstream/upstream-connection.ts';

/** So many pieces become one. A client may send chunks of one byte, and none of them may cost an object for long. */
const LOOSE_PIECES_MAX = 64;
/** A smaller piece leaves as one text with its framing. */
const TEXT_CHUNK_BYTES_MAX = 1024;

/** Methods whose requests say that they have no body (RFC 9110 §8.6). */
const ANNOUNCES_EMPTY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

export class RequestBody {
  /** Bytes of content so far. */
  received = 0;
  isComplete = true;
  /** Everything that was received is still here, so that it can be sent again. */
  isReplayable = true;
  #chunks: Buffer[] = [];
  /** How many of them, from the first, were joined. */
  #joined = 0;
  #declaredLength = 0;
  #isEmptyDeclared = false;
  #isChunked = false;
  /** The connection that waits for the end of this turn of the event loop. */
  #corked: UpstreamConnection | null = null;
  readonly #uncork = (): void => {
    this.#corked?.uncork();
    this.#corked = null;
  };

  /** @param declaredLength a length or `BODY_CHUNKED` */
  begin(declaredLength: number, isEmptyDeclared: boolean): void {
    this.received = 0;
    this.isComplete = declaredLength === 0;
    this.isReplayable = true;
    this.#chunks = [];
    this.#joined = 0;
    this.#declaredLength = declaredLength;
    this.#isEmptyDeclared = isEmptyDeclared;
    this.#isChunked = false;
  }

  collect(bytes: Buffer): void {
    this.received += bytes.length;
    this.#chunks.push(bytes);
    if (this.#chunks.length - this.#joined === LOOSE_PIECES_MAX) {
      this.#chunks.push(Buffer.concat(this.#chunks.splice(this.#joined)));
      this.#joined = this.#chunks.length;
    }
  }

  drop(): void {
    this.#chunks = [];
  }

  /** The head, which must not have its empty line yet, with the framing and all that has been collected. */
  sendHead(connection: UpstreamConnection, method: string, head: string): void {
    if (this.isComplete && this.received === 0) {
      const isAnnounced = this.#isEmptyDeclared || ANNOUNCES_EMPTY.has(method) || this.#declaredLength === BODY_CHUNKED;
      connection.writeText(isAnnounced ? `${head}content-length: 0\r\n\r\n` : `${head}\r\n`);
      return;
    }
    const length = this.isComplete ? this.received : this.#declaredLength;
    this.#isChunked = length === BODY_CHUNKED;
    const lines = `${head}${framingLine(length)}\r\n`;
    const [only] = this.#chunks;
    if (this.isComplete && this.#chunks.length === 1 && only !== undefined && lines.length + only.length <= LIMITS.singleWriteBytesMax) {
      connection.writeText(lines + only.toString('latin1'));
      return;
    }
    connection.cork();
    connection.writeText(lines);
    for (const chunk of this.#chunks) this.#writeChunk(connection, chunk);
    connection.uncork();
    if (!this.isComplete) {
      this.isReplayable = false;
      this.#chunks = [];
    }
  }

  /** A piece that arrives while the request is already on its way. */
  stream(connection: UpstreamConnection, bytes: Buffer): void {
    this.received += bytes.length;
    this.#cork(connection);
    this.#writeChunk(connection, bytes);
  }

  /** All that one read brings leaves in one write. */
  #cork(connection: UpstreamConnection): void {
    if (this.#corked === connection) return;
    if (this.#corked === null) process.nextTick(this.#uncork);
    else this.#corked.uncork();
    this.#corked = connection;
    connection.cork();
  }

  /** The end of a body that was not complete when the head was sent. */
  endStream(connection: UpstreamConnection): void {
    this.isComplete = true;
    if (this.#isChunked) connection.writeText(LAST_CHUNK);
  }

  #writeChunk(connection: UpstreamConnection, bytes: Buffer): void {
    if (this.#isChunked && bytes.length <= TEXT_CHUNK_BYTES_MAX) {
      connection.writeText(chunkSizeLine(bytes.length) + bytes.toString('latin1') + CHUNK_END);
      return;
    }
    if (this.#isChunked) connection.writeText(chunkSizeLine(bytes.length));
    connection.writeBytes(bytes);
    if (this.#isChunked) connection.writeText(CHUNK_END);
  }
}
