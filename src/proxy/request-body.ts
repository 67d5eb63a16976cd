/**
 * The body of a request on its way upstream. Up to the route's buffer it is collected before an upstream is dialled, so that a slow
 * client never occupies an application's worker; what is larger streams with Torwart's own framing.
 */
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {NO_BODY, type UpstreamStream} from '#src/upstream/upstream-stream.ts';

/** So many pieces become one. A client may send chunks of one byte, and none of them may cost an object for long. */
const LOOSE_PIECES_MAX = 64;

/** Methods whose requests say that they have no body (RFC 9110 §8.6). */
const ANNOUNCES_EMPTY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

export class RequestBody {
  /** Bytes of content so far. */
  received = 0;
  isComplete = true;
  /** Everything that was received is still here, so that it can be sent again. */
  isReplayable = true;
  /** Lines, once it is complete. */
  trailers = '';
  #chunks: Buffer[] = [];
  /** How many of them, from the first, were joined. */
  #joined = 0;
  #declaredLength = 0;
  #isEmptyDeclared = false;

  /** @param declaredLength a length or `BODY_CHUNKED` */
  begin(declaredLength: number, isEmptyDeclared: boolean): void {
    this.received = 0;
    this.isComplete = declaredLength === 0;
    this.isReplayable = true;
    this.trailers = '';
    this.#chunks = [];
    this.#joined = 0;
    this.#declaredLength = declaredLength;
    this.#isEmptyDeclared = isEmptyDeclared;
  }

  /** What has been collected. */
  get pieces(): readonly Buffer[] {
    return this.#chunks;
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

  /** @param head without framing and empty line */
  sendRequest(stream: UpstreamStream, method: string, head: string): void {
    // Behind a length there is no place for trailers.
    if (this.trailers !== '') {
      stream.sendRequest(head, BODY_CHUNKED, this.#chunks);
      return;
    }
    if (this.isComplete && this.received === 0) {
      const isAnnounced = this.#isEmptyDeclared || ANNOUNCES_EMPTY.has(method) || this.#declaredLength === BODY_CHUNKED;
      stream.sendRequest(head, isAnnounced ? 0 : NO_BODY, this.#chunks);
      return;
    }
    stream.sendRequest(head, this.isComplete ? this.received : this.#declaredLength, this.#chunks);
    if (!this.isComplete) {
      this.isReplayable = false;
      this.#chunks = [];
    }
  }

  /** A piece that arrives while the request is already on its way. True where no more may come now. */
  stream(stream: UpstreamStream, bytes: Buffer): boolean {
    this.received += bytes.length;
    stream.sendContent(bytes);
    return stream.isBackedUp;
  }
}
