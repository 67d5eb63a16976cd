/** What a session tells of its streams, told to the handlers of their requests. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {ERROR, type ErrorCode} from '#src/http2/frames.ts';
import type {SessionHandler} from '#src/http2/session-handler.ts';
import type {Stream} from '#src/http2/stream.ts';
import type {Edge} from '#src/edge/edge.ts';
import type {Http2Connection} from '#src/edge/http2-connection.ts';
import {Http2Stream} from '#src/edge/http2-stream.ts';
import type {RequestHandler} from '#src/edge/request-handler.ts';

export class Http2Requests implements SessionHandler<Http2Stream> {
  readonly #edge: Edge;
  readonly #connection: Http2Connection;

  constructor(edge: Edge, connection: Http2Connection) {
    this.#edge = edge;
    this.#connection = connection;
  }

  onRequest(stream: Stream<Http2Stream>, head: RequestHead): void {
    this.#open(stream).onRequest(head);
  }

  onInvalidRequest(stream: Stream<Http2Stream>, fault: FaultCode): void {
    this.#open(stream).onInvalidRequest(fault);
  }

  onData(stream: Stream<Http2Stream>, bytes: Buffer, start: number, end: number): void {
    stream.context?.receive(bytes, start, end);
  }

  onEnd(stream: Stream<Http2Stream>, trailers: FieldBlock | null): void {
    stream.context?.receiveEnd(trailers);
  }

  onBodyTimeout(stream: Stream<Http2Stream>): void {
    stream.context?.handler?.onRequestFault('request_body_timeout');
  }

  onReset(stream: Stream<Http2Stream>, _code: number, fault: FaultCode): void {
    const downstream = stream.context;
    const handler = downstream?.handler ?? null;
    if (downstream !== null) downstream.handler = null;
    if (handler !== null) handler.onDownstreamClosed(fault);
    // Its request is done and logged, but the client has not let the response out. A fault of the connection is counted as such.
    else if (fault !== 'client_gone' && !this.#connection.session.isFinished) this.#edge.countFault(fault);
  }

  onBackedUp(stream: Stream<Http2Stream>): void {
    stream.context?.handler?.onDownstreamBackedUp();
  }

  onDrain(stream: Stream<Http2Stream>): void {
    stream.context?.handler?.onDownstreamDrain();
  }

  onRefusedRequest(fault: FaultCode): void {
    this.#edge.countFault(fault);
  }

  onIdle(): void {
    this.#edge.countFault('client_idle');
  }

  onNotableGlitches(): void {
    this.#edge.offences.record(this.#connection.peer, LIMITS.offencePointsOfGlitches);
  }

  onGlitchQuarters(count: number): void {
    this.#edge.offences.recordGlitches(this.#connection.peer, count);
  }

  onConnectionError(code: ErrorCode, fault: FaultCode): void {
    this.#edge.countFault(fault);
    // A client that only says nothing is no attacker: it may have lost its network.
    if (code !== ERROR.SETTINGS_TIMEOUT && fault !== 'request_head_timeout') this.#edge.offences.record(this.#connection.peer, LIMITS.offencePointsOfConnection);
  }

  #open(stream: Stream<Http2Stream>): RequestHandler {
    const downstream = new Http2Stream(this.#connection, stream);
    const handler = this.#edge.acquireHandler(downstream);
    downstream.handler = handler;
    stream.context = downstream;
    return handler;
  }
}
