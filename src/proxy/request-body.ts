/**
 * The body of a request on its way upstream. Up to the route's buffer it is collected before an upstream is dialled, so that a slow
 * client never occupies an application's worker; what is larger streams with Torwart's own framing.
 */
import type {ClientKey, PlaceAccount} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {copyBytes} from '#src/core/bytes.ts';
import {LIMITS} from '#src/core/limits.ts';
import {PieceList} from '#src/core/piece-list.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {Holding, type HeldMemory, type Holder} from '#src/transport/held-memory.ts';
import {NO_BODY, type UpstreamStream} from '#src/upstream/upstream-stream.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

/** Methods whose requests say that they have no body (RFC 9110 §8.6). */
const ANNOUNCES_EMPTY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * A body up to this size is kept as the text that it leaves as, in one write with its head. Memory of its own outside of V8's heap costs more than
 * the copy, and makes garbage collections long.
 */
export const TEXT_BYTES_MAX = LIMITS.singleWriteBytesMax / 2;

export class RequestBody implements Holder {
  /** Bytes of content so far. */
  received = 0;
  isComplete = true;
  /** Everything that was received is still here, so that it can be sent again. */
  isReplayable = true;
  /** Lines, once it is complete. */
  trailers = '';
  readonly #held: HeldMemory;
  readonly #holding = new Holding(this);
  readonly #facts: Pick<RequestFacts, 'client' | 'site'>;
  readonly #collected = new PieceList();
  /** That the request is on its way over. */
  #stream: UpstreamStream | null = null;
  #declaredLength = 0;
  #isEmptyDeclared = false;
  /** It is kept as text. */
  #isText = false;

  constructor(held: HeldMemory, facts: Pick<RequestFacts, 'client' | 'site'>) {
    this.#held = held;
    this.#facts = facts;
  }

  /** @param declaredLength a length or `BODY_CHUNKED` */
  begin(declaredLength: number, isEmptyDeclared: boolean): void {
    this.received = 0;
    this.isComplete = declaredLength === 0;
    this.isReplayable = true;
    this.trailers = '';
    this.#collected.clear();
    this.#declaredLength = declaredLength;
    this.#isEmptyDeclared = isEmptyDeclared;
    this.#isText = declaredLength > 0 && declaredLength <= TEXT_BYTES_MAX;
  }

  /** What has been collected, copied. */
  join(): Buffer {
    return this.#collected.join();
  }

  /** What is collected for sending it again is what the stream has not sent yet, mostly: it is here once. */
  get heldBytes(): number {
    return Math.max(this.isReplayable ? this.received : 0, this.#stream?.backlogBytes ?? 0);
  }

  get heldFor(): ClientKey {
    const {client} = this.#facts;
    if (client === null) throw new Error('an admitted request has a client');
    return client;
  }

  get heldAccount(): PlaceAccount | null {
    return this.#facts.site?.customer.places.buffers ?? null;
  }

  /** The bytes are lent. The fault says that too much is held already. */
  collect(bytes: Buffer, start: number, end: number): FaultCode | null {
    this.received += end - start;
    this.#collected.add(this.#isText ? bytes.toString('latin1', start, end) : copyBytes(bytes, start, end));
    return this.received < LIMITS.heldBlockBytes ? null : this.#held.grow(this.#holding);
  }

  drop(): void {
    this.#collected.clear();
    this.#stream = null;
    this.#held.drop(this.#holding);
  }

  /** @param head without framing and empty line */
  sendRequest(stream: UpstreamStream, method: string, head: string): void {
    const {pieces} = this.#collected;
    this.#stream = stream;
    // Behind a length there is no place for trailers.
    if (this.trailers !== '') {
      stream.sendRequest(head, BODY_CHUNKED, pieces);
      return;
    }
    if (this.isComplete && this.received === 0) {
      const isAnnounced = this.#isEmptyDeclared || ANNOUNCES_EMPTY.has(method) || this.#declaredLength === BODY_CHUNKED;
      stream.sendRequest(head, isAnnounced ? 0 : NO_BODY, pieces);
      return;
    }
    stream.sendRequest(head, this.isComplete ? this.received : this.#declaredLength, pieces);
    if (!this.isComplete) {
      this.isReplayable = false;
      this.#collected.clear();
    }
  }

  /** A piece that arrives while the request is already on its way. The bytes are lent. True where no more may come now. */
  stream(stream: UpstreamStream, bytes: Buffer, start: number, end: number): boolean {
    this.received += end - start;
    stream.sendContent(bytes, start, end);
    if (stream.backlogBytes >= LIMITS.heldBlockBytes) this.#held.watch(this.#holding);
    return stream.isBackedUp;
  }
}
