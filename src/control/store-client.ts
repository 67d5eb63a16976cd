/**
 * One connection to the fleet's store, which comes back by itself. Whoever asks gets an answer, a refusal, or an error within the
 * deadline: nobody waits for a store that is away. Lives in the control thread, far from any request.
 */
import net from 'node:net';
import type {FleetSnapshot, SocketAddress} from '#src/config/snapshot.ts';
import {refuseDial} from '#src/core/dial-guard.ts';
import {parseCidrs} from '#src/core/ip.ts';
import {encodeCommand, ReplyParser, StoreRefusal, type Reply} from '#src/control/store-protocol.ts';

export interface StoreTimings {
  readonly connectMs: number;
  /** From a command to its answer. */
  readonly replyMs: number;
  /** Before the first attempt to connect again; each further one waits twice as long. */
  readonly retryMs: number;
  readonly retryMsMax: number;
}

export const STORE_TIMINGS: StoreTimings = {connectMs: 2000, replyMs: 2000, retryMs: 100, retryMsMax: 5000};

export interface StoreClientOptions {
  readonly store: Pick<FleetSnapshot, 'address' | 'port' | 'user' | 'password'>;
  /** Where Torwart listens. */
  readonly ownListeners: readonly SocketAddress[];
  readonly timings: StoreTimings;
  /** It can be asked now. */
  readonly onReady: () => void;
  /** It cannot any more, or still cannot. `reason` in words. */
  readonly onLost: (reason: string) => void;
}

interface Waiter {
  readonly resolve: (reply: Exclude<Reply, StoreRefusal>) => void;
  readonly reject: (error: Error) => void;
  readonly dueMs: number;
}

/** Commands that may wait for their answers. */
const WAITERS_MAX = 64;

export class StoreClient {
  readonly #options: StoreClientOptions;
  #socket: net.Socket | null = null;
  #parser = new ReplyParser();
  #waiters: Waiter[] = [];
  #readySinceMs: number | null = null;
  #isClosed = false;
  #failures = 0;
  /** Of the connection, the oldest command, or the next attempt. */
  #timer: NodeJS.Timeout | null = null;

  constructor(options: StoreClientOptions) {
    this.#options = options;
    this.#connect();
  }

  get isReady(): boolean {
    return this.#readySinceMs !== null;
  }

  /** Rejects where the store refuses, does not answer in time, or is away. */
  command(words: readonly string[]): Promise<Exclude<Reply, StoreRefusal>> {
    return this.isReady ? this.#send(words) : Promise.reject(new Error('the store is away'));
  }

  close(): void {
    this.#isClosed = true;
    this.#lose('closed');
  }

  #connect(): void {
    const {store: {address, port}, ownListeners, timings} = this.#options;
    const refusal = refuseDial({address, port}, {networks: parseCidrs([address]), ownListeners});
    if (refusal !== null) {
      this.#lose(`not dialled: ${refusal}`);
      return;
    }
    const socket = net.connect({host: address, port, noDelay: true, keepAlive: true});
    this.#socket = socket;
    this.#parser = new ReplyParser();
    this.#arm(timings.connectMs, () => this.#lose('no connection in time'));
    socket.on('connect', () => void this.#greet(socket));
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#loseOf(socket, error.code ?? error.message));
    socket.on('close', () => this.#loseOf(socket, 'the store has closed the connection'));
  }

  async #greet(socket: net.Socket): Promise<void> {
    const {user, password} = this.#options.store;
    try {
      if (password !== null) await this.#send(user === null ? ['AUTH', password] : ['AUTH', user, password]);
      await this.#send(['PING']);
    } catch (error) {
      this.#loseOf(socket, error instanceof Error ? error.message : String(error));
      return;
    }
    // What came behind the last answer, in the same piece, may have ended it already.
    if (this.#socket !== socket) return;
    this.#readySinceMs = performance.now();
    this.#options.onReady();
  }

  #send(words: readonly string[]): Promise<Exclude<Reply, StoreRefusal>> {
    const {promise, resolve, reject} = Promise.withResolvers<Exclude<Reply, StoreRefusal>>();
    if (this.#waiters.length >= WAITERS_MAX) return Promise.reject(new Error('too many commands wait for the store'));
    this.#waiters.push({resolve, reject, dueMs: performance.now() + this.#options.timings.replyMs});
    if (this.#waiters.length === 1) this.#armReply();
    this.#socket?.write(encodeCommand(words));
    return promise;
  }

  #onData(bytes: Buffer): void {
    try {
      for (const reply of this.#parser.push(bytes)) this.#settle(reply);
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
    }
  }

  #settle(reply: Reply): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) throw new Error('an answer that nobody has asked for');
    this.#armReply();
    if (reply instanceof StoreRefusal) waiter.reject(new Error(`the store refuses: ${reply.message}`));
    else waiter.resolve(reply);
  }

  #armReply(): void {
    const [oldest] = this.#waiters;
    this.#disarm();
    if (oldest !== undefined) this.#arm(Math.max(0, oldest.dueMs - performance.now()), () => this.#lose('no answer in time'));
  }

  /** Events of a socket that has been given up are of no interest. */
  #loseOf(socket: net.Socket, reason: string): void {
    if (this.#socket === socket) this.#lose(reason);
  }

  #lose(reason: string): void {
    const {onLost, timings: {retryMs, retryMsMax}} = this.#options;
    const waiters = this.#waiters;
    // One that answers and is lost at once again is not asked ten times a second.
    if (this.#readySinceMs !== null && performance.now() - this.#readySinceMs > retryMsMax) this.#failures = 0;
    this.#readySinceMs = null;
    this.#socket?.destroy();
    this.#socket = null;
    this.#waiters = [];
    this.#disarm();
    if (!this.#isClosed) {
      this.#arm(Math.min(retryMs * 2 ** this.#failures, retryMsMax), () => this.#connect());
      this.#failures = Math.min(this.#failures + 1, 16);
    }
    for (const {reject} of waiters) reject(new Error(reason));
    if (!this.#isClosed) onLost(reason);
  }

  #arm(afterMs: number, act: () => void): void {
    this.#disarm();
    this.#timer = setTimeout(act, afterMs);
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
