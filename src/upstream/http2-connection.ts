/**
 * One HTTP/2 connection to an endpoint, shared by the requests of one customer's pool: joins the session, which does no I/O, to its socket
 * and to its requests. What an application does wrong on one stream ends that stream; what it does wrong on the connection ends all of them.
 */
import type {Socket} from 'node:net';
import {TLSSocket} from 'node:tls';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ClientSession, type ClientHandler} from '#src/http2/client-session.ts';
import {ERROR, type ErrorCode} from '#src/http2/frames.ts';
import type {Stream} from '#src/http2/stream.ts';
import {dial, explainFailure} from '#src/upstream/dial.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {Http2Request} from '#src/upstream/http2-request.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

export class Http2Connection extends Deadlined implements ClientHandler<Http2Request> {
  readonly endpoint: UpstreamEndpoint;
  readonly session: ClientSession<Http2Request>;
  /** It has answered a request. */
  hasServed = false;
  bytesReceived = 0;
  readonly #upstream: Upstream;
  readonly #socket: Socket;
  /** Requests that have not begun: the server's settings are not here, or it takes no more at once. */
  readonly #waiting = new Set<Http2Request>();
  /** Those that the current read has brought something for. */
  readonly #touched = new Set<Http2Request>();
  readonly #onWritten = (error?: Error | null): void => {
    // What of it a socket that has failed may still refer to, nobody knows.
    if (error === undefined || error === null) this.session.onOutputWritten();
  };
  #isConnected = false;
  #isClosed = false;
  #isFlushScheduled = false;
  #isReadPaused = false;
  #lastReceivedMs: number;
  #resets = 0;
  #lingerDeadlineMs = Number.NaN;
  #closeFault: FaultCode | null = null;
  #isFaultTold = false;
  #isRetired: boolean;

  private constructor(upstream: Upstream, endpoint: UpstreamEndpoint, socket: Socket) {
    super();
    this.#upstream = upstream;
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#lastReceivedMs = upstream.clock.nowMs;
    this.#isRetired = endpoint.isRetired;
    this.session = new ClientSession(upstream.http2Workspace, this, upstream.clock.nowMs);
  }

  /** A connection with room for one more request, or a new one. */
  static acquire(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Connection | FaultCode {
    const open = endpoint.http2.find((connection) => connection.#hasRoom);
    if (open === undefined) return Http2Connection.#open(upstream, endpoint);
    upstream.count('upstreamConnectionsReused');
    return open;
  }

  static #open(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Connection | FaultCode {
    // The callback reaches the connection through this variable: the socket exists first.
    let connection: Http2Connection | null = null;
    const socket = dial(upstream, endpoint, {buffer: upstream.readBuffer, callback: (length) => connection?.onRead(length) ?? false});
    if (typeof socket === 'string') return socket;
    endpoint.slot.openConnection();
    connection = new Http2Connection(upstream, endpoint, socket);
    connection.#attach();
    endpoint.http2.push(connection);
    upstream.count('upstreamConnectionsOpened');
    return connection;
  }

  /** Before it has said what it takes, a server takes what it took last time. */
  get #hasRoom(): boolean {
    const {session} = this;
    const streamsMax = session.isReady ? session.streamsMax : this.endpoint.http2StreamsMax;
    return !session.isLeaving && session.streamCount + this.#waiting.size < streamsMax;
  }

  #attach(): void {
    this.#socket.on(this.endpoint.tls === null ? 'connect' : 'secureConnect', () => this.#guard(() => this.#onConnect()));
    this.#socket.on('drain', () => this.#guard(() => this.flush()));
    this.#socket.on('end', () => this.#guard(() => this.#onClose()));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => { this.#closeFault ??= explainFailure(this.#upstream, this.endpoint, error, this.#isConnected); });
    this.#socket.on('close', () => this.#guard(() => this.#onClose()));
  }

  /** Runs an event. An exception is a bug: it costs this connection, and not the thread with all the others. */
  #guard(act: () => void): void {
    this.#upstream.clock.refresh();
    try {
      act();
    } catch (error) {
      this.#upstream.reportBug(error);
      this.lose('internal');
    }
  }

  // Requests.

  add(request: Http2Request): void {
    this.#waiting.add(request);
    this.scheduleFlush();
  }

  /** The request is over: answered, failed or given up. */
  release(request: Http2Request, stream: Stream<Http2Request> | null): void {
    this.#waiting.delete(request);
    this.#touched.delete(request);
    if (stream !== null && !stream.isClosed) {
      this.session.resetStream(stream, ERROR.CANCEL);
      if (++this.#resets >= LIMITS.h2UpstreamResetsMax) this.retire();
    }
    // Nobody waits for what has not begun.
    if (this.session.isOpening && this.#waiting.size === 0) this.destroy();
    else this.scheduleFlush();
  }

  /** Takes no more requests. Those that there are go on. */
  retire(): void {
    this.#isRetired = true;
    this.#forget();
    this.scheduleFlush();
  }

  /** A request has waited in vain: if nothing at all has come for some time, the connection may be dead. */
  suspect(): void {
    if (this.#upstream.clock.nowMs - this.#lastReceivedMs >= LIMITS.h2UpstreamSilenceMs) this.retire();
  }

  #openWaiting(): void {
    for (const request of this.#waiting) {
      if (!this.session.hasRoom) break;
      this.#waiting.delete(request);
      request.open();
    }
    // Now that it is known what the server takes, the others may find room elsewhere.
    if (this.#waiting.size > 0 && !this.session.isOpening && !this.session.hasRoom) this.#moveWaiting();
    if (this.#isRetired && this.#waiting.size === 0) this.session.retire();
  }

  #moveWaiting(): void {
    const requests = [...this.#waiting];
    this.#waiting.clear();
    for (const request of requests) request.move();
  }

  // The socket's events.

  #onConnect(): void {
    if (this.#isClosed) return;
    if (this.#socket instanceof TLSSocket && this.#socket.alpnProtocol !== 'h2') {
      this.#upstream.reportTlsFailure(this.endpoint, 'the server does not speak h2');
      this.lose('upstream_tls_failed');
      return;
    }
    this.#isConnected = true;
    this.flush();
  }

  onRead(length: number): boolean {
    this.#upstream.clock.refresh();
    try {
      this.#read(length);
    } catch (error) {
      this.#upstream.reportBug(error);
      this.lose('internal');
    }
    this.#upstream.timeMeter.chargeEvent(this.endpoint.time, length);
    return true;
  }

  #read(length: number): void {
    const {clock, readBuffer} = this.#upstream;
    if (this.#isClosed || !this.session.isReading) return;
    this.bytesReceived += length;
    this.#lastReceivedMs = clock.nowMs;
    this.session.receive(readBuffer.subarray(0, length), clock.nowMs);
    for (const request of this.#touched) {
      this.#touched.delete(request);
      request.onReadEnd();
    }
    if (this.session.isReady) this.endpoint.http2StreamsMax = Math.max(1, this.session.streamsMax);
    this.scheduleFlush();
  }

  // The session's events.

  onInterim({context}: Stream<Http2Request>, head: ResponseHead): void {
    if (context === null) return;
    this.#touched.add(context);
    context.onInterim(head);
  }

  onResponse({context}: Stream<Http2Request>, head: ResponseHead): void {
    if (context === null) return;
    this.hasServed = true;
    this.#touched.add(context);
    context.onResponse(head);
  }

  onData({context}: Stream<Http2Request>, bytes: Buffer, start: number, end: number): void {
    if (context === null) return;
    this.#touched.add(context);
    context.onData(bytes, start, end);
  }

  onEnd({context}: Stream<Http2Request>, trailers: FieldBlock | null): void {
    context?.onEnd(trailers);
  }

  onReset({context}: Stream<Http2Request>, code: number, fault: FaultCode): void {
    if (this.session.isFinished) this.#isFaultTold = true;
    context?.onReset(code, fault);
  }

  onBackedUp(): void {
    // Streams are backed up by themselves alone.
  }

  onDrain({context}: Stream<Http2Request>): void {
    context?.onDrain();
  }

  onConnectionError(_code: ErrorCode, fault: FaultCode): void {
    if (!this.#isFaultTold && this.#waiting.size === 0) this.#upstream.countFault(fault);
    this.#closeFault = fault;
    for (const request of this.#waiting) request.fail(fault);
  }

  // Writing.

  /** Everything of one turn of the event loop leaves in one write. */
  scheduleFlush(): void {
    if (this.#isFlushScheduled || this.#isClosed) return;
    this.#isFlushScheduled = true;
    this.#upstream.scheduleFlush(this);
  }

  flush(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed || !this.#isConnected) return;
    this.#openWaiting();
    while (this.#socket.writableLength < this.#socket.writableHighWaterMark) {
      const output = this.session.takeOutput();
      if (output === null) break;
      this.#socket.write(output, this.#onWritten);
    }
    if (this.session.isFinished) this.#finish();
    else {
      this.#adjustReading();
      this.#awaitDeadline();
    }
  }

  /** The last words leave if they can, and nothing more is read. */
  #finish(): void {
    this.#forget();
    if (!Number.isNaN(this.#lingerDeadlineMs)) return;
    this.#lingerDeadlineMs = this.#upstream.clock.nowMs + LIMITS.lingerMs;
    this.#upstream.wheel.arm(this, this.#lingerDeadlineMs);
    this.#socket.destroySoon();
  }

  #adjustReading(): void {
    if (this.session.isOutputFull === this.#isReadPaused) return;
    this.#isReadPaused = this.session.isOutputFull;
    if (this.#isReadPaused) this.#socket.pause();
    else this.#socket.resume();
  }

  // Time, and the end.

  #awaitDeadline(): void {
    const deadlineMs = this.session.nextDeadlineMs(this.#upstream.keepAliveMs);
    if (deadlineMs === Number.POSITIVE_INFINITY) this.#upstream.wheel.disarm(this);
    else this.#upstream.wheel.arm(this, deadlineMs);
  }

  onDeadline(nowMs: number): void {
    if (this.session.isFinished) {
      this.destroy();
      return;
    }
    this.session.onTick(nowMs, this.#upstream.keepAliveMs);
    this.flush();
  }

  lose(fault: FaultCode): void {
    this.#closeFault = fault;
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  #forget(): void {
    const at = this.endpoint.http2.indexOf(this);
    if (at >= 0) this.endpoint.http2.splice(at, 1);
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#socket.destroy();
    this.#upstream.wheel.disarm(this);
    this.#upstream.count('upstreamConnectionsClosed');
    this.endpoint.slot.closeConnection();
    const fault = this.#closeFault ?? (this.#isConnected ? 'upstream_closed' : 'connect_failed');
    this.session.lose(fault);
    for (const request of this.#waiting) request.fail(fault);
  }
}
