/** What every upstream connection of a thread shares. */
import type {Clock} from '#src/core/clock.ts';
import type {DeadlineWheel} from '#src/core/deadline-wheel.ts';
import type {DialTarget} from '#src/core/dial-guard.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ResponseHead} from '#src/http1/response-head.ts';
import {makeClientWorkspace} from '#src/http2/client-session.ts';
import {count, countFault, type NodeColumn} from '#src/shared/counters.ts';
import type {TimeMeter} from '#src/transport/time-meter.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';

/** Writes a line into the daemon log. */
export type ThreadLog = (level: 'warn' | 'error', message: string, detail: Readonly<Record<string, string | number | boolean>>) => void;

/** A connection that writes at the end of a turn of the event loop. */
export interface FlushedConnection {
  flush(): void;
  lose(fault: FaultCode): void;
}

export interface UpstreamParts {
  readonly clock: Clock;
  readonly timeMeter: TimeMeter;
  readonly wheel: DeadlineWheel;
  /** This thread's row of the node counters. */
  readonly counters: Float64Array;
  readonly reportBug: (error: unknown) => void;
  readonly log: ThreadLog;
}

export class Upstream {
  readonly clock: Clock;
  readonly timeMeter: TimeMeter;
  readonly wheel: DeadlineWheel;
  /**
   * All upstream sockets of a thread read into this one buffer, one after the other: nothing is allocated for a read, and an idle
   * connection holds no buffer. Whatever outlives the read event is copied.
   */
  readonly readBuffer = Buffer.allocUnsafeSlow(LIMITS.readBufferBytes);
  /** For what is on its way to applications. */
  readonly buffers = new BufferPool(LIMITS.clientReadBytes, LIMITS.idleBuffersMax);
  readonly responseHead = new ResponseHead();
  readonly http2Workspace = makeClientWorkspace();
  /** A bug: an exception that ended a request. */
  readonly reportBug: (error: unknown) => void;
  keepAliveMs: number;
  /** Where Torwart itself listens: never an upstream. */
  ownListeners: readonly DialTarget[];
  readonly #counters: Float64Array;
  readonly #log: ThreadLog;
  #unflushed: FlushedConnection[] = [];
  readonly #flushAll = (): void => {
    const connections = this.#unflushed;
    this.#unflushed = [];
    for (const connection of connections) this.#flush(connection);
  };

  constructor(parts: UpstreamParts, keepAliveMs: number, ownListeners: readonly DialTarget[]) {
    this.clock = parts.clock;
    this.timeMeter = parts.timeMeter;
    this.wheel = parts.wheel;
    this.reportBug = parts.reportBug;
    this.#counters = parts.counters;
    this.#log = parts.log;
    this.keepAliveMs = keepAliveMs;
    this.ownListeners = ownListeners;
  }

  scheduleFlush(connection: FlushedConnection): void {
    if (this.#unflushed.push(connection) === 1) setImmediate(this.#flushAll);
  }

  /** An exception is a bug. It costs the connection that it happened on. */
  #flush(connection: FlushedConnection): void {
    try {
      connection.flush();
    } catch (error) {
      this.reportBug(error);
      connection.lose('internal');
    }
  }

  count(column: NodeColumn): void {
    count(this.#counters, column);
  }

  countFault(fault: FaultCode): void {
    countFault(this.#counters, fault);
  }

  /** Tells the operator why TLS with a server fails; whose certificate it is about is nothing for the client. */
  reportTlsFailure({customer, pool, text, sessions, tls}: UpstreamEndpoint, error: unknown): void {
    sessions.drop();
    if (tls?.takeReport(this.clock.nowMs) !== true) return;
    const code = error instanceof Error && 'code' in error ? error.code : error;
    this.#log('warn', 'TLS with a server failed', {customer, pool: pool.name, server: text, reason: String(code)});
  }
}
