/**
 * One customer beside another one that asks for 20 times its share, in a simulated thread whose turns, reads, writes and servers take the times that
 * were measured of real ones: what the quiet one notices. The benchmark's scenario `fair` shows the same of real sockets.
 */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {TimeAccount} from '#src/balance/time-account.ts';
import {TimeShares} from '#src/balance/time-shares.ts';
import {LIMITS} from '#src/core/limits.ts';

const QUIET_CONNECTIONS = 16, CROWD_CONNECTIONS = 20 * QUIET_CONNECTIONS;
/** Of the quiet one's connections before each request, at random. */
const PAUSE_MS_MAX = 6;
/** What the thread needs for a turn of its loop without events, a head that it reads, a request that it sends on and a response; and how long the server takes. */
const TURN_MS = 0.004, HEAD_MS = 0.006, FORWARD_MS = 0.009, RESPONSE_MS = 0.009, SERVER_MS = 0.05;
const SPAN_MS = 2_000, TICK_MS = 250;

interface Event {
  readonly atMs: number;
  readonly account: TimeAccount;
  readonly sentMs: number;
  readonly type: 'head' | 'response';
  /** The round in which it has its turn. */
  readonly round: number;
}

/** Numbers from 0 to 1 that are the same in each run (a linear congruential generator). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

class Thread {
  readonly quiet = new TimeAccount(1, null);
  readonly crowd = new TimeAccount(1, null);
  readonly latencies: number[] = [];
  answeredToCrowd = 0;
  #nowMs = 1_000;
  #events: Event[] = [];
  readonly #shares = new TimeShares(() => undefined);
  readonly #random: () => number;
  /** Clients of the crowd see their answers, and send again, all at once, so often. */
  readonly #batchMs: number;

  constructor(seed: number, batchMs: number, crowdConnections: number) {
    this.#random = createRandom(seed);
    this.#batchMs = batchMs;
    for (let i = 0; i < QUIET_CONNECTIONS; i++) this.#sendQuiet();
    for (let i = 0; i < crowdConnections; i++) this.#add(this.#nowMs, this.crowd, this.#nowMs, 'head');
  }

  #add(atMs: number, account: TimeAccount, sentMs: number, type: Event['type'], round = -1): void {
    this.#events.push({atMs, account, sentMs, type, round});
  }

  #sendQuiet(): void {
    const sentMs = Math.ceil(this.#nowMs + this.#random() * PAUSE_MS_MAX);
    this.#add(sentMs, this.quiet, sentMs, 'head');
  }

  run(): void {
    const endMs = this.#nowMs + SPAN_MS;
    let tickMs = this.#nowMs + TICK_MS;
    while (this.#nowMs < endMs) {
      this.#turn();
      if (this.#nowMs < tickMs) continue;
      this.#shares.tick(this.#nowMs);
      tickMs = this.#nowMs + TICK_MS;
    }
  }

  #turn(): void {
    const firstMs = this.#events.reduce((first, {atMs}) => Math.min(first, atMs), Infinity);
    if (!this.#shares.hasWaiters) this.#nowMs = Math.max(this.#nowMs, firstMs);
    this.#nowMs += TURN_MS;
    const polledMs = this.#nowMs, due = this.#events.filter(({atMs}) => atMs <= polledMs).sort((a, b) => a.atMs - b.atMs);
    this.#events = this.#events.filter(({atMs}) => atMs > polledMs);
    for (const event of due) {
      if (event.type === 'head') this.#read(event);
      else this.#respond(event);
    }
    this.#shares.serve(this.#nowMs);
  }

  #spend(account: TimeAccount, costMs: number): void {
    this.#nowMs += costMs;
    this.#shares.touch(account, this.#nowMs);
    if (this.#shares.isContended) this.#shares.charge(account, costMs, this.#nowMs);
  }

  #read(event: Event): void {
    const {account, round} = event;
    this.#spend(account, HEAD_MS);
    if (round === this.#shares.round || !this.#shares.mustWait(account, this.#nowMs)) this.#forward(event);
    else {
      this.#shares.wait(account, {nextWaiter: null, waitingSinceMs: 0, proceed: () => {
        this.#forward(event);
        return false;
      }}, this.#nowMs);
    }
  }

  #forward({account, sentMs}: Event): void {
    this.#spend(account, FORWARD_MS);
    this.#add(this.#nowMs + SERVER_MS, account, sentMs, 'response');
  }

  #respond({account, sentMs}: Event): void {
    this.#spend(account, RESPONSE_MS);
    if (account === this.quiet) {
      this.latencies.push(this.#nowMs - sentMs);
      return this.#sendQuiet();
    }
    this.answeredToCrowd++;
    const nextMs = (Math.floor(this.#nowMs / this.#batchMs) + 1) * this.#batchMs;
    if (account.waiters < LIMITS.restWaitersMin) return this.#add(nextMs, account, nextMs, 'head');
    this.#shares.wait(account, {nextWaiter: null, waitingSinceMs: 0, proceed: () => {
      this.#add(Math.max(this.#nowMs, nextMs), account, nextMs, 'head', this.#shares.round);
      return true;
    }}, this.#nowMs);
  }
}

function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(part * values.length)] ?? NaN;
}

for (const batchMs of [0.2, 1, 2]) {
  test(`99 of 100 requests take at most twice as long beside a crowd that sends every ${batchMs} ms`, () => {
    const [alone, beside] = [0, CROWD_CONNECTIONS].map((connections) => {
      const thread = new Thread(1, batchMs, connections);
      thread.run();
      return thread;
    }) as [Thread, Thread];
    const aloneMs = percentile(alone.latencies, 0.99), besideMs = percentile(beside.latencies, 0.99);
    assert.ok(besideMs <= 2 * aloneMs, `${besideMs} ms beside the crowd, ${aloneMs} ms alone`);
    assert.ok(Math.max(...beside.latencies) < LIMITS.timeWaitMsMax, 'none would have been refused');
    // What fairness costs: the thread does not spend its time on turns.
    assert.ok(beside.answeredToCrowd > 0.85 * SPAN_MS / (HEAD_MS + FORWARD_MS + RESPONSE_MS) - beside.latencies.length, `${beside.answeredToCrowd} answers to the crowd`);
  });
}
