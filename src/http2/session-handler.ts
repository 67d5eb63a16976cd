/** The seam between a session and what is done with its requests. */
import {BufferPool} from '#src/core/buffer-pool.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import type {ErrorCode} from '#src/http2/frames.ts';
import {makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {SlabPool} from '#src/http2/output-buffer.ts';
import {RequestAssembler} from '#src/http2/request-assembler.ts';
import type {Stream} from '#src/http2/stream.ts';
import {TrailerCheck} from '#src/http2/trailer-check.ts';

/** `Context` is what the handler keeps with a stream (`stream.context`). Every call may answer, reset or pause the stream at once. */
export interface SessionHandler<Context> {
  /** The head is lent: whatever is needed later is taken out before returning. Content follows where `head.bodyLength` is not 0. */
  onRequest(stream: Stream<Context>, head: RequestHead): void;
  /** A request that can be answered, but not served. */
  onInvalidRequest(stream: Stream<Context>, fault: FaultCode): void;
  /** Content. The bytes do not change afterwards, provided that those do not which the session received. */
  onData(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void;
  /** The content is complete. */
  onEnd(stream: Stream<Context>): void;
  /** The client, which could send, has been silent for `stream.requestBodyIdleMs`. The stream goes on. */
  onBodyTimeout(stream: Stream<Context>): void;
  /** The stream is over before its time: reset by the client or because of it, or gone with its connection. `code` may be any number. */
  onReset(stream: Stream<Context>, code: number, fault: FaultCode): void;
  /** Stop producing, as if `stream.isBackedUp` had been true after a write: other streams have too much waiting. */
  onBackedUp(stream: Stream<Context>): void;
  /** Go on producing. */
  onDrain(stream: Stream<Context>): void;
  /** A request was refused before it became a stream: nobody else will count it. */
  onRefusedRequest(fault: FaultCode): void;
  /** The connection has failed. GOAWAY is in the output; every stream has been told. */
  onConnectionError(code: ErrorCode, fault: FaultCode): void;
}

export interface SessionTimeouts {
  /** For the client's preface, and for a block of fields or another frame that has begun. */
  readonly requestHeadMs: number;
  readonly requestBodyIdleMs: number;
  readonly responseIdleMs: number;
  /** For a session without streams. */
  readonly keepAliveMs: number;
}

/** Memory that the sessions of a thread use in turn: none of it is held between two calls. */
export interface SessionWorkspace {
  readonly slabs: SlabPool;
  readonly content: BufferPool;
  readonly scratch: Buffer;
  readonly requests: RequestAssembler;
  readonly trailers: TrailerCheck;
}

export function makeSessionWorkspace(): SessionWorkspace {
  return {slabs: new SlabPool(), content: new BufferPool(LIMITS.h2ContentBufferBytes, LIMITS.h2IdleContentBuffersMax), scratch: makeHuffmanScratch(), requests: new RequestAssembler(new RequestHead()), trailers: new TrailerCheck()};
}

export interface SessionOptions {
  /** Of the listener: requests for another one are refused. */
  readonly scheme: 'http' | 'https';
  readonly timeouts: SessionTimeouts;
  readonly workspace: SessionWorkspace;
}
