/**
 * One HTTP/2 connection to an endpoint, shared by the requests of one customer's pool. The codec is Node's: to applications HTTP/2 is not
 * the hot path. What a peer does wrong on one stream ends that stream; what it does wrong on the connection ends all of them.
 */
import {connect, constants, type ClientHttp2Session, type ClientHttp2Stream} from 'node:http2';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {dial, isTlsFailure} from '#src/upstream/dial.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

const OPTIONS = {
  settings: {
    enablePush: false,
    headerTableSize: LIMITS.h2HeaderTableBytes,
    initialWindowSize: LIMITS.h2StreamWindowBytes,
    maxFrameSize: LIMITS.h2FrameBytesMax,
    maxHeaderListSize: LIMITS.responseHeadBytesMax,
  },
  maxHeaderListPairs: LIMITS.responseFieldsMax,
  maxReservedRemoteStreams: 0,
  peerMaxConcurrentStreams: LIMITS.h2UpstreamStreamsMax,
  /** A client that repeats a field is answered by the application, as over HTTP/1.1; Node would throw. */
  strictSingleValueFields: false,
} as const;

export class Http2Session extends Deadlined {
  readonly endpoint: UpstreamEndpoint;
  readonly #upstream: Upstream;
  readonly #session: ClientHttp2Session;
  isConnected = false;
  /** Why it ended is TLS. */
  isTlsBroken = false;
  /** It has answered a request. */
  hasServed = false;
  /** The peer answers no stream with a higher number (GOAWAY). */
  lastStreamId = Infinity;
  #streamsMax: number = LIMITS.h2UpstreamStreamsMax;
  #streams = 0;
  /** It takes no more streams, and ends with the last of them. */
  #isEnding = false;
  #isClosed = false;

  private constructor(upstream: Upstream, endpoint: UpstreamEndpoint, session: ClientHttp2Session) {
    super();
    this.#upstream = upstream;
    this.endpoint = endpoint;
    this.#session = session;
  }

  /** A session with room for one more stream, which is taken: `release` gives it back. */
  static acquire(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Session | FaultCode {
    const open = endpoint.http2Sessions.find((session) => session.#hasRoom);
    const session = open ?? Http2Session.#open(upstream, endpoint);
    if (typeof session === 'string') return session;
    if (open !== undefined) upstream.count('upstreamConnectionsReused');
    session.#streams++;
    upstream.wheel.disarm(session);
    return session;
  }

  static #open(upstream: Upstream, endpoint: UpstreamEndpoint): Http2Session | FaultCode {
    if (!endpoint.slot.tryOpenConnection(endpoint.pool.connectionsMax)) return 'endpoint_saturated';
    const socket = dial(upstream, endpoint);
    if (typeof socket === 'string') {
      endpoint.slot.closeConnection();
      return socket;
    }
    // Its own listeners come first: a stream hears of its end before the session does, and asks why.
    const onError = (error: NodeJS.ErrnoException): void => session.#onError(error);
    socket.on('error', onError);
    const session = new Http2Session(upstream, endpoint, connect(`http://${endpoint.text}`, {...OPTIONS, createConnection: () => socket}));
    session.#attach();
    endpoint.http2Sessions.push(session);
    upstream.count('upstreamConnectionsOpened');
    return session;
  }

  get #hasRoom(): boolean {
    return this.#streams < this.#streamsMax && !this.#session.closed && !this.#session.destroyed;
  }

  #attach(): void {
    const session = this.#session;
    session.on('connect', () => this.#onConnect());
    session.on('remoteSettings', ({maxConcurrentStreams}) => {
      // With none at all its requests wait, and their deadline ends them.
      this.#streamsMax = Math.min(LIMITS.h2UpstreamStreamsMax, Math.max(1, maxConcurrentStreams ?? LIMITS.h2UpstreamStreamsMax));
    });
    session.on('goaway', (_code, lastStreamId) => {
      this.lastStreamId = lastStreamId;
      this.end();
    });
    session.on('error', ignoreError);
    session.on('close', () => this.#onClose());
  }

  /** Requests follow this event. (To destroy the socket before it would end the process: node::http2 asserts that there is one.) */
  #onConnect(): void {
    if (this.#session.destroyed) return;
    if (this.endpoint.tls !== null && this.#session.alpnProtocol !== 'h2') {
      this.#onError(new Error('the server does not speak h2'));
      this.#session.destroy();
      return;
    }
    this.isConnected = true;
    this.#session.setLocalWindowSize(LIMITS.h2ConnectionWindowBytes);
  }

  /** Names and values in turn. Sent as soon as the connection is there. */
  request(fields: readonly string[], endStream: boolean): ClientHttp2Stream {
    return this.#session.request(fields, {endStream});
  }

  /** A stream is over. */
  release(): void {
    this.#streams--;
    if (this.#streams > 0 || this.#isClosed) return;
    if (this.#isEnding) this.#session.destroy();
    else this.#upstream.wheel.arm(this, this.#upstream.clock.nowMs + this.#upstream.keepAliveMs);
  }

  /** Takes no more streams. Those that there are go on. */
  end(): void {
    this.#isEnding = true;
    const at = this.endpoint.http2Sessions.indexOf(this);
    if (at >= 0) this.endpoint.http2Sessions.splice(at, 1);
    if (this.#streams === 0 && !this.#isClosed) this.#session.destroy();
  }

  /** It has been idle for long. */
  onDeadline(): void {
    if (this.#streams === 0) this.end();
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#upstream.countFault('descriptors_exhausted');
    if (this.endpoint.tls === null || !isTlsFailure(error, this.isConnected)) return;
    this.isTlsBroken = true;
    this.#upstream.reportTlsFailure(this.endpoint, error);
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.end();
    this.#upstream.wheel.disarm(this);
    this.#upstream.count('upstreamConnectionsClosed');
    this.endpoint.slot.closeConnection();
  }
}

function ignoreError(): void {
  // The socket has told it, and the close event follows.
}

export const {NGHTTP2_CANCEL: CANCEL, NGHTTP2_REFUSED_STREAM: REFUSED_STREAM, NGHTTP2_PROTOCOL_ERROR: PROTOCOL_ERROR, NGHTTP2_FLAG_END_STREAM: FLAG_END_STREAM} = constants;
