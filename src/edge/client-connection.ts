/**
 * One HTTP/1.1 connection of a client: reads requests one after the other, hands each to a handler, and writes the responses in the
 * same order. Framing towards the client is decided here and nowhere else.
 */
import type {Socket} from 'node:net';
import type {PlaceAccount} from '#src/balance/fair-places.ts';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {copyBytes} from '#src/core/bytes.ts';
import {LIMITS} from '#src/core/limits.ts';
import {withoutRates, type ClientPatience} from '#src/core/patience.ts';
import {BodyDecoder, type BodySink} from '#src/http1/body-decoder.ts';
import {CONTINUE_RESPONSE, UPGRADE_LINES, connectionLine, reasonPhrase, responseFramingLine, statusLine} from '#src/http1/encode.ts';
import {INCOMPLETE, INVALID} from '#src/http1/field-block.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {Holding, type Holder} from '#src/transport/held-memory.ts';
import {ReadValve} from '#src/transport/read-valve.ts';
import {isReset} from '#src/edge/accepted-sockets.ts';
import {ClientPace} from '#src/edge/client-pace.ts';
import type {Phase, Waiting} from '#src/edge/connection-phase.ts';
import type {Edge} from '#src/edge/edge.ts';
import {ResponseWriter} from '#src/edge/response-writer.ts';
import {Stash} from '#src/edge/stash.ts';
import {awaitTurn, restUntilTurn, type TurnTaker} from '#src/edge/turn.ts';
import {createMemo, type ConnectionMemo, type ConnectionFacts, type ContentHandler, type Downstream, type RequestHandler, type TlsFacts} from '#src/edge/request-handler.ts';

export class ClientConnection extends Deadlined implements Downstream, TurnTaker, BodySink, Holder {
  readonly peer: ClientIdentity;
  readonly listener: ListenerSnapshot;
  readonly tls: TlsFacts | null;
  readonly memo: ConnectionMemo;
  bytesReceived = 0;
  readonly #edge: Edge;
  readonly #socket: Socket;
  readonly #valve: ReadValve;
  readonly #writer: ResponseWriter;
  readonly #holding = new Holding(this);
  readonly #body = new BodyDecoder();
  #phase: Phase = 'idle';
  #waiting: Waiting = 'first_request';
  #handler: ContentHandler | null = null;
  readonly #stash: Stash;
  #isReadingHeads = false;
  #isHttp10 = false;
  #isPersistent = true;
  /** The body's remaining length can be thrown away to keep the connection. */
  #isBodySkippable = false;
  #lingerBytes = 0;
  readonly #pace: ClientPace;

  constructor(edge: Edge, socket: Socket, {peer, listener, tls, place, time}: ConnectionFacts) {
    super();
    this.#edge = edge;
    this.#socket = socket;
    this.#valve = new ReadValve(socket);
    this.#writer = new ResponseWriter(socket, tls !== null, edge.buffers);
    this.#stash = new Stash(edge.held, this.#holding);
    this.peer = peer;
    this.listener = listener;
    this.tls = tls;
    this.memo = createMemo(place, time);
    this.#pace = new ClientPace(edge.timeouts);
    edge.wheel.arm(this, edge.clock.nowMs + edge.timeouts.requestHeadMs);
    edge.connections.add(this);
  }

  get protocol(): string { return this.#isHttp10 ? 'HTTP/1.0' : 'HTTP/1.1'; }
  get heldBytes(): number { return this.#writer.backlogBytes + this.#stash.length; }
  get heldFor(): ClientIdentity { return this.peer; }
  get heldAccount(): PlaceAccount | null { return this.memo.place.buffers; }

  // The socket's events. They arrive through the listener's `attach…`.
  /** @param length of what was read into `edge.readBuffer`, which the next read overwrites: whatever is kept is copied */
  onLentData(length: number): void {
    const {readBuffer} = this.#edge;
    switch (this.#phase) {
      case 'idle':
        // What one read brings over TLS may come in parts.
        this.#valve.open();
        this.#readHeads(readBuffer, 0, length);
        break;
      case 'head': {
        const chunk = readBuffer.subarray(0, length), bytes = this.#stash.takeWith(chunk);
        this.#readHeads(bytes, 0, bytes.length, chunk);
        break;
      }
      case 'queued':
      case 'exchange':
      case 'surplus':
      case 'unread': this.#readDuringExchange(readBuffer, length); break;
      case 'tunnel':
        this.bytesReceived += length;
        this.#handler?.onRequestBody(readBuffer, 0, length);
        break;
      case 'lingering':
        this.#lingerBytes += length;
        if (this.#lingerBytes > LIMITS.lingerBytesMax) this.abort();
        break;
      case 'closed':
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
  onEnd(): void { if (this.#phase === 'exchange' || this.#phase === 'tunnel') this.lose('client_gone'); }

  onClose(): void {
    if (this.#phase === 'closed') return;
    const handler = this.#handler;
    this.#handler = null;
    this.#phase = 'closed';
    this.#stash.clear();
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
    if (waiting === 'head') this.#refuse('request_head_timeout');
    else if (waiting === 'drain') this.lose('client_stalled');
    else if (waiting === 'absence') {
      if (isReset(this.#socket)) this.lose('client_gone');
      else this.#watchAbsence();
    }
    else if (waiting === 'body' && this.#handler !== null) this.#handler.onRequestFault('request_body_timeout');
    else if (waiting !== 'none') this.abort();
  }

  /** Of a connection that was not read before its turn, nobody knows yet whether it is idle. */
  endIfIdle(): void {
    if (this.#phase !== 'idle' || this.#isResting) return;
    if (this.memo.turn?.isDue === true) this.#beginReading();
    else this.#linger();
  }

  setPatience(patience: ClientPatience): void { this.#pace.patience = patience; }

  // Reading requests.

  /**
   * @param bytes lent, or kept from before
   * @param fresh the newest piece of `bytes`, where part of a head was here before
   */
  #readHeads(bytes: Buffer, start: number, end: number, fresh: Buffer = bytes): void {
    const {requestHead: head, clock, timeouts} = this.#edge;
    let at = start;
    this.#isReadingHeads = true;
    while (at < end && (this.#phase === 'idle' || this.#phase === 'head')) {
      // A head can only have become complete, or wrong in another way than before, with a line end or at its limit.
      const isWorthParsing = this.#phase === 'idle' || fresh.includes(0x0a) || fresh.includes(0x0d) || end - at > LIMITS.requestHeadBytesMax / 2;
      const headEnd = isWorthParsing ? head.parse(bytes, at, end) : INCOMPLETE;
      if (headEnd === INCOMPLETE || headEnd === INVALID) {
        const fault = headEnd === INVALID ? head.fault : this.#stash.keep(copyBytes(bytes, at, end));
        if (fault !== null) this.#refuse(fault);
        else if (this.#phase === 'idle') {
          this.#phase = 'head';
          this.#wait('head', clock.nowMs + timeouts.requestHeadMs);
        }
        break;
      }
      if (awaitTurn(this.#edge, this, head.host)) {
        this.#phase = 'queued';
        this.#waiting = 'none';
        break;
      }
      this.#beginExchange(headEnd - at);
      at = this.#isExchanging && !this.#body.isComplete ? this.#readBody(bytes, headEnd, end) : headEnd;
    }
    this.#isReadingHeads = false;
    if (at < end && this.#keepsMore) this.#keepForLater(bytes.subarray(at, end));
  }

  onTurn(): boolean {
    const isResting = this.#isResting;
    if (isResting) this.#beginReading();
    else if (this.#phase === 'queued') this.#becomeIdle();
    return isResting;
  }

  get #isResting(): boolean { return this.#phase === 'idle' && this.#valve.isShut; }
  get #keepsMore(): boolean { return this.#isExchanging || this.#phase === 'unread' || this.#phase === 'queued'; }
  get #isExchanging(): boolean { return this.#phase === 'exchange' || this.#phase === 'surplus'; }

  #beginExchange(headBytes: number): void {
    const {requestHead: head} = this.#edge;
    const handler = this.#openExchange();
    this.bytesReceived = headBytes;
    this.#isHttp10 = head.minorVersion === 0;
    this.#isPersistent = head.isPersistent;
    // Whether the body comes after a refusal of `Expect` is up to the client (RFC 9110 §10.1.1): the next bytes could be either.
    this.#isBodySkippable = head.bodyLength >= 0 && head.bodyLength <= LIMITS.pipelineBytesMax && head.expect === '';
    this.#body.begin(head.bodyLength);
    handler.onRequest(head);
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

  /** Reads what is here of the request's body. Returns the position after that. */
  #readBody(bytes: Buffer, start: number, end: number): number {
    const at = this.#body.decode(bytes, start, end, this);
    this.bytesReceived += at - start;
    this.#pace.gainBody(this.#edge.clock.nowMs, at - start);
    // It has been answered meanwhile: what the deadline stands for is decided.
    if (!this.#isExchanging) return at;
    if (this.#body.isInvalid) {
      this.#waiting = 'none';
      if (this.#handler === null) this.abort();
      else this.#handler.onRequestFault('chunk_invalid');
      return end;
    }
    if (this.#body.isComplete) this.#endRequestBody();
    else this.#waitForBody();
    return at;
  }

  /** Bytes while a request is being answered: its body, then further requests, which wait. */
  #readDuringExchange(bytes: Buffer, length: number): void {
    const at = this.#body.isComplete ? 0 : this.#readBody(bytes, 0, length);
    if (at === length) return;
    if (this.#phase === 'idle') this.#readHeads(bytes, at, length);
    else if (this.#keepsMore) this.#keepForLater(bytes.subarray(at, length));
  }

  #endRequestBody(): void {
    if (this.#waiting === 'body') this.#waiting = 'none';
    if (this.#phase === 'exchange') this.#handler?.onRequestEnd(this.#body.trailers);
    else if (this.#phase === 'surplus') this.#becomeIdle();
  }

  onBody(bytes: Buffer, start: number, end: number): void { this.#handler?.onRequestBody(bytes, start, end); }

  /** A client that does not read has a deadline already, which nothing that it sends may move. */
  #waitForBody(): void {
    if (this.#valve.isShut) return this.#watchAbsence();
    if (!this.#isExchanging || this.#body.isComplete) return;
    const deadlineMs = this.#pace.awaitBody(this.#edge.clock.nowMs);
    if (this.#waiting !== 'drain') this.#wait('body', deadlineMs);
  }

  #keepForLater(bytes: Buffer): void {
    const fault = this.#stash.append(bytes, this.#phase === 'queued');
    if (fault !== null || this.#stash.length >= LIMITS.pipelineBytesMax) this.pauseRequestBody();
  }

  #refuse(fault: FaultCode): void {
    const handler = this.#openExchange();
    this.#stash.clear();
    this.#isPersistent = false;
    this.#body.begin(0);
    handler.onInvalidRequest(fault);
  }

  pauseRequestBody(): void {
    if (this.#valve.isShut) return;
    this.#pace.restBody(this.#edge.clock.nowMs);
    this.#valve.shut();
    if (this.#waiting === 'body') this.#waiting = 'none';
    this.#watchAbsence();
  }

  resumeRequestBody(): void { this.#valve.open(); this.#waitForBody(); }

  /** Whoever is read or written to shows that he is gone. */
  #watchAbsence(): void { if (this.#valve.isShut && this.#waiting === 'none') this.#wait('absence', this.#edge.clock.nowMs + LIMITS.absenceMs); }

  // Writing the response.

  get bytesSent(): number { return this.#writer.bytesSent; }
  get isBackedUp(): boolean { return this.#writer.isBackedUp; }
  get isResponseCommitted(): boolean { return this.#writer.isCommitted; }

  sendContinue(): void { if (!this.#isHttp10) this.#writer.writeInterim(CONTINUE_RESPONSE); }

  /** RFC 9110 §15.2: an HTTP/1.0 client knows no interim responses. */
  sendInterim(status: number, reason: string, fieldLines: string): void { if (!this.#isHttp10) this.#writer.writeInterim(`${statusLine(status, reason)}${fieldLines}\r\n`); }

  beginResponse(status: number, reason: string, fieldLines: string, bodyLength: number, announcedLength: number, isReusable: boolean): void {
    const isHttp10 = this.#isHttp10;
    const isOpenEnded = bodyLength < 0;
    if (!isReusable || (isOpenEnded && isHttp10) || this.#edge.isDraining || (!this.#body.isComplete && !this.#isBodySkippable)) this.#isPersistent = false;
    const framing = responseFramingLine(bodyLength, announcedLength, isHttp10);
    this.#writer.begin(`${statusLine(status, reason)}${fieldLines}${framing}${connectionLine(this.#isPersistent, isHttp10)}\r\n`, isOpenEnded && !isHttp10);
  }

  beginTunnel(fieldLines: string, handler: ContentHandler): boolean {
    // RFC 6455 §4.1: a client sends nothing before the answer. What comes all the same may be meant as another request.
    if (!this.#stash.isEmpty) return false;
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

  endResponse(trailers = ''): void { this.#writer.end(trailers); this.flush(); }

  completeExchange(): void {
    this.#handler = null;
    if (this.#phase !== 'exchange' && this.#phase !== 'tunnel') return;
    if (!this.#isPersistent) this.#linger();
    else if (this.#body.isComplete) this.#becomeIdle();
    else {
      this.#phase = 'surplus';
      this.#valve.open();
      this.#waitForBody();
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
    this.#phase = 'idle';
    if (this.#stash.isEmpty && this.#edge.isDraining) this.#linger();
    else if (this.#stash.isEmpty && !this.#isReadingHeads && restUntilTurn(this.#edge, this)) {
      this.#waiting = 'none';
      this.#valve.shut();
    } else this.#beginReading();
  }

  #beginReading(): void {
    const {clock, isDraining, timeouts} = this.#edge;
    this.#wait('keep_alive', clock.nowMs + (isDraining ? LIMITS.lingerMs : timeouts.keepAliveMs));
    // First, because the next request may have a body that has not come yet.
    this.#valve.open();
    const stash = this.#isReadingHeads ? null : this.#stash.take();
    if (stash !== null) this.#readHeads(stash, 0, stash.length);
  }

  /**
   * Closing at once while the client still sends makes the kernel answer with a reset, which can destroy the response that is on its way
   * (RFC 9112 §9.6): so this side ends, and what comes is thrown away for a moment.
   */
  #linger(): void {
    this.#phase = 'lingering';
    this.#stash.clear();
    // Until the client has read the response, it has the time that every client has for that.
    const patienceMs = this.#writer.backlogBytes === 0 ? LIMITS.lingerMs : this.#pace.patience.responseIdleMs;
    this.#wait('linger', this.#edge.clock.nowMs + patienceMs);
    this.#socket.end();
    this.#valve.open();
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
