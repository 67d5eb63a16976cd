/** A client's connection in the line of those that wait for their customer's turn. Made for the first wait: most connections never do. */
import type {TimeAccount, Waiter} from '#src/balance/time-account.ts';
import {LIMITS} from '#src/core/limits.ts';
import {equalTexts} from '#src/core/text.ts';
import type {Edge, EdgeConnection} from '#src/edge/edge.ts';
import type {ConnectionMemo} from '#src/edge/request-handler.ts';

export interface TurnTaker extends EdgeConnection {
  readonly memo: ConnectionMemo;
  /** Goes on with what it has kept. It may have been closed meanwhile. */
  onTurn(): void;
}

export class Turn implements Waiter {
  nextWaiter: Waiter | null = null;
  waitingSinceMs = Number.NaN;
  /** It has come, and has not been taken. */
  isDue = false;
  readonly #edge: Edge;
  readonly #connection: TurnTaker;

  constructor(edge: Edge, connection: TurnTaker) {
    this.#edge = edge;
    this.#connection = connection;
  }

  proceed(waitedMs: number): void {
    const {memo} = this.#connection;
    this.isDue = true;
    memo.isLate = waitedMs > LIMITS.timeWaitMsMax;
    this.#edge.run(this.#connection, () => this.#connection.onTurn());
    this.isDue = false;
    memo.isLate = false;
    this.#edge.timeMeter.chargeEvent(memo.time, 0);
  }
}

/** The connection waits; `onTurn` comes in another event. It must not wait already. */
export function queueUp(edge: Edge, connection: TurnTaker, account: TimeAccount): void {
  connection.memo.turn ??= new Turn(edge, connection);
  edge.timeMeter.shares.wait(account, connection.memo.turn, edge.clock.nowMs);
}

/** A request for this host is there. False: it may begin, because it is its turn or no turns are needed. True: it has to wait, and is asked about again then. */
export function awaitTurn(edge: Edge, connection: TurnTaker, hostField: string): boolean {
  const {timeMeter: {shares}, clock} = edge, {memo} = connection;
  if (!shares.isContended) return false;
  if (memo.turn?.isDue === true) {
    memo.turn.isDue = false;
    return false;
  }
  const account = equalTexts(memo.host, hostField) ? memo.time : edge.findTimeAccount(hostField);
  if (!shares.mustWait(account, clock.nowMs)) return false;
  queueUp(edge, connection, account);
  return true;
}
