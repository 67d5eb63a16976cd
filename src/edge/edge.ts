/** What every client connection of a thread shares. */
import type {TimeAccount} from '#src/balance/time-account.ts';
import type {ListenerSnapshot, TimeoutsSnapshot} from '#src/config/snapshot.ts';
import type {Clock} from '#src/core/clock.ts';
import type {DeadlineWheel} from '#src/core/deadline-wheel.ts';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {FairPlaces, PlaceAccounts} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import type {ClientBans} from '#src/policy/client-bans.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {PlaceKind} from '#src/shared/place-kinds.ts';
import type {HeldMemory} from '#src/transport/held-memory.ts';
import type {TimeMeter} from '#src/transport/time-meter.ts';
import type {DescriptorBudget} from '#src/shared/descriptor-budget.ts';
import {count, countFault, type NodeColumn} from '#src/shared/counters.ts';
import {makeSessionWorkspace} from '#src/http2/session-handler.ts';
import type {Offences} from '#src/edge/offences.ts';
import type {ConnectionMemo, Downstream, RequestHandler, TlsFacts} from '#src/edge/request-handler.ts';

export type Places = Readonly<Record<PlaceKind, FairPlaces>>;

export interface EdgeParts {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly hash: KeyedHash;
  readonly bans: ClientBans;
  readonly offences: Offences;
  readonly places: Places;
  readonly held: HeldMemory;
  readonly descriptors: DescriptorBudget;
  /** What a customer's connections count under. */
  readonly findAccounts: (customer: string) => PlaceAccounts | undefined;
  readonly timeMeter: TimeMeter;
  readonly findCustomerTime: (customer: string) => TimeAccount | undefined;
  /** Whose time a request on such a connection takes; the text is its Host field. */
  readonly findTimePayer: (tls: TlsFacts | null, hostField: string) => TimeAccount;
  /** This thread's row of the node counters. */
  readonly counters: Float64Array;
  /** A handler for one request; it goes back to where it came from by itself. */
  readonly acquireHandler: (downstream: Downstream) => RequestHandler;
  /** A bug: an exception that ended a connection. */
  readonly reportBug: (error: unknown) => void;
}

/** A client's connection, whatever it speaks. */
export interface EdgeConnection {
  /** The process drains: ends where nothing is being answered, else after that. */
  endIfIdle(): void;
  /** Given up at once, whatever its requests are at. */
  lose(fault: FaultCode): void;
}

/** A connection that writes at the end of a turn of the event loop, and keeps its time by ticks. */
export interface BatchingConnection extends EdgeConnection {
  /** That it was accepted under. */
  readonly listener: ListenerSnapshot;
  readonly memo: ConnectionMemo;
  flush(): void;
  tick(nowMs: number): void;
}

export class Edge {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly hash: KeyedHash;
  readonly bans: ClientBans;
  readonly offences: Offences;
  readonly places: Places;
  readonly held: HeldMemory;
  readonly descriptors: DescriptorBudget;
  readonly findAccounts: (customer: string) => PlaceAccounts | undefined;
  readonly timeMeter: TimeMeter;
  readonly findCustomerTime: (customer: string) => TimeAccount | undefined;
  readonly findTimePayer: (tls: TlsFacts | null, hostField: string) => TimeAccount;
  readonly acquireHandler: (downstream: Downstream) => RequestHandler;
  readonly reportBug: (error: unknown) => void;
  readonly connections = new Set<EdgeConnection>();
  /** Those of `connections` that keep their time by ticks. */
  readonly ticking = new Set<BatchingConnection>();
  readonly http2Workspace = makeSessionWorkspace();
  /** Heads are consumed within the event that completed them, so one is enough for the thread. */
  readonly requestHead = new RequestHead();
  /** Clients' sockets read into this one buffer, one after the other: nothing is allocated for a read. Whatever outlives the event is copied. */
  readonly readBuffer = Buffer.allocUnsafeSlow(LIMITS.clientReadBytes);
  readonly buffers = new BufferPool(LIMITS.readBufferBytes, LIMITS.idleBuffersMax);
  /** The node's; replaced by a reload. */
  timeouts: TimeoutsSnapshot;
  /** Connections end after the response that they are at. */
  isDraining = false;
  readonly #counters: Float64Array;
  #unflushed: BatchingConnection[] = [];
  readonly #flushAll = (): void => {
    const connections = this.#unflushed;
    this.#unflushed = [];
    for (const connection of connections) {
      this.run(connection, () => connection.flush());
      this.timeMeter.chargeEvent(connection.memo.time, 0);
    }
  };

  constructor(parts: EdgeParts, timeouts: TimeoutsSnapshot) {
    this.clock = parts.clock;
    this.wheel = parts.wheel;
    this.hash = parts.hash;
    this.bans = parts.bans;
    this.offences = parts.offences;
    this.places = parts.places;
    this.held = parts.held;
    this.descriptors = parts.descriptors;
    this.findAccounts = parts.findAccounts;
    this.timeMeter = parts.timeMeter;
    this.findCustomerTime = parts.findCustomerTime;
    this.findTimePayer = parts.findTimePayer;
    this.acquireHandler = parts.acquireHandler;
    this.reportBug = parts.reportBug;
    this.#counters = parts.counters;
    this.timeouts = timeouts;
  }

  /** Counts a new connection, and its handshake where it will have one, or says why there is no place for it. */
  admitConnection(peer: ClientIdentity): FaultCode | null {
    if (this.bans.isBannedFromNode(peer.ip)) return 'client_banned';
    if (!this.descriptors.hasRoom) return 'descriptors_exhausted';
    const {connections, handshakes} = this.places;
    const fault = connections.takeForClient(peer);
    if (fault !== null) return fault;
    const handshakeFault = peer.scheme === 'https' ? handshakes.takeForClient(peer) : null;
    if (handshakeFault === null) this.count('connectionsOpened');
    else connections.freeForClient(peer);
    return handshakeFault;
  }

  /** No socket was made of a connection that had been admitted. */
  releaseUnopened(peer: ClientIdentity): void {
    if (peer.scheme === 'https') this.places.handshakes.freeForClient(peer);
    this.releaseConnection(peer);
  }

  releaseConnection(peer: ClientIdentity): void {
    this.places.connections.freeForClient(peer);
    this.count('connectionsClosed');
  }

  count(column: NodeColumn): void {
    count(this.#counters, column);
  }

  countFault(fault: FaultCode): void {
    countFault(this.#counters, fault);
  }

  /** The connection writes when everything of this turn of the event loop has been done. */
  scheduleFlush(connection: BatchingConnection): void {
    if (this.#unflushed.push(connection) === 1) setImmediate(this.#flushAll);
  }

  tick(): void {
    this.timeMeter.shares.tick(this.clock.nowMs);
    this.held.tick();
    for (const connection of this.ticking) this.#attempt(connection, () => connection.tick(this.clock.nowMs));
  }

  /** An exception is a bug. It costs the connection that it happened on, and not the thread with all the others. */
  #attempt(connection: EdgeConnection, act: () => void): void {
    try {
      act();
    } catch (error) {
      giveUp(connection, error, this.reportBug);
    }
  }

  /** Runs an event of a connection's socket. */
  run(connection: EdgeConnection, act: () => void): void {
    this.clock.refresh();
    this.#attempt(connection, act);
  }

  /** Idle connections end now, the others after the response that they are at. */
  drain(): void {
    this.isDraining = true;
    for (const connection of this.connections) connection.endIfIdle();
  }

  /** A listener is closed, or offers HTTP/2 no longer: its connections of HTTP/2 end when their requests are answered. */
  endHttp2({address, port}: ListenerSnapshot): void {
    for (const connection of this.ticking) {
      if (connection.listener.address === address && connection.listener.port === port) this.#attempt(connection, () => connection.endIfIdle());
    }
  }

  /** What has not ended by itself. */
  cut(): void {
    for (const connection of this.connections) connection.lose('drain_expired');
  }
}
