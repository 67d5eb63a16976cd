/** A client's connection in the line of those that wait for their customer's turn. Made for the first wait: most connections never do. */
import type {TimeAccount, Waiter} from '#src/balance/time-account.ts';
import {LIMITS} from '#src/core/limits.ts';
import {equalTexts} from '#src/core/text.ts';
import type {Edge, EdgeConnection} from '#src/edge/edge.ts';
import type {ConnectionMemo, TlsFacts} from '#src/edge/request-handler.ts';

export interface TurnTaker extends EdgeConnection {
  readonly memo: ConnectionMemo;
  /** Null in cleartext. */
  readonly tls: TlsFacts | null;
  /** Goes on with what it has kept, or is read again: true. It may have been closed meanwhile. */
  onTurn(): boolean;
}

export class Turn implements Waiter {
  nextWaiter: Waiter | null = null;
  waitingSinceMs = Number.NaN;
  isInLine = false;
  /** It was long in coming. */
  isLate = false;
  /** The round in which it has come; -1: none, or it has been taken. */
  #round = -1;
  readonly #edge: Edge;
  readonly #connection: TurnTaker;

  constructor(edge: Edge, connection: TurnTaker) {
    this.#edge = edge;
    this.#connection = connection;
  }

  proceed(waitedMs: number): boolean {
    const {memo} = this.#connection, {timeMeter} = this.#edge;
    let isRead = false;
    this.isInLine = false;
    this.isLate = waitedMs > LIMITS.timeWaitMsMax;
    this.#round = timeMeter.shares.round;
    memo.isLate = this.isLate;
    this.#edge.run(this.#connection, () => { isRead = this.#connection.onTurn(); });
    memo.isLate = false;
    timeMeter.chargeEvent(memo.time, 0);
    return isRead;
  }

  /** It has come, and is not over. */
  get isDue(): boolean { return this.#round === this.#edge.timeMeter.shares.round; }

  /** Whether it is the connection's turn. Each one serves for one request. */
  take(): boolean {
    const {isDue} = this;
    this.#round = -1;
    return isDue;
  }
}

/** The connection waits; `onTurn` comes in another event. */
export function queueUp(edge: Edge, connection: TurnTaker, account: TimeAccount): void {
  const turn = connection.memo.turn ??= new Turn(edge, connection);
  if (turn.isInLine) return;
  turn.isInLine = true;
  edge.timeMeter.shares.wait(account, turn, edge.clock.nowMs);
}

/** A request for this host is there. False: it may begin, because it is its turn or no turns are needed. True: it has to wait, and is asked about again then. */
export function awaitTurn(edge: Edge, connection: TurnTaker, hostField: string): boolean {
  const {timeMeter: {shares}, clock} = edge, {memo} = connection, {turn} = memo;
  memo.isLate = false;
  if (!shares.isContended) return false;
  if (turn?.take() === true) {
    memo.isLate = turn.isLate;
    return false;
  }
  const account = equalTexts(memo.host, hostField) ? memo.time : edge.findTimePayer(connection.tls, hostField);
  if (!shares.mustWait(account, clock.nowMs)) return false;
  queueUp(edge, connection, account);
  return true;
}

/**
 * Whether the connection, which has nothing to do, is not read before its customer's turn: where many of that one wait already, and the requests in
 * a row were all for it, whatever comes next would have to wait as well. To read it all the same would be a large part of a turn of the event loop.
 * `onTurn` comes in another event.
 */
export function restUntilTurn(edge: Edge, connection: TurnTaker): boolean {
  const {memo} = connection;
  if (!edge.timeMeter.shares.isContended) return false;
  if (memo.time.waiters < LIMITS.restWaitersMin || memo.requestsInARow < LIMITS.restRequestsMin) return false;
  queueUp(edge, connection, memo.time);
  return true;
}
