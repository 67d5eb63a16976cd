/**
 * The body of a request on its way upstream. Up to the route's buffer it is collected before an upstream is dialled, so that a slow
 * client never occupies an application's worker; what is larger streams with Torwart's own framing.
 */
import {PieceList} from '#src/core/piece-list.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {NO_BODY, type UpstreamStream} from '#src/upstream/upstream-stream.ts';

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
  readonly #collected = new PieceList();
  #declaredLength = 0;
  #isEmptyDeclared = false;

  /** @param declaredLength a length or `BODY_CHUNKED` */
  begin(declaredLength: number, isEmptyDeclared: boolean): void {
    this.received = 0;
    this.isComplete = declaredLength === 0;
    this.isReplayable = true;
    this.trailers = '';
    this.#collected.clear();
    this.#declaredLength = declaredLength;
    this.#isEmptyDeclared = isEmptyDeclared;
  }

  /** What has been collected. */
  get pieces(): readonly Buffer[] {
    return this.#collected.pieces;
  }

  collect(bytes: Buffer): void {
    this.received += bytes.length;
    this.#collected.add(bytes);
  }

  drop(): void {
    this.#collected.clear();
  }

  /** @param head without framing and empty line */
  sendRequest(stream: UpstreamStream, method: string, head: string): void {
    // Behind a length there is no place for trailers.
    if (this.trailers !== '') {
      stream.sendRequest(head, BODY_CHUNKED, this.pieces);
      return;
    }
    if (this.isComplete && this.received === 0) {
      const isAnnounced = this.#isEmptyDeclared || ANNOUNCES_EMPTY.has(method) || this.#declaredLength === BODY_CHUNKED;
      stream.sendRequest(head, isAnnounced ? 0 : NO_BODY, this.pieces);
      return;
    }
    stream.sendRequest(head, this.isComplete ? this.received : this.#declaredLength, this.pieces);
    if (!this.isComplete) {
      this.isReplayable = false;
      this.#collected.clear();
    }
  }

  /** A piece that arrives while the request is already on its way. True where no more may come now. */
  stream(stream: UpstreamStream, bytes: Buffer): boolean {
    this.received += bytes.length;
    stream.sendContent(bytes);
    return stream.isBackedUp;
  }
}
