/** One request of an HTTP/2 connection, as its handler sees it. */
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import {withoutRates, type ClientPatience} from '#src/core/patience.ts';
import {framingLine} from '#src/http1/encode.ts';
import {ANNOUNCE_BODY, ANNOUNCE_NOTHING, BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {ERROR} from '#src/http2/frames.ts';
import type {Stream} from '#src/http2/stream.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {withoutProof} from '#src/policy/websocket-handshake.ts';
import type {Http2Connection} from '#src/edge/http2-connection.ts';
import type {ConnectionMemo, ContentHandler, Downstream, TlsFacts} from '#src/edge/request-handler.ts';

export class Http2Stream implements Downstream {
  /** Null once the handler is done with the request. */
  handler: ContentHandler | null = null;
  readonly #connection: Http2Connection;
  readonly #stream: Stream<Http2Stream>;
  /** A response that has been begun and not handed to the session: its status, 0 for none, and its fields. */
  #status = 0;
  #lines = '';
  #isCommitted = false;

  constructor(connection: Http2Connection, stream: Stream<Http2Stream>) {
    this.#connection = connection;
    this.#stream = stream;
  }

  // What the client sends behind the head.

  /** The bytes are lent. */
  receive(bytes: Buffer, start: number, end: number): void {
    if (this.#isTunnelAwaited) this.handler?.onRequestFault('websocket_invalid');
    else this.handler?.onRequestBody(bytes, start, end);
  }

  receiveEnd(trailers: FieldBlock | null): void {
    if (this.#isTunnelAwaited) this.handler?.onRequestFault('websocket_invalid');
    else this.handler?.onRequestEnd(trailers);
  }

  /** RFC 8441 §5, RFC 6455 §4.1: a client sends nothing before the answer. To an application that gives another one it could be a request. */
  get #isTunnelAwaited(): boolean { return this.#stream.tunnel === 'awaited'; }

  // The handler's side.

  get peer(): ClientIdentity { return this.#connection.peer; }
  get listener(): ListenerSnapshot { return this.#connection.listener; }
  get tls(): TlsFacts { return this.#connection.tls; }
  get memo(): ConnectionMemo { return this.#connection.memo; }
  get protocol(): string { return 'HTTP/2'; }
  get bytesReceived(): number { return this.#stream.bytesReceived; }
  /** With what waits for the client's windows, like what waits in a socket: when a request is logged, it is on its way. */
  get bytesSent(): number { return this.#stream.bytesSent + this.#stream.queuedBytes; }
  get isBackedUp(): boolean { return this.#stream.isBackedUp; }
  get isResponseCommitted(): boolean { return this.#isCommitted; }

  setPatience(patience: ClientPatience): void {
    this.#stream.patience = patience;
  }

  sendContinue(): void {
    this.sendInterim(100, '', '');
  }

  sendInterim(status: number, _reason: string, fieldLines: string): void {
    this.#connection.session.sendHead(this.#stream, status, fieldLines);
    this.#connection.scheduleFlush();
  }

  /** The end of a stream delimits its response, and the connection goes on after whatever response (RFC 9113 §8.1). */
  beginResponse(status: number, _reason: string, fieldLines: string, bodyLength: number, announcedLength: number): void {
    const isLengthUnknown = bodyLength === BODY_CHUNKED || bodyLength === BODY_UNTIL_CLOSE || announcedLength === ANNOUNCE_NOTHING;
    this.#status = status;
    this.#lines = isLengthUnknown ? fieldLines : fieldLines + framingLine(announcedLength === ANNOUNCE_BODY ? bodyLength : announcedLength);
  }

  writeBody(bytes: Buffer, start: number, end: number): void {
    this.#sendHead();
    this.#connection.session.sendContent(this.#stream, bytes, start, end);
  }

  writeBodyText(latin1: string): void {
    const bytes = Buffer.from(latin1, 'latin1');
    this.writeBody(bytes, 0, bytes.length);
  }

  flush(): void {
    this.#sendHead();
    this.#connection.scheduleFlush();
  }

  endResponse(trailers = ''): void {
    this.#sendHead();
    this.#isCommitted = false;
    this.#connection.session.endMessage(this.#stream, trailers);
    this.#connection.scheduleFlush();
  }

  completeExchange(): void {
    this.handler = null;
  }

  dismiss(): void {
    this.#connection.dismiss();
  }

  abandonResponse(): void {
    this.#status = 0;
  }

  /** RFC 8441 §5: a success takes the place of the switch, and the proof that a key was understood that of a key. */
  beginTunnel(fieldLines: string, handler: ContentHandler): boolean {
    this.#stream.tunnel = 'open';
    this.setPatience(withoutRates(this.#stream.patience));
    this.handler = handler;
    this.#status = 200;
    this.#lines = withoutProof(fieldLines);
    this.flush();
    return true;
  }

  abort(): void {
    this.handler = null;
    this.#connection.session.resetStream(this.#stream, ERROR.INTERNAL_ERROR);
    this.#connection.scheduleFlush();
  }

  pauseRequestBody(): void {
    this.#connection.session.pauseBody(this.#stream);
  }

  resumeRequestBody(): void {
    this.#connection.session.resumeBody(this.#stream);
    this.#connection.scheduleFlush();
  }

  #sendHead(): void {
    if (this.#status === 0) return;
    this.#connection.session.sendHead(this.#stream, this.#status, this.#lines);
    this.#status = 0;
    this.#isCommitted = true;
  }
}
