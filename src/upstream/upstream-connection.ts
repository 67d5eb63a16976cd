/**
 * One HTTP/1.1 connection to an endpoint: sends one request at a time, reads one response. Whatever the upstream does that is not
 * exactly one valid response ends the connection; it is then never used again.
 */
import type {Socket} from 'node:net';
import type {Waiter} from '#src/balance/time-account.ts';
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {Piece} from '#src/core/piece-list.ts';
import {BodyDecoder, type BodySink} from '#src/http1/body-decoder.ts';
import {INCOMPLETE, INVALID} from '#src/http1/field-block.ts';
import {BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';
import {FAULT_OF_WAITING, type Phase} from '#src/upstream/connection-phase.ts';
import {dial, explainFailure} from '#src/upstream/dial.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {RequestWriter} from '#src/upstream/request-writer.ts';
import {TimedRequest} from '#src/upstream/timed-request.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import {tellEnd, type ResponseBodyHandler, type ResponseHandler, type TunnelStream, type UpgradeHandler, type UpstreamStream} from '#src/upstream/upstream-stream.ts';

export class UpstreamConnection extends TimedRequest implements UpstreamStream, TunnelStream, BodySink, Waiter {
  readonly endpoint: UpstreamEndpoint;
  /** Bytes of the current response. */
  bytesReceived = 0;
  /** When it last answered; NaN where it never has. */
  idleSinceMs = Number.NaN;
  isConnected = false;
  nextWaiter: Waiter | null = null;
  waitingSinceMs = Number.NaN;
  readonly #socket: Socket;
  readonly #writer: RequestWriter;
  readonly #body = new BodyDecoder();
  #phase: Phase = 'connecting';
  #handler: ResponseBodyHandler | null = null;
  /** The same one, until a tunnel's takes its place. */
  #headHandler: ResponseHandler | null = null;
  #method = '';
  #interims = 0;
  /** Counts as one of the pool's `connections`. */
  #isInUse = true;
  /** Null where 101 would be an attack. */
  #upgradeHandler: UpgradeHandler | null = null;
  #isReusable = false;
  /** Where more is known than that the connection has ended. */
  #closeFault: FaultCode | null = null;
  /** Not read because its client is the slower one; because its customer's turn has to come first; in the line for that, which the end of a response is no way out of; and the next read has been charged. */
  #isShut = false;
  #isResting = false;
  #isInLine = false;
  /** Part of a head. */
  #stash: Buffer | null = null;

  private constructor(upstream: Upstream, endpoint: UpstreamEndpoint, socket: Socket) {
    super(upstream);
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#writer = new RequestWriter(new SocketWriter(socket, endpoint.tls === null, upstream.buffers));
  }

  /**
   * A connection that is ready for a request: one that was idle for `idleMsMax` at most, or a new one. The fault says why there is none.
   * The cap is on those in use: an idle one of another thread is out of reach, and must not stand in the way.
   */
  static acquire(upstream: Upstream, endpoint: UpstreamEndpoint, idleMsMax: number): UpstreamConnection | FaultCode {
    if (!endpoint.slot.tryBeginRequest(endpoint.pool.connectionsMax)) return 'endpoint_saturated';
    const idle = endpoint.takeIdle(idleMsMax, upstream.clock.nowMs);
    if (idle !== undefined) {
      idle.#isInUse = true;
      upstream.count('upstreamConnectionsReused');
      return idle;
    }
    // The callback reaches the connection through this variable: the socket exists first.
    let connection: UpstreamConnection | null = null;
    const socket = dial(upstream, endpoint, {buffer: upstream.readBuffer, callback: (length) => connection?.onRead(length) ?? false});
    if (typeof socket === 'string') {
      endpoint.slot.endRequest();
      return socket;
    }
    endpoint.slot.openConnection();
    connection = new UpstreamConnection(upstream, endpoint, socket);
    connection.#attach();
    upstream.count('upstreamConnectionsOpened');
    return connection;
  }

  get isReused(): boolean { return this.idleSinceMs >= 0; }
  protected get isReadPaused(): boolean { return this.#isShut || this.#isResting; }
  get isRequestBegun(): boolean { return this.isConnected; }
  get isBackedUp(): boolean { return this.#writer.isBackedUp; }
  get backlogBytes(): number { return this.#writer.backlogBytes; }

  #attach(): void {
    this.#socket.on(this.endpoint.tls === null ? 'connect' : 'secureConnect', () => this.#guard(() => this.#onConnect()));
    this.#socket.on('drain', () => this.#guard(() => this.#onDrain()));
    this.#socket.on('end', () => this.#guard(() => this.#onEnd()));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#onError(error));
    this.#socket.on('close', () => this.#guard(() => this.#onClose()));
  }

  /** Runs an event. An exception is a bug: it costs this request, and not the thread with all the others. */
  #guard(act: () => void): void {
    this.upstream.clock.refresh();
    try {
      act();
    } catch (error) {
      giveUp(this, error, this.upstream.reportBug);
    }
  }

  begin(handler: ResponseHandler, method: string, timeouts: RouteTimeoutsSnapshot, upgradeHandler: UpgradeHandler | null = null): void {
    this.#handler = handler;
    this.#headHandler = handler;
    this.#method = method;
    this.beginTiming(timeouts);
    this.#upgradeHandler = upgradeHandler;
    this.#interims = 0;
    this.bytesReceived = 0;
    if (this.#phase === 'idle') {
      this.#phase = 'head';
      this.waiting = 'none';
    } else this.waitFor('connect');
  }

  sendRequest(head: string, length: number, pieces: readonly Piece[]): void {
    this.#writer.begin(head, length, pieces);
    this.#waitIfBackedUp();
  }

  sendContent(bytes: Buffer, start: number, end: number): void {
    if (this.#phase === 'tunnel') this.#writer.writeTunnel(bytes, start, end);
    else this.#writer.write(bytes, start, end);
    this.#waitIfBackedUp();
  }

  #waitIfBackedUp(): void {
    if (!this.isBackedUp) return;
    if (this.#phase === 'body') this.waitForBody();
    else if (this.#phase === 'head' || this.#phase === 'tunnel') this.waitFor('drain');
  }

  endRequest(trailers = ''): void {
    this.#writer.end(trailers);
    this.isRequestEnded = this.#phase !== 'tunnel';
    if (this.#phase === 'tunnel') this.#socket.end();
    else if (this.#phase === 'head') this.waitFor('head');
    else if (this.#phase === 'body') this.waitForBody();
  }

  pause(): void { this.#adjustReading(true); }
  resume(): void { this.#adjustReading(false); }

  #adjustReading(isShut = this.#isShut): void {
    this.#isShut = isShut;
    if (this.isReadPaused) this.#socket.pause();
    else this.#socket.resume();
    if (this.#phase === 'body') this.waitForBody();
  }

  /** After a read: one more of a long response waits for its turn, where the thread is busy with this customer. */
  #settle(length: number): void {
    const {timeMeter, clock} = this.upstream, {time} = this.endpoint;
    timeMeter.chargeEvent(time, length);
    if (this.#phase !== 'body' || this.#isResting || !timeMeter.shares.mustWait(time, clock.nowMs)) return;
    this.#isResting = true;
    this.#adjustReading();
    if (!this.#isInLine) timeMeter.shares.wait(time, this, clock.nowMs);
    this.#isInLine = true;
  }

  /** Its turn is a read that is yet to come. */
  proceed(): boolean {
    this.#isInLine = false;
    if (!this.#isResting || this.#phase !== 'body') return false;
    this.#isResting = false;
    this.#adjustReading();
    return !this.#isShut;
  }

  /** The request is given up, and with it the connection: what it would still say belongs to nobody. */
  cancel(): void {
    this.#detach();
    this.destroy();
  }

  /** It stays one of the pool's `connections` until it is closed: else clients could have more of them by opening and ending tunnels. */
  endTunnel(): void {
    this.#handler = null;
    this.#headHandler = null;
    this.#phase = 'ending';
    this.#socket.end();
    this.#socket.resume();
    this.wait('linger', LIMITS.lingerMs);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  /** `#guard` without its closure: this event is the hot one. */
  onRead(length: number): boolean {
    this.upstream.clock.refresh();
    try {
      this.#read(length);
    } catch (error) {
      giveUp(this, error, this.upstream.reportBug);
    }
    this.#settle(length);
    return true;
  }

  #read(length: number): void {
    const {readBuffer} = this.upstream;
    this.bytesReceived += length;
    switch (this.#phase) {
      case 'head': {
        const stash = this.#stash;
        this.#stash = null;
        const bytes = stash === null ? readBuffer : Buffer.concat([stash, readBuffer.subarray(0, length)]);
        this.#readHead(bytes, stash === null ? length : bytes.length);
        break;
      }
      case 'body':
        this.#readBody(readBuffer, 0, length);
        break;
      case 'idle':
        // A response that nobody asked for would be taken for the answer to the next request ("response queue poisoning").
        this.upstream.countFault('upstream_surplus');
        this.destroy();
        break;
      case 'tunnel':
        this.#readTunnel(readBuffer, 0, length);
        break;
      case 'connecting':
      case 'ending':
      case 'closed':
    }
  }

  #readHead(bytes: Buffer, length: number): void {
    const {responseHead: head} = this.upstream;
    let at = 0;
    while (this.#phase === 'head') {
      const end = head.parse(bytes, at, length, this.#method);
      if (end === INVALID) {
        this.lose(head.fault);
        return;
      }
      if (end === INCOMPLETE) {
        if (at < length) this.#stash = Buffer.from(bytes.subarray(at, length));
        return;
      }
      at = end;
      if (head.status >= 200) break;
      if (head.status === 101 && this.#upgradeHandler !== null) {
        this.#beginTunnel(head, bytes, at, length);
        return;
      }
      if (!this.#acceptInterim(head)) return;
    }
    if (this.#phase !== 'head') return;
    this.#phase = 'body';
    this.#isReusable = head.isPersistent && head.bodyLength !== BODY_UNTIL_CLOSE;
    this.#body.begin(head.bodyLength);
    this.#headHandler?.onResponse(head);
    this.#readBody(bytes, at, length);
  }

  /** 100 is consumed, 103 may be forwarded, 101 was not asked for; all others are dropped. */
  #acceptInterim(head: ResponseHead): boolean {
    if (head.status === 101) {
      this.lose('upstream_upgrade_unasked');
      return false;
    }
    if (++this.#interims > LIMITS.interimResponsesMax) {
      this.lose('upstream_head_invalid');
      return false;
    }
    if (head.status === 103) this.#headHandler?.onInterimResponse(head);
    return true;
  }

  /** What follows the head belongs to the other protocol. */
  #beginTunnel(head: ResponseHead, bytes: Buffer, start: number, end: number): void {
    this.#phase = 'tunnel';
    this.waiting = 'none';
    // The client's part goes on.
    this.isRequestEnded = false;
    const handler = this.#upgradeHandler?.onUpgrade(head, this) ?? null;
    if (handler === null) return;
    this.#handler = handler;
    if (start < end) this.#readTunnel(bytes, start, end);
  }

  #readTunnel(bytes: Buffer, start: number, end: number): void {
    this.#handler?.onResponseBody(bytes, start, end);
    this.#handler?.onUpstreamReadEnd();
  }

  #readBody(bytes: Buffer, start: number, end: number): void {
    if (this.#phase !== 'body') return;
    const at = this.#body.decode(bytes, start, end, this);
    if (this.#phase !== 'body') return;
    if (this.#body.isInvalid) this.lose('upstream_chunk_invalid');
    else if (!this.#body.isComplete) {
      this.waitForBody();
      this.#handler?.onUpstreamReadEnd();
    } else if (at < end) this.lose('upstream_surplus');
    else this.#finish();
  }

  onBody(bytes: Buffer, start: number, end: number): void { this.#handler?.onResponseBody(bytes, start, end); }

  /** The response is complete. The connection is back in its endpoint before the handler may want it again. */
  #finish(): void {
    const handler = this.#detach();
    if (this.#isReusable && this.isRequestEnded && this.endpoint.mayKeepIdle) {
      this.#phase = 'idle';
      this.idleSinceMs = this.upstream.clock.nowMs;
      this.endpoint.idle.push(this);
      // The last bytes may have been the ones too many, after which nobody waits for more; or TLS had them when the next read was to wait.
      if (this.isReadPaused) {
        this.#isResting = false;
        this.resume();
      }
      this.wait('keep_alive', this.upstream.keepAliveMs);
    } else this.destroy();
    tellEnd(handler, null, this.upstream.reportBug, this.#body.trailers);
  }

  lose(fault: FaultCode): void {
    const handler = this.#detach();
    this.destroy();
    tellEnd(handler, fault, this.upstream.reportBug);
  }

  #detach(): ResponseBodyHandler | null {
    const handler = this.#handler;
    if (this.#isInUse) this.endpoint.slot.endRequest();
    this.#isInUse = false;
    this.#handler = null;
    this.#headHandler = null;
    return handler;
  }

  #onConnect(): void {
    if (this.#phase !== 'connecting') return;
    this.isConnected = true;
    this.#phase = 'head';
    this.waitWithinRequest();
    this.#headHandler?.onUpstreamConnected();
  }

  #onDrain(): void {
    if (this.#phase === 'body') this.waitForBody();
    else if (this.waiting === 'drain') this.waitWithinRequest();
    this.#handler?.onUpstreamDrain();
  }

  /** An orderly end: the way that some responses are complete, and every tunnel. */
  #onEnd(): void {
    if (this.#phase === 'tunnel') this.destroy();
    if (this.#phase !== 'body' || !this.#body.finish()) return;
    this.#isReusable = false;
    this.#finish();
  }

  /** The close event follows. */
  #onError(error: NodeJS.ErrnoException): void { this.#closeFault = explainFailure(this.upstream, this.endpoint, error, this.isConnected); }

  #onClose(): void {
    const phase = this.#phase;
    if (phase === 'closed') return;
    this.#phase = 'closed';
    this.#stash = null;
    this.upstream.wheel.disarm(this);
    this.upstream.count('upstreamConnectionsClosed');
    this.endpoint.slot.closeConnection();
    if (phase === 'idle') this.endpoint.forgetIdle(this);
    const handler = this.#detach();
    const fault = phase === 'body' ? 'upstream_truncated' : this.#closeFault ?? (phase === 'connecting' ? 'connect_failed' : 'upstream_closed');
    tellEnd(handler, phase === 'tunnel' ? null : fault, this.upstream.reportBug);
  }

  onDeadline(): void {
    const waiting = this.waiting;
    this.waiting = 'none';
    if (waiting === 'none') return;
    if (waiting === 'keep_alive' || waiting === 'linger') this.destroy();
    else this.lose(FAULT_OF_WAITING[waiting]);
  }
}
