/**
 * One HTTP/1.1 connection of a client: hands one request after the other to a handler, and writes the responses in the same order. What
 * it waits for has a deadline here. Framing towards the client is decided here and nowhere else.
 */
import type {Socket} from 'node:net';
import type {PlaceAccount} from '#src/balance/fair-places.ts';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {withoutRates, type ClientPatience} from '#src/core/patience.ts';
import {CONTINUE_RESPONSE, UPGRADE_LINES, connectionLine, reasonPhrase, responseFramingLine, statusLine} from '#src/http1/encode.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {Holding, type Holder} from '#src/transport/held-memory.ts';
import {isReset} from '#src/edge/accepted-sockets.ts';
import {ClientPace} from '#src/edge/client-pace.ts';
import type {Phase, Waiting} from '#src/edge/connection-phase.ts';
import type {Edge} from '#src/edge/edge.ts';
import {RequestReader, type RequestSink} from '#src/edge/request-reader.ts';
import {ResponseWriter} from '#src/edge/response-writer.ts';
import {awaitTurn, restUntilTurn, type TurnTaker} from '#src/edge/turn.ts';
import {createMemo, type ConnectionMemo, type ConnectionFacts, type ContentHandler, type Downstream, type RequestHandler, type TlsFacts} from '#src/edge/request-handler.ts';

export class ClientConnection extends Deadlined implements Downstream, TurnTaker, RequestSink, Holder {
  readonly peer: ClientIdentity;
  readonly listener: ListenerSnapshot;
  readonly tls: TlsFacts | null;
  readonly memo: ConnectionMemo;
  bytesReceived = 0;
  readonly #edge: Edge;
  readonly #socket: Socket;
  readonly #reader: RequestReader;
  readonly #writer: ResponseWriter;
  readonly #pace: ClientPace;
  readonly #holding = new Holding(this);
  #phase: Phase = 'between';
  #waiting: Waiting = 'first_request';
  #handler: ContentHandler | null = null;
  #isHttp10 = false;
  #isPersistent = true;
  /** The body's remaining length can be thrown away to keep the connection. */
  #isBodySkippable = false;
  #lingerBytes = 0;

  constructor(edge: Edge, socket: Socket, {peer, listener, tls, place, time}: ConnectionFacts) {
    super();
    this.#edge = edge;
    this.#socket = socket;
    this.#reader = new RequestReader(edge, socket, this.#holding, this);
    this.#writer = new ResponseWriter(socket, tls !== null, edge.buffers);
    this.#pace = new ClientPace(edge.timeouts);
    this.peer = peer;
    this.listener = listener;
    this.tls = tls;
    this.memo = createMemo(place, time);
    edge.wheel.arm(this, edge.clock.nowMs + edge.timeouts.requestHeadMs);
    edge.connections.add(this);
  }

  get protocol(): string { return this.#isHttp10 ? 'HTTP/1.0' : 'HTTP/1.1'; }
  get heldBytes(): number { return this.#writer.backlogBytes + this.#reader.keptBytes; }
  get heldFor(): ClientIdentity { return this.peer; }
  get heldAccount(): PlaceAccount | null { return this.memo.place.buffers; }

  // The socket's events. They arrive through the listener's `attach…`.
  /** @param length of what was read into `edge.readBuffer` */
  onLentData(length: number): void {
    switch (this.#phase) {
      case 'tunnel':
        this.bytesReceived += length;
        this.#handler?.onRequestBody(this.#edge.readBuffer, 0, length);
        break;
      case 'lingering':
        this.#lingerBytes += length;
        if (this.#lingerBytes > LIMITS.lingerBytesMax) this.abort();
        break;
      default: this.#reader.read(this.#edge.readBuffer, length);
    }
  }

  onDrain(): void {
    if (this.#waiting === 'drain') {
      this.#waiting = 'none';
      this.#pace.restReader(this.#edge.clock.nowMs, this.#writer.takeDrained());
      this.#waitForBody();
    }
    if (this.#phase === 'unread') this.#becomeIdle();
    else this.#handler?.onDownstreamDrain();
  }

  /** The client has ended its side. It cannot be told from one that is gone, and is treated like it (as nginx does). */
  onEnd(): void {
    if (this.#phase === 'exchange' || this.#phase === 'tunnel') this.lose('client_gone');
  }

  onClose(): void {
    if (this.#phase === 'closed') return;
    const handler = this.#handler;
    this.#handler = null;
    this.#phase = 'closed';
    this.#reader.end();
    this.#edge.held.drop(this.#holding);
    this.#edge.wheel.disarm(this);
    this.#edge.connections.delete(this);
    handler?.onDownstreamClosed('client_gone');
  }

  lose(fault: FaultCode): void {
    const handler = this.#handler;
    this.abort();
    handler?.onDownstreamClosed(fault);
  }

  onDeadline(): void {
    const waiting = this.#waiting;
    this.#waiting = 'none';
    if (waiting === 'head') this.onHeadFault('request_head_timeout');
    else if (waiting === 'drain') this.lose('client_stalled');
    else if (waiting === 'absence') {
      if (isReset(this.#socket)) this.lose('client_gone');
      else this.#watchAbsence();
    }
    else if (waiting === 'body' && this.#handler !== null) this.#handler.onRequestFault('request_body_timeout');
    else if (waiting !== 'none') {
      if (waiting === 'first_request' || waiting === 'keep_alive') this.#edge.countFault('client_idle');
      this.abort();
    }
  }

  /** Of a connection that was not read before its turn, nobody knows yet whether it is idle. */
  endIfIdle(): void {
    if (!this.#reader.isIdle || this.#reader.isResting) return;
    if (this.memo.turn?.isDue === true) this.#beginReading();
    else this.#linger();
  }

  setPatience(patience: ClientPatience): void {
    this.#pace.patience = patience;
  }

  // Reading requests.

  onHeadBegin(): void {
    this.#wait('head', this.#edge.clock.nowMs + this.#edge.timeouts.requestHeadMs);
  }

  mustQueue({host}: RequestHead): boolean {
    if (!awaitTurn(this.#edge, this, host)) return false;
    this.#waiting = 'none';
    return true;
  }

  onTurn(): boolean {
    const {isResting} = this.#reader;
    if (isResting) this.#beginReading();
    else if (this.#reader.isQueued) this.#becomeIdle();
    return isResting;
  }

  onHead(head: RequestHead, length: number): void {
    const handler = this.#openExchange();
    this.bytesReceived = length;
    this.#isHttp10 = head.minorVersion === 0;
    this.#isPersistent = head.isPersistent;
    // Whether the body comes after a refusal of `Expect` is up to the client (RFC 9110 §10.1.1): the next bytes could be either.
    this.#isBodySkippable = head.bodyLength >= 0 && head.bodyLength <= LIMITS.pipelineBytesMax && head.expect === '';
    handler.onRequest(head);
  }

  onHeadFault(fault: FaultCode): void {
    const handler = this.#openExchange();
    this.#reader.dropHead();
    this.#isPersistent = false;
    handler.onInvalidRequest(fault);
  }

  #openExchange(): RequestHandler {
    this.#pace.begin(this.#edge.timeouts);
    this.#phase = 'exchange';
    this.#waiting = 'none';
    this.bytesReceived = 0;
    this.#writer.reset();
    const handler = this.#edge.acquireHandler(this);
    this.#handler = handler;
    return handler;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#handler?.onRequestBody(bytes, start, end);
  }

  onBodyRead(length: number): void {
    this.bytesReceived += length;
    this.#pace.gainBody(this.#edge.clock.nowMs, length);
    if (this.#isReadingBody) this.#waitForBody();
  }

  onBodyEnd(trailers: FieldBlock | null): void {
    if (this.#waiting === 'body') this.#waiting = 'none';
    if (this.#phase === 'exchange') this.#handler?.onRequestEnd(trailers);
    else if (this.#phase === 'surplus') this.#becomeIdle();
  }

  onBodyFault(fault: FaultCode): void {
    this.#waiting = 'none';
    if (this.#handler === null) this.abort();
    else this.#handler.onRequestFault(fault);
  }

  get #isReadingBody(): boolean {
    return (this.#phase === 'exchange' || this.#phase === 'surplus') && !this.#reader.isBodyComplete;
  }

  /** A client that does not read has a deadline already, which nothing that it sends may move. */
  #waitForBody(): void {
    if (this.#reader.isPaused) return this.#watchAbsence();
    if (!this.#isReadingBody) return;
    const deadlineMs = this.#pace.awaitBody(this.#edge.clock.nowMs);
    if (this.#waiting !== 'drain') this.#wait('body', deadlineMs);
  }

  pauseRequestBody(): void {
    if (this.#reader.isPaused) return;
    this.#pace.restBody(this.#edge.clock.nowMs);
    this.#reader.pause();
    if (this.#waiting === 'body') this.#waiting = 'none';
    this.#watchAbsence();
  }

  resumeRequestBody(): void {
    this.#reader.resume();
    this.#waitForBody();
  }

  /** Whoever is read or written to shows that he is gone. */
  #watchAbsence(): void {
    if (this.#reader.isPaused && this.#waiting === 'none') this.#wait('absence', this.#edge.clock.nowMs + LIMITS.absenceMs);
  }

  // Writing the response.

  get bytesSent(): number { return this.#writer.bytesSent; }
  get isBackedUp(): boolean { return this.#writer.isBackedUp; }
  get isResponseCommitted(): boolean { return this.#writer.isCommitted; }

  sendContinue(): void {
    if (!this.#isHttp10) this.#writer.writeInterim(CONTINUE_RESPONSE);
  }

  /** RFC 9110 §15.2: an HTTP/1.0 client knows no interim responses. */
  sendInterim(status: number, reason: string, fieldLines: string): void {
    if (!this.#isHttp10) this.#writer.writeInterim(`${statusLine(status, reason)}${fieldLines}\r\n`);
  }

  beginResponse(status: number, reason: string, fieldLines: string, bodyLength: number, announcedLength: number, isReusable: boolean): void {
    const isHttp10 = this.#isHttp10;
    const isOpenEnded = bodyLength < 0;
    if (!isReusable || (isOpenEnded && isHttp10) || this.#edge.isDraining || (!this.#reader.isBodyComplete && !this.#isBodySkippable)) this.#isPersistent = false;
    const framing = responseFramingLine(bodyLength, announcedLength, isHttp10);
    this.#writer.begin(`${statusLine(status, reason)}${fieldLines}${framing}${connectionLine(this.#isPersistent, isHttp10)}\r\n`, isOpenEnded && !isHttp10);
  }

  beginTunnel(fieldLines: string, handler: ContentHandler): boolean {
    // RFC 6455 §4.1: a client sends nothing before the answer. What comes all the same may be meant as another request.
    if (this.#reader.hasMore) return false;
    this.#phase = 'tunnel';
    this.#pace.patience = withoutRates(this.#pace.patience);
    this.#handler = handler;
    this.#isPersistent = false;
    this.#writer.begin(`${statusLine(101, reasonPhrase(101))}${fieldLines}${UPGRADE_LINES}\r\n`, false);
    this.#writer.end();
    return true;
  }

  writeBody(bytes: Buffer, start: number, end: number): void { this.#writer.writeBody(bytes, start, end); }
  writeBodyText(latin1: string): void { this.#writer.writeBodyText(latin1); }
  abandonResponse(): void { this.#writer.abandon(); }
  dismiss(): void { this.#isPersistent = false; }

  flush(): void {
    this.#writer.flush();
    if (this.#writer.backlogBytes < LIMITS.heldBlockBytes) return;
    this.#edge.held.watch(this.#holding);
    if (this.isBackedUp && this.#waiting !== 'drain') this.#wait('drain', this.#pace.awaitReader(this.#edge.clock.nowMs));
  }

  endResponse(trailers = ''): void {
    this.#writer.end(trailers);
    this.flush();
  }

  completeExchange(): void {
    this.#handler = null;
    if (this.#phase !== 'exchange' && this.#phase !== 'tunnel') return;
    if (!this.#isPersistent) this.#linger();
    else if (this.#reader.isBodyComplete) this.#becomeIdle();
    else {
      this.#phase = 'surplus';
      this.resumeRequestBody();
    }
  }

  #becomeIdle(): void {
    if (this.isBackedUp) {
      // Small requests make large answers: a client that does not read them would fill the memory with them.
      this.#phase = 'unread';
      this.pauseRequestBody();
      this.#wait('drain', this.#pace.awaitReader(this.#edge.clock.nowMs));
      return;
    }
    this.#phase = 'between';
    if (!this.#reader.hasMore && this.#edge.isDraining) this.#linger();
    else if (!this.#reader.hasMore && restUntilTurn(this.#edge, this)) {
      this.#waiting = 'none';
      this.#reader.rest();
    } else this.#beginReading();
  }

  #beginReading(): void {
    const {clock, isDraining, timeouts} = this.#edge;
    this.#wait('keep_alive', clock.nowMs + (isDraining ? LIMITS.lingerMs : timeouts.keepAliveMs));
    this.#reader.next();
  }

  /**
   * Closing at once while the client still sends makes the kernel answer with a reset, which can destroy the response that is on its way
   * (RFC 9112 §9.6): so this side ends, and what comes is thrown away for a moment.
   */
  #linger(): void {
    this.#phase = 'lingering';
    this.#reader.end();
    // Until the client has read the response, it has the time that every client has for that.
    const patienceMs = this.#writer.backlogBytes === 0 ? LIMITS.lingerMs : this.#pace.patience.responseIdleMs;
    this.#wait('linger', this.#edge.clock.nowMs + patienceMs);
    this.#socket.end();
    this.#reader.resume();
  }

  abort(): void {
    this.#handler = null;
    this.#writer.destroy(this.tls !== null);
    this.onClose();
  }

  #wait(waiting: Waiting, deadlineMs: number): void {
    this.#waiting = waiting;
    this.#edge.wheel.arm(this, deadlineMs);
  }
}
