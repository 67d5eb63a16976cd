/** One HTTP/2 connection of a client: joins the session, which does no I/O, to its socket and its requests to their handlers. */
import type {Socket} from 'node:net';
import type {PlaceAccount} from '#src/balance/fair-places.ts';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import {copyBytesBriefly} from '#src/core/bytes.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ServerSession} from '#src/http2/server-session.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {Holding, type Holder} from '#src/transport/held-memory.ts';
import type {BatchingConnection, Edge} from '#src/edge/edge.ts';
import {Http2Requests} from '#src/edge/http2-requests.ts';
import type {Http2Stream} from '#src/edge/http2-stream.ts';
import {queueUp, type TurnTaker} from '#src/edge/turn.ts';
import {createMemo, type ConnectionFacts, type ConnectionMemo, type TlsFacts} from '#src/edge/request-handler.ts';

export class Http2Connection implements BatchingConnection, Holder, TurnTaker {
  readonly peer: ClientIdentity;
  readonly listener: ListenerSnapshot;
  readonly tls: TlsFacts;
  readonly memo: ConnectionMemo;
  readonly session: ServerSession<Http2Stream>;
  readonly #edge: Edge;
  readonly #socket: Socket;
  readonly #onWritten = (error?: Error | null): void => {
    // What of it a socket that has failed may still refer to, nobody knows.
    if (error !== undefined && error !== null) return;
    try {
      this.session.onOutputWritten();
    } catch (bug) {
      giveUp(this, bug, this.#edge.reportBug);
    }
  };
  readonly #holding = new Holding(this);
  #isFlushScheduled = false;
  #isReadPaused = false;
  /** What waits for the customer's turn. */
  #queued: Buffer | null = null;
  #isClosed = false;
  /** Until when the client may take the last words, once they have been said. */
  #lingerDeadlineMs = Number.POSITIVE_INFINITY;
  #lingerBytes = 0;

  constructor(edge: Edge, socket: Socket, {peer, listener, tls, place, time}: ConnectionFacts & {readonly tls: TlsFacts}) {
    this.#edge = edge;
    this.#socket = socket;
    this.peer = peer;
    this.listener = listener;
    this.tls = tls;
    this.memo = createMemo(place, time);
    this.session = new ServerSession({scheme: 'https', timeouts: edge.timeouts, workspace: edge.http2Workspace}, new Http2Requests(edge, this), edge.clock.nowMs);
    edge.connections.add(this);
    edge.ticking.add(this);
    this.scheduleFlush();
  }

  get heldBytes(): number { return this.session.heldBytes + this.#socket.writableLength + (this.#queued?.length ?? 0); }
  get heldFor(): ClientIdentity { return this.peer; }
  get heldAccount(): PlaceAccount | null { return this.memo.place.buffers; }

  // The socket's events.

  /** @param length of what was read into `edge.readBuffer` */
  onLentData(length: number): void {
    const {timeMeter: {shares}, clock, readBuffer} = this.#edge;
    if (!this.session.isReading) this.#discard(length);
    else if (this.#queued !== null) this.#queued = Buffer.concat([this.#queued, readBuffer.subarray(0, length)]);
    else if (shares.mustWait(this.memo.time, clock.nowMs)) this.#queue(copyBytesBriefly(readBuffer, 0, length));
    else this.#receive(readBuffer.subarray(0, length));
  }

  onTurn(): false {
    const bytes = this.#queued;
    this.#queued = null;
    if (bytes === null || this.#isClosed) return false;
    if (this.session.isReading) this.#receive(bytes);
    else this.#discard(bytes.length);
    return false;
  }

  /** The whole connection waits for the customer's turn: fields that are not read would leave the two tables of their compression apart. */
  #queue(bytes: Buffer): void {
    this.#queued = bytes;
    queueUp(this.#edge, this, this.memo.time);
    // At once: until the end of this turn of the event loop a socket may be read dozens of times.
    this.#adjustReading();
    this.scheduleFlush();
  }

  /** One read may bring a hundred requests: while others want their share, the customer's is looked at in between. */
  #receive(bytes: Buffer): void {
    const {timeMeter, clock} = this.#edge, {shares} = timeMeter;
    const pieceBytes = shares.isContended ? Math.max(LIMITS.h2TurnBytes, Math.ceil(bytes.length / LIMITS.h2TurnPiecesMax)) : bytes.length;
    for (let at = 0; at < bytes.length && this.session.isReading; at += pieceBytes) {
      if (at > 0) {
        timeMeter.chargeEvent(this.memo.time, 0);
        clock.refresh();
        if (shares.mustWait(this.memo.time, clock.nowMs)) return this.#queue(copyBytesBriefly(bytes, at, bytes.length));
      }
      this.session.receive(bytes.subarray(at, at + pieceBytes), clock.nowMs);
    }
    this.scheduleFlush();
  }

  onDrain(): void {
    this.flush();
  }

  onEnd(): void {
    this.lose('client_gone');
  }

  onClose(): void {
    if (this.#isClosed) return;
    this.#leave();
    this.session.lose('client_gone');
  }

  // The edge's side.

  tick(nowMs: number): void {
    if (nowMs >= this.#lingerDeadlineMs) this.lose('client_stalled');
    this.session.onTick(nowMs);
    this.flush();
  }

  endIfIdle(): void {
    this.session.drain(this.#edge.clock.nowMs);
    this.scheduleFlush();
  }

  dismiss(): void {
    this.session.dismiss();
    this.scheduleFlush();
  }

  lose(fault: FaultCode): void {
    if (this.#isClosed) return;
    this.#leave();
    this.#socket.destroy();
    this.session.lose(fault);
  }

  #leave(): void {
    this.#isClosed = true;
    this.#edge.connections.delete(this);
    this.#edge.ticking.delete(this);
    this.#edge.held.drop(this.#holding);
    this.session.settleGlitches();
  }

  /** Everything of one turn of the event loop leaves in one write: many requests of one read are answered together. */
  scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    this.#edge.scheduleFlush(this);
  }

  flush(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed) return;
    const hasWritten = this.#write();
    if (this.heldBytes >= LIMITS.heldBlockBytes) this.#edge.held.watch(this.#holding);
    if (this.session.isFinished) this.#finish(hasWritten);
    else this.#adjustReading();
  }

  /** As much as the socket takes. Returns whether that is anything. */
  #write(): boolean {
    let hasWritten = false;
    while (this.#socket.writableLength < this.#socket.writableHighWaterMark) {
      const output = this.session.takeOutput();
      if (output === null) break;
      this.#socket.write(output, this.#onWritten);
      hasWritten = true;
    }
    return hasWritten;
  }

  /** The session is over. A client that goes on taking what is left for it gets all of that, and a moment to read the end. */
  #finish(hasWritten: boolean): void {
    const socket = this.#socket;
    if (socket.writableEnded) return;
    if (hasWritten || this.#lingerDeadlineMs === Number.POSITIVE_INFINITY) {
      const patienceMs = socket.writableLength > 0 ? this.#edge.timeouts.responseIdleMs : LIMITS.lingerMs;
      this.#lingerDeadlineMs = this.#edge.clock.nowMs + patienceMs;
    }
    if (this.session.hasOutput) return;
    socket.end();
    socket.resume();
  }

  /** Closing while the client still sends would make the kernel reset the connection, and the last words with it (RFC 9112 §9.6). */
  #discard(length: number): void {
    this.#lingerBytes += length;
    if (this.#lingerBytes > LIMITS.lingerBytesMax) this.lose('client_gone');
  }

  /** While the client does not read, it gets no more answers to frames than there is room for. */
  #adjustReading(): void {
    const isPaused = this.session.isOutputFull || this.#queued !== null;
    if (isPaused === this.#isReadPaused) return;
    this.#isReadPaused = isPaused;
    if (this.#isReadPaused) this.#socket.pause();
    else this.#socket.resume();
  }
}
