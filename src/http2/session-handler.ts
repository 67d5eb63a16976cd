/** The seam between a server's session and what is done with its requests. */
import {BufferPool} from '#src/core/buffer-pool.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {ClientPatience} from '#src/core/patience.ts';
import {LIMITS} from '#src/core/limits.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {SlabPool} from '#src/http2/output-buffer.ts';
import {RequestAssembler} from '#src/http2/request-assembler.ts';
import type {SessionMemory} from '#src/http2/session.ts';
import type {StreamHandler} from '#src/http2/stream-handler.ts';
import type {Stream} from '#src/http2/stream.ts';
import {TrailerCheck} from '#src/http2/trailer-check.ts';

export interface SessionHandler<Context> extends StreamHandler<Context> {
  /** The head is lent: whatever is needed later is taken out before returning. Content follows where `head.bodyLength` is not 0. */
  onRequest(stream: Stream<Context>, head: RequestHead): void;
  /** A request that can be answered, but not served. */
  onInvalidRequest(stream: Stream<Context>, fault: FaultCode): void;
  /** The client, which could send, has used up its time (`stream.patience`). The stream goes on. */
  onBodyTimeout(stream: Stream<Context>): void;
  /** The client has filled a quarter of what is borne of some kind of glitch. Many connections could do that for ever. */
  onNotableGlitches(): void;
  /** Glitches that came together in any time, in quarters of what is borne at once. */
  onGlitchQuarters(count: number): void;
  /** The session ends because nothing was asked for too long. */
  onIdle(): void;
  /** A request was refused before it became a stream: nobody else will count it. */
  onRefusedRequest(fault: FaultCode): void;
}

export interface SessionTimeouts extends ClientPatience {
  /** For the client's preface, and for a block of fields or another frame that has begun. */
  readonly requestHeadMs: number;
  /** For a session without streams. */
  readonly keepAliveMs: number;
}

export interface SessionWorkspace extends SessionMemory {
  readonly requests: RequestAssembler;
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
