/** One request over HTTP/2: a stream of a session that others share. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {readResponseFields, toRequestFields} from '#src/upstream/http2-head.ts';
import {CANCEL, FLAG_END_STREAM, Http2Session, PROTOCOL_ERROR, REFUSED_STREAM} from '#src/upstream/http2-session.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import type {ResponseHandler, UpstreamStream} from '#src/upstream/upstream-stream.ts';

type RawStream = ReturnType<Http2Session['request']>;

type Phase = 'connecting' | 'head' | 'body' | 'closed';

/** As in `UpstreamConnection`. */
type Waiting = 'none' | 'connect' | 'drain' | 'head' | 'body';

const FAULT_OF_WAITING = {
  connect: 'connect_timeout', drain: 'response_head_timeout', head: 'response_head_timeout', body: 'response_idle_timeout',
} as const satisfies Partial<Record<Waiting, FaultCode>>;

export class Http2Request extends Deadlined implements UpstreamStream {
  bytesReceived = 0;
  readonly #upstream: Upstream;
  readonly #session: Http2Session;
  #stream: RawStream | null = null;
  #phase: Phase;
  #waiting: Waiting = 'none';
  #handler: ResponseHandler | null = null;
  #timeouts: RouteTimeoutsSnapshot | null = null;
  #bodyIdleMs = 0;
  #method = '';
  #interims = 0;
  #isRequestEnded = false;
  /** The peer has said that it did nothing with the request (RFC 9113 §8.7). */
  #isRefused = false;
  /** Of the content, `BODY_CHUNKED` where no length was announced. */
  #bytesLeft = 0;
  #isEndSeen = false;

  private constructor(upstream: Upstream, session: Http2Session) {
    super();
    this.#upstream = upstream;
    this.#session = session;
    this.#phase = session.isConnected ? 'head' : 'connecting';
  }

  static acquire(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Request | FaultCode {
    const session = Http2Session.acquire(upstream, endpoint);
    return typeof session === 'string' ? session : new Http2Request(upstream, session);
  }

  get isConnected(): boolean {
    return this.#session.isConnected;
  }

  get isRequestBegun(): boolean {
    return this.#session.isConnected && !this.#isRefused;
  }

  /** A server that ends a connection says which requests it has not begun: without its word, none is sent twice (RFC 9113 §8.7). */
  get isReused(): boolean {
    return this.#isRefused && this.#session.hasServed && this.#session.lastStreamId !== Infinity;
  }

  get isBackedUp(): boolean {
    const stream = this.#stream;
    return stream !== null && stream.writableLength >= stream.writableHighWaterMark;
  }

  begin(handler: ResponseHandler, method: string, timeouts: RouteTimeoutsSnapshot): void {
    this.#handler = handler;
    this.#method = method;
    this.#timeouts = timeouts;
    this.#bodyIdleMs = timeouts.responseIdleMs;
    this.#session.endpoint.slot.beginRequest();
    if (this.#phase === 'connecting') this.#wait('connect', timeouts.connectMs);
  }

  sendRequest(head: string, length: number, pieces: readonly Buffer[]): void {
    const isBodiless = length <= 0 && length !== BODY_CHUNKED;
    const fields = toRequestFields(head, length, this.#session.endpoint.tls === null ? 'http' : 'https');
    const stream = this.#session.request(fields, isBodiless);
    this.#stream = stream;
    this.#attach(stream);
    stream.cork();
    for (const piece of pieces) stream.write(piece);
    stream.uncork();
    this.#waitIfBackedUp();
  }

  #attach(stream: RawStream): void {
    this.#watchEnd(stream);
    stream.once('ready', () => this.#guard(() => this.#onReady()));
    stream.on('headers', (_headers, _flags, fields) => this.#guard(() => this.#onInterim(fields)));
    stream.on('response', (_headers, flags, fields) => this.#guard(() => this.#onResponse(fields, (flags & FLAG_END_STREAM) !== 0)));
    stream.on('data', (bytes: Buffer) => this.#guard(() => this.#onData(bytes)));
    stream.on('end', () => this.#guard(() => this.#onEnd()));
    stream.on('drain', () => this.#guard(() => this.#onDrain()));
    stream.on('error', ignoreError);
    stream.on('close', () => this.#guard(() => this.#onClose(stream)));
  }

  /**
   * To its reader, Node shows a reset without an error (RFC 9113 §8.1) as the end of the response, however much of it is missing. The two
   * can be told only when they come: a stream that was reset is closed by then.
   */
  #watchEnd(stream: RawStream): void {
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null && !stream.closed) this.#isEndSeen = true;
      return push(chunk, encoding);
    };
  }

  /** An exception is a bug: it costs this request, and not the thread with all the others. */
  #guard(act: () => void): void {
    this.#upstream.clock.refresh();
    try {
      act();
    } catch (error) {
      this.#upstream.reportBug(error);
      this.#fail('internal');
    }
  }

  sendContent(bytes: Buffer): void {
    this.#stream?.write(bytes);
    this.#waitIfBackedUp();
  }

  #waitIfBackedUp(): void {
    if (this.isBackedUp && this.#phase === 'head') this.#waitFor('drain');
  }

  endRequest(): void {
    this.#isRequestEnded = true;
    this.#stream?.end();
    if (this.#phase === 'head') this.#waitFor('head');
  }

  setBodyIdle(ms: number): void {
    this.#bodyIdleMs = ms;
  }

  pause(): void {
    if (this.#phase === 'body') this.#waiting = 'none';
    this.#stream?.pause();
  }

  resume(): void {
    if (this.#phase === 'body') this.#waitFor('body');
    this.#stream?.resume();
  }

  cancel(): void {
    this.#stream?.close(CANCEL);
    this.#detach();
  }

  #onReady(): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'head';
    this.#waitWithinRequest();
    this.#handler?.onUpstreamConnected();
  }

  /** 103 may be forwarded; 101 is not of HTTP/2 (RFC 9113 §8.6), and all others are dropped. */
  #onInterim(fields: readonly string[]): void {
    if (this.#phase !== 'head') return;
    const {responseHead: head} = this.#upstream;
    if (!readResponseFields(head, fields, this.#method, false)) this.#fail(head.fault);
    else if (head.status === 101) this.#fail('upstream_upgrade_unasked');
    else if (++this.#interims > LIMITS.interimResponsesMax) this.#fail('upstream_head_invalid');
    else if (head.status === 103) this.#handler?.onInterimResponse(head);
  }

  #onResponse(fields: readonly string[], isEnd: boolean): void {
    if (this.#phase !== 'head') return;
    const {responseHead: head} = this.#upstream;
    if (!readResponseFields(head, fields, this.#method, isEnd)) {
      this.#fail(head.fault);
      return;
    }
    this.#phase = 'body';
    this.#bytesLeft = head.bodyLength;
    this.#session.hasServed = true;
    this.#handler?.onResponse(head);
    // The head may say how long it takes, and the handler may have given up.
    if (this.#handler !== null) this.#waitFor('body');
  }

  #onData(bytes: Buffer): void {
    if (this.#phase !== 'body') return;
    this.bytesReceived += bytes.length;
    if (this.#bytesLeft !== BODY_CHUNKED) {
      this.#bytesLeft -= bytes.length;
      if (this.#bytesLeft < 0) {
        this.#fail('upstream_surplus');
        return;
      }
    }
    if (this.#stream?.isPaused() !== true) this.#waitFor('body');
    this.#handler?.onResponseBody(bytes, 0, bytes.length);
    this.#handler?.onUpstreamReadEnd();
  }

  #onEnd(): void {
    if (this.#phase !== 'body' || !this.#isEndSeen) return;
    if (this.#bytesLeft > 0) {
      this.#fail('upstream_truncated');
      return;
    }
    // A server may answer before it has the whole request: what is left of that is of no use.
    if (!this.#isRequestEnded) this.#stream?.close(CANCEL);
    this.#detach()?.onResponseEnd();
  }

  #onDrain(): void {
    if (this.#waiting === 'drain') this.#waitWithinRequest();
    this.#handler?.onUpstreamDrain();
  }

  #onClose({id, rstCode}: RawStream): void {
    const {isConnected, isTlsBroken, lastStreamId} = this.#session;
    this.#isRefused = rstCode === REFUSED_STREAM || (id !== undefined && id > lastStreamId);
    if (this.#phase === 'body') this.#fail('upstream_truncated');
    else if (isTlsBroken) this.#fail('upstream_tls_failed');
    else if (!isConnected) this.#fail('connect_failed');
    else if (this.#isRefused) this.#fail('upstream_refused');
    else this.#fail(rstCode === PROTOCOL_ERROR ? 'upstream_head_invalid' : 'upstream_closed');
  }

  #fail(fault: FaultCode): void {
    this.#stream?.close(CANCEL);
    this.#detach()?.onUpstreamFault(fault);
  }

  #detach(): ResponseHandler | null {
    const handler = this.#handler;
    if (handler === null) return null;
    this.#handler = null;
    this.#phase = 'closed';
    this.#upstream.wheel.disarm(this);
    this.#session.endpoint.slot.endRequest();
    this.#session.release();
    return handler;
  }

  /** A connection on which a request has waited in vain may be dead: the next requests take another one. */
  onDeadline(): void {
    const waiting = this.#waiting;
    if (waiting === 'none') return;
    this.#session.end();
    this.#fail(FAULT_OF_WAITING[waiting]);
  }

  /** While the client is the slower one, its own deadline counts: an upload may take as long as it goes on. */
  #waitWithinRequest(): void {
    if (this.#isRequestEnded) this.#waitFor('head');
    else if (this.isBackedUp) this.#waitFor('drain');
    else this.#waiting = 'none';
  }

  #waitFor(waiting: 'drain' | 'head' | 'body'): void {
    const timeouts = this.#timeouts;
    if (timeouts !== null) this.#wait(waiting, waiting === 'head' ? timeouts.responseHeadMs : waiting === 'body' ? this.#bodyIdleMs : timeouts.responseIdleMs);
  }

  #wait(waiting: Waiting, timeoutMs: number): void {
    this.#waiting = waiting;
    this.#upstream.wheel.arm(this, this.#upstream.clock.nowMs + timeoutMs);
  }
}

function ignoreError(): void {
  // The close event follows and does what there is to do.
}
