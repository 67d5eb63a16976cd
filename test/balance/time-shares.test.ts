/** Shares of a thread's time, in a simulated loop of events: nothing here takes time by itself. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {TimeAccount, type Waiter} from '#src/balance/time-account.ts';
import {TimeShares} from '#src/balance/time-shares.ts';
import {LIMITS} from '#src/core/limits.ts';
import {testProperty} from '#test/support/property.ts';

const SLICE_MS = LIMITS.timeSliceMs, COST_MS = SLICE_MS / 5;

/** What one customer wants done: `pending` requests, of which each takes `costMs`. */
interface Load {
  readonly account: TimeAccount;
  readonly costMs: number;
  pending: number;
  servedMs: number;
  waits: number;
}

function load(weight: number, pending: number, costMs = COST_MS): Load {
  return {account: new TimeAccount(weight, null), costMs, pending, servedMs: 0, waits: 0};
}

/** One thread: in a turn of its loop it sees one event of every connection, and then lets those proceed that wait. */
class Loop {
  nowMs = 1000;
  isWaiting = false;
  readonly shares = new TimeShares(() => { this.isWaiting = true; });

  /** Everything that is pending comes at once. Returns how long the turn was. */
  turn(loads: readonly Load[]): number {
    const startMs = this.nowMs;
    for (const each of loads) {
      for (let left = each.pending; left > 0; left--) this.#arrive(each);
    }
    if (this.shares.hasWaiters) this.shares.serve(this.nowMs);
    return this.nowMs - startMs;
  }

  work(each: Load): void {
    this.shares.touch(each.account, this.nowMs);
    this.nowMs += each.costMs;
    each.servedMs += each.costMs;
    this.shares.charge(each.account, each.costMs, this.nowMs);
  }

  #arrive(each: Load): void {
    each.pending--;
    if (!this.shares.mustWait(each.account, this.nowMs)) this.work(each);
    else {
      each.waits++;
      const waiter: Waiter = {nextWaiter: null, waitingSinceMs: 0, proceed: () => {
        this.work(each);
        return false;
      }};
      this.shares.wait(each.account, waiter, this.nowMs);
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.shares.tick(this.nowMs);
  }
}

test('a customer that is alone never waits, whatever it asks for', () => {
  const loop = new Loop(), flood = load(1, 1000);
  loop.turn([flood]);
  assert.deepEqual([flood.waits, loop.isWaiting, loop.shares.isContended], [0, false, false]);
});

test('nobody waits while the thread has time', () => {
  const loop = new Loop(), a = load(1, 0), b = load(1, 0);
  for (let i = 0; i < 1000; i++) {
    a.pending = 2;
    b.pending = 1;
    loop.turn([a, b]);
    loop.pass(10 * COST_MS);
  }
  assert.deepEqual([a.waits, b.waits], [0, 0]);
});

test('the one over its share waits, and the other one is served at once', () => {
  const loop = new Loop(), flood = load(1, 1), quiet = load(1, 1);
  loop.turn([flood, quiet]);
  flood.pending = 1000;
  loop.turn([flood]);
  assert.ok(flood.waits > 850, `${flood.waits} waits`);
  assert.equal(loop.isWaiting, true);
  quiet.pending = 1;
  const turnMs = loop.turn([quiet]);
  assert.equal(quiet.waits, 0);
  assert.ok(turnMs < 2 * SLICE_MS + 3 * COST_MS, `a turn takes ${turnMs} ms`);
});

test('nothing that waits is left behind while there is nothing else to do', () => {
  const loop = new Loop(), flood = load(1, 1), quiet = load(1, 1);
  loop.turn([flood, quiet]);
  flood.pending = 1000;
  loop.turn([flood]);
  const startMs = loop.nowMs;
  while (loop.shares.hasWaiters) loop.turn([]);
  assert.ok(Math.abs(flood.servedMs - 1001 * COST_MS) < 1e-6);
  assert.ok(loop.nowMs - startMs <= 1000 * COST_MS + 1e-6, 'no moment passed idle');
});

test('who has had nothing for a while is not counted among those who share', () => {
  const loop = new Loop(), flood = load(1, 1), quiet = load(1, 1);
  loop.turn([flood, quiet]);
  loop.pass(LIMITS.timeActiveMs);
  flood.pending = 1000;
  loop.turn([flood]);
  assert.equal(flood.waits, 0);
});

test('as many at once as a page brings wait for nothing, however many others there are', () => {
  const loop = new Loop(), flood = load(1, 1), quiet = load(1, 1), others = Array.from({length: 100}, () => load(1, 1));
  loop.turn([flood, quiet, ...others]);
  flood.pending = 1000;
  loop.turn([flood]);
  assert.ok(loop.shares.hasWaiters);
  loop.pass(1);
  quiet.pending = 12;
  loop.turn([quiet]);
  assert.ok(loop.shares.hasWaiters);
  assert.equal(quiet.waits, 0);
});

test('of those whose events are yet to come, two at once have their turns', () => {
  const loop = new Loop(), flood = load(1, 1), quiet = load(1, 1);
  let proceeded = 0;
  loop.turn([flood, quiet]);
  for (let i = 0; i < 10; i++) {
    loop.shares.wait(flood.account, {nextWaiter: null, waitingSinceMs: 0, proceed: () => ++proceeded > 0}, loop.nowMs);
  }
  for (const expected of [2, 4, 6]) {
    loop.shares.serve(loop.nowMs);
    assert.equal(proceeded, expected);
  }
  assert.equal(flood.account.waiters, 4);
});

test('what was borrowed is forgotten soon', () => {
  const loop = new Loop(), a = load(1, 1), b = load(1, 1);
  loop.turn([a, b]);
  for (a.pending = 5000; a.pending > 0 || loop.shares.hasWaiters;) loop.turn([a]);
  loop.turn([b]);
  loop.nowMs += 2;
  const before = a.waits;
  a.pending = 5;
  loop.turn([a]);
  assert.equal(a.waits, before);
});

testProperty('those who want more than there is have time by their weights', fc.property(
  fc.array(fc.record({weight: fc.integer({min: 1, max: 20}), cost: fc.double({min: 0.02, max: 0.5, noNaN: true})}), {minLength: 2, maxLength: 6}),
  (customers) => {
    const loop = new Loop(), loads = customers.map(({weight, cost}) => load(weight, 1, cost * SLICE_MS));
    loop.turn(loads);
    for (const each of loads) each.pending = Math.ceil(1000 * SLICE_MS / each.costMs);
    loop.turn(loads);
    for (const each of loads) each.servedMs = 0;
    for (let turns = 0; turns < 300; turns++) loop.turn([]);
    const total = loads.reduce((sum, {servedMs}) => sum + servedMs, 0), weights = loads.reduce((sum, {account}) => sum + account.weight, 0);
    for (const {account, servedMs, costMs} of loads) {
      const due = total * account.weight / weights;
      // A request is not cut in two, and a debt of two slices may be left at either end.
      assert.ok(Math.abs(servedMs - due) <= 5 * SLICE_MS + 2 * costMs, `${servedMs} ms instead of ${due} ms`);
    }
  }));
