/**
 * The receiving side of an HTTP/1.1 connection of a client: finds the requests in what is read from it. Bytes go in; heads and bodies come out to a
 * sink, which answers them and says when the next one may come. What is here before that is kept, up to a bound at which the client is no longer read.
 * How long anything may take is the sink's.
 */
import type {Socket} from 'node:net';
import {copyBytes} from '#src/core/bytes.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BodyDecoder, type BodySink} from '#src/http1/body-decoder.ts';
import {INCOMPLETE, INVALID, type FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {Holding} from '#src/transport/held-memory.ts';
import {ReadValve} from '#src/transport/read-valve.ts';
import type {Reading} from '#src/edge/connection-phase.ts';
import type {Edge} from '#src/edge/edge.ts';
import {Stash} from '#src/edge/stash.ts';

/** Each of these may lead to a call of the reader: `next`, where the request has been answered meanwhile, or `end`. */
export interface RequestSink extends BodySink {
  /** Part of a head is here. */
  onHeadBegin(): void;
  /** A head is here. True: it must wait for its customer's turn; after that it is read again by `next`. */
  mustQueue(head: RequestHead): boolean;
  /** @param length of the head, which is lent */
  onHead(head: RequestHead, length: number): void;
  /** What is here is no head, or more of one than may be kept. Answered after `dropHead`. */
  onHeadFault(fault: FaultCode): void;
  /** So much of the body has been read, framing included. `onBody` has had its content. */
  onBodyRead(length: number): void;
  onBodyEnd(trailers: FieldBlock | null): void;
  onBodyFault(fault: FaultCode): void;
  /** The pipeline is full: calls `pause`. */
  pauseRequestBody(): void;
}

export class RequestReader {
  readonly #head: RequestHead;
  readonly #sink: RequestSink;
  readonly #valve: ReadValve;
  readonly #stash: Stash;
  readonly #body = new BodyDecoder();
  #state: Reading = 'idle';
  #isReadingHeads = false;

  constructor({requestHead, held}: Pick<Edge, 'requestHead' | 'held'>, socket: Socket, holding: Holding, sink: RequestSink) {
    this.#head = requestHead;
    this.#sink = sink;
    this.#valve = new ReadValve(socket);
    this.#stash = new Stash(held, holding);
  }

  get isIdle(): boolean { return this.#state === 'idle'; }
  get isQueued(): boolean { return this.#state === 'queued'; }
  get isPaused(): boolean { return this.#valve.isShut; }
  /** Not read before its customer's turn. */
  get isResting(): boolean { return this.#state === 'idle' && this.#valve.isShut; }
  /** Of the request that came last. */
  get isBodyComplete(): boolean { return this.#body.isComplete; }
  /** There is more than has been used, or may be. */
  get hasMore(): boolean { return this.#isReadingHeads || !this.#stash.isEmpty; }
  get keptBytes(): number { return this.#stash.length; }

  /** @param bytes lent, and overwritten by the next read: whatever is kept is copied */
  read(bytes: Buffer, length: number): void {
    switch (this.#state) {
      case 'idle': this.#readNext(bytes, 0, length); break;
      case 'head': {
        const fresh = bytes.subarray(0, length), head = this.#stash.takeWith(fresh);
        this.#readHeads(head, 0, head.length, fresh);
        break;
      }
      case 'queued': this.#keep(bytes, 0, length); break;
      case 'request': this.#readRequest(bytes, length); break;
      case 'ended':
    }
  }

  /** The request has been answered and read to its end: another one may come, or is here already. */
  next(): void {
    this.#state = 'idle';
    // First, because the next request may have a body that has not come yet.
    this.#valve.open();
    const stash = this.#isReadingHeads ? null : this.#stash.take();
    if (stash !== null) this.#readHeads(stash, 0, stash.length);
  }

  /** In place of `next`, which comes with the customer's turn. */
  rest(): void {
    this.#state = 'idle';
    this.#valve.shut();
  }

  pause(): void { this.#valve.shut(); }
  resume(): void { this.#valve.open(); }

  /** What is here of a head is answered as it is; no body belongs to it. */
  dropHead(): void {
    this.#state = 'request';
    this.#stash.clear();
    this.#body.begin(0);
  }

  /** No more requests. */
  end(): void {
    this.#state = 'ended';
    this.#stash.clear();
  }

  /** More has come than the reader may have rested for: what one read brings over TLS comes in parts, and a body brings the request after it. */
  #readNext(bytes: Buffer, start: number, end: number): void {
    this.#valve.open();
    this.#readHeads(bytes, start, end);
  }

  /**
   * @param bytes lent, or kept from before
   * @param fresh the newest piece of `bytes`, where part of a head was here before
   */
  #readHeads(bytes: Buffer, start: number, end: number, fresh: Buffer = bytes): void {
    const head = this.#head, sink = this.#sink;
    let at = start;
    this.#isReadingHeads = true;
    while (at < end && (this.#state === 'idle' || this.#state === 'head')) {
      // A head can only have become complete, or wrong in another way than before, with a line end or at its limit.
      const isWorthParsing = this.#state === 'idle' || fresh.includes(0x0a) || fresh.includes(0x0d) || end - at > LIMITS.requestHeadBytesMax / 2;
      const headEnd = isWorthParsing ? head.parse(bytes, at, end) : INCOMPLETE;
      if (headEnd === INCOMPLETE || headEnd === INVALID) {
        const fault = headEnd === INVALID ? head.fault : this.#stash.keep(copyBytes(bytes, at, end));
        if (fault !== null) sink.onHeadFault(fault);
        else if (this.#state === 'idle') {
          this.#state = 'head';
          sink.onHeadBegin();
        }
        break;
      }
      if (sink.mustQueue(head)) {
        this.#state = 'queued';
        break;
      }
      this.#state = 'request';
      this.#body.begin(head.bodyLength);
      sink.onHead(head, headEnd - at);
      at = this.#state === 'request' && !this.#body.isComplete ? this.#readBody(bytes, headEnd, end) : headEnd;
    }
    this.#isReadingHeads = false;
    if (at < end && (this.#state === 'request' || this.#state === 'queued')) this.#keep(bytes, at, end);
  }

  /** Bytes while a request is being answered: its body, then further requests. */
  #readRequest(bytes: Buffer, length: number): void {
    const at = this.#body.isComplete ? 0 : this.#readBody(bytes, 0, length);
    if (at === length) return;
    if (this.#state === 'idle') this.#readNext(bytes, at, length);
    else if (this.#state === 'request') this.#keep(bytes, at, length);
  }

  /** Reads what is here of the request's body. Returns the position after that. */
  #readBody(bytes: Buffer, start: number, end: number): number {
    const at = this.#body.decode(bytes, start, end, this.#sink);
    this.#sink.onBodyRead(at - start);
    // It has been answered meanwhile.
    if (this.#state !== 'request') return at;
    if (this.#body.isInvalid) {
      this.#sink.onBodyFault('chunk_invalid');
      return end;
    }
    if (this.#body.isComplete) this.#sink.onBodyEnd(this.#body.trailers);
    return at;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const fault = this.#stash.append(bytes.subarray(start, end), this.#state === 'queued');
    if (fault !== null || this.#stash.length >= LIMITS.pipelineBytesMax) this.#sink.pauseRequestBody();
  }
}
