/** One request over HTTP/2: a stream of a connection that others share. Until it may begin it waits here, with what is to be sent. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {copyBytes} from '#src/core/bytes.ts';
import {LIMITS} from '#src/core/limits.ts';
import {PieceList, toBytes, type Piece} from '#src/core/piece-list.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ERROR} from '#src/http2/frames.ts';
import type {Stream} from '#src/http2/stream.ts';
import {FAULT_OF_WAITING} from '#src/upstream/connection-phase.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {Http2Connection} from '#src/upstream/http2-connection.ts';
import {toHttp2Lines} from '#src/upstream/http2-head.ts';
import {TimedRequest} from '#src/upstream/timed-request.ts';
import {tellEnd, type ResponseHandler, type UpstreamStream} from '#src/upstream/upstream-stream.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

type Phase = 'connecting' | 'head' | 'body' | 'closed';

export class Http2Request extends TimedRequest implements UpstreamStream {
  #connection: Http2Connection;
  #stream: Stream<Http2Request> | null = null;
  #phase: Phase = 'connecting';
  #handler: ResponseHandler | null = null;
  #method = '';
  /** What is to be sent when the stream begins. */
  #lines = '';
  readonly #waitingContent = new PieceList();
  #pendingBytes = 0;
  #trailers = '';
  #interims = 0;
  #isPaused = false;
  /** How often it was moved to another connection before it began. */
  #moves = 0;
  /** What its connection had received when it began. */
  #receivedBefore = 0;
  /** The server has said that it did nothing with the request (RFC 9113 §8.7), and that it ends the connection. */
  #isRefused = false;
  #isSentAway = false;

  private constructor(upstream: Upstream, connection: Http2Connection) {
    super(upstream);
    this.#connection = connection;
  }

  static acquire(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Request | FaultCode {
    if (!endpoint.slot.tryBeginRequest(endpoint.pool.connectionsMax)) return 'endpoint_saturated';
    const connection = Http2Connection.acquire(upstream, endpoint);
    if (typeof connection !== 'string') return new Http2Request(upstream, connection);
    endpoint.slot.endRequest();
    return connection;
  }

  get isConnected(): boolean { return this.#connection.session.isReady; }
  get isRequestBegun(): boolean { return this.#stream !== null && !this.#isRefused; }
  get bytesReceived(): number { return this.#stream?.bytesReceived ?? 0; }
  protected get isReadPaused(): boolean { return this.#isPaused; }

  /** The connection ended just when this request was on its way: because of the server's word, or without another sign of life. */
  get isReused(): boolean {
    return this.#connection.hasServed && (this.#isSentAway || (!this.#isRefused && this.#connection.bytesReceived === this.#receivedBefore));
  }

  get isBackedUp(): boolean {
    return this.#stream === null ? this.#pendingBytes >= LIMITS.h2StreamQueueBytesMax : this.#stream.isBackedUp;
  }

  get backlogBytes(): number { return this.#stream === null ? this.#pendingBytes : this.#stream.queuedBytes; }

  // The request.

  begin(handler: ResponseHandler, method: string, timeouts: RouteTimeoutsSnapshot): void {
    this.#handler = handler;
    this.#method = method;
    this.beginTiming(timeouts);
  }

  sendRequest(head: string, length: number, pieces: readonly Piece[]): void {
    this.#lines = toHttp2Lines(head, length, this.#connection.endpoint.tls === null ? 'http' : 'https');
    for (const piece of pieces) this.#keep(piece);
    this.waitFor('connect');
    this.#connection.add(this);
  }

  sendContent(bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    if (stream === null) {
      this.#keep(copyBytes(bytes, start, end));
      return;
    }
    this.#connection.session.sendContent(stream, bytes, start, end);
    this.#connection.scheduleFlush();
    this.#waitIfBackedUp();
  }

  #keep(piece: Piece): void {
    this.#waitingContent.add(piece);
    this.#pendingBytes += piece.length;
  }

  #waitIfBackedUp(): void {
    if (!this.isBackedUp) return;
    if (this.#phase === 'body') this.waitForBody();
    else if (this.#phase === 'head') this.waitFor('drain');
  }

  endRequest(trailers = ''): void {
    const stream = this.#stream;
    this.isRequestEnded = true;
    this.#trailers = trailers;
    if (stream === null) return;
    this.#connection.session.endMessage(stream, trailers);
    this.#connection.scheduleFlush();
    if (this.#phase === 'head') this.waitFor('head');
    else if (this.#phase === 'body') this.waitForBody();
  }

  /** Its turn has come: the connection has room for it. */
  open(): void {
    const {session} = this.#connection;
    const wasBackedUp = this.isBackedUp;
    const stream = session.beginRequest(this, this.#method, this.#lines);
    this.#stream = stream;
    this.#phase = 'head';
    this.#receivedBefore = this.#connection.bytesReceived;
    for (const piece of this.#waitingContent.pieces) session.sendContent(stream, toBytes(piece), 0, piece.length);
    if (this.isRequestEnded) session.endMessage(stream, this.#trailers);
    this.#lines = '';
    this.#waitingContent.clear();
    this.waitWithinRequest();
    this.#tell((handler) => handler.onUpstreamConnected());
    if (wasBackedUp && !this.isBackedUp) this.#tell((handler) => handler.onUpstreamDrain());
  }

  /** Its connection takes no more requests, and this one has not begun. */
  move(): void {
    const connection = this.#moves++ < LIMITS.h2UpstreamMovesMax ? Http2Connection.acquire(this.upstream, this.#connection.endpoint) : 'upstream_refused';
    if (typeof connection === 'string') {
      this.fail(connection);
      return;
    }
    this.#connection = connection;
    connection.add(this);
  }

  // The response. An exception is a bug: it costs this request, and neither its siblings nor the thread.

  onInterim(head: ResponseHead): void {
    if (head.status === 101) this.fail('upstream_upgrade_unasked');
    else if (++this.#interims > LIMITS.interimResponsesMax) this.fail('upstream_head_invalid');
    else if (head.status === 103) this.#tell((handler) => handler.onInterimResponse(head));
  }

  onResponse(head: ResponseHead): void {
    this.#phase = 'body';
    this.#tell((handler) => handler.onResponse(head));
    if (this.#handler !== null) this.waitForBody();
  }

  onData(bytes: Buffer, start: number, end: number): void {
    try {
      this.#handler?.onResponseBody(bytes, start, end);
    } catch (error) {
      this.#onBug(error);
    }
  }

  /** One read is over. */
  onReadEnd(): void {
    if (this.#phase === 'body') this.waitForBody();
    this.#tell((handler) => handler.onUpstreamReadEnd());
  }

  onEnd(trailers: FieldBlock | null): void {
    tellEnd(this.#detach(), null, this.upstream.reportBug, trailers);
  }

  onDrain(): void {
    if (this.#phase === 'body') this.waitForBody();
    else if (this.waiting === 'drain') this.waitWithinRequest();
    this.#tell((handler) => handler.onUpstreamDrain());
  }

  /** `code` as the server sent it, or of the connection's end. */
  onReset(code: number, fault: FaultCode): void {
    this.#isSentAway = fault === 'upstream_refused';
    this.#isRefused = this.#isSentAway || (fault === 'upstream_closed' && code === ERROR.REFUSED_STREAM);
    if (this.#phase !== 'body') this.fail(this.#isRefused ? 'upstream_refused' : fault);
    else this.fail(fault === 'upstream_closed' || this.#isRefused ? 'upstream_truncated' : fault);
  }

  // Its own ends.

  pause(): void {
    this.#isPaused = true;
    if (this.#stream !== null) this.#connection.session.pauseBody(this.#stream);
    if (this.#phase === 'body') this.waitForBody();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#stream !== null) this.#connection.session.resumeBody(this.#stream);
    this.#connection.scheduleFlush();
    if (this.#phase === 'body') this.waitForBody();
  }

  /** Who has waited in vain may have had a deadline of its own: then nobody else would notice that the connection is dead. */
  cancel(): void {
    if (this.waiting === 'head') this.#connection.suspect();
    this.#detach();
  }

  lose(fault: FaultCode): void {
    this.fail(fault);
  }

  fail(fault: FaultCode): void {
    tellEnd(this.#detach(), fault, this.upstream.reportBug);
  }

  onDeadline(): void {
    const {waiting} = this;
    if (waiting === 'none' || waiting === 'keep_alive' || waiting === 'linger') return;
    this.#connection.suspect();
    this.fail(FAULT_OF_WAITING[waiting]);
  }

  #detach(): ResponseHandler | null {
    const handler = this.#handler;
    if (this.#phase === 'closed') return null;
    this.#handler = null;
    this.#phase = 'closed';
    this.#waitingContent.clear();
    this.upstream.wheel.disarm(this);
    this.#connection.endpoint.slot.endRequest();
    this.#connection.release(this, this.#stream);
    return handler;
  }

  #tell(act: (handler: ResponseHandler) => void): void {
    if (this.#handler === null) return;
    try {
      act(this.#handler);
    } catch (error) {
      this.#onBug(error);
    }
  }

  #onBug(error: unknown): void {
    this.upstream.reportBug(error);
    this.fail('internal');
  }
}
