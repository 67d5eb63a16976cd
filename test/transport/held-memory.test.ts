/** Memory that is held for others, as its holders tell it. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import type {ClientKey, PlaceAccount} from '#src/balance/fair-places.ts';
import {createSharedMemory, forgetPlacesOfThread} from '#src/control/shared-memory.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import type {SlotRef} from '#src/shared/slots.ts';
import {HeldMemory, Holding, type Holder} from '#src/transport/held-memory.ts';
import {makePlaces, makeSlot} from '#test/balance/places.ts';
import {testProperty} from '#test/support/property.ts';

const BLOCK = LIMITS.heldBlockBytes;
const CLIENT: ClientKey = {keyHigh: 7, keyLow: 11};
const OTHER: ClientKey = {keyHigh: 8, keyLow: 12};

class FakeHolder implements Holder {
  heldBytes = 0;
  heldFor: ClientKey = CLIENT;
  heldAccount: PlaceAccount | null;
  readonly holding = new Holding(this);

  constructor(account: PlaceAccount | null) {
    this.heldAccount = account;
  }

  hold(bytes: number): this {
    this.heldBytes = bytes;
    return this;
  }
}

interface Stage {
  readonly held: HeldMemory;
  readonly account: PlaceAccount;
}

class Books {
  readonly memory: SharedMemory;
  readonly slot: SlotRef;
  readonly #threads: number;

  constructor(threads = 1) {
    this.memory = createSharedMemory(threads, 100);
    this.slot = makeSlot(threads);
    this.#threads = threads;
  }

  open(thread = 0, max = 1000): Stage {
    const {places, account} = makePlaces({memory: this.memory, account: this.slot, kind: 'buffers', scope: 'node', max}, this.#threads, thread);
    return {held: new HeldMemory(places), account};
  }

  /** Of the node, of the first client, of the customer. */
  read(): readonly number[] {
    const {node, clients} = this.memory.places.buffers;
    return [new PlaceCount(node, this.#threads, 0).total, new ClientCounts(clients, this.#threads, 0).countOf(CLIENT.keyHigh, CLIENT.keyLow), new PlaceCount(this.slot, this.#threads, 0).total];
  }
}

test('what stays is counted in whole blocks, at ticks, until it is gone', () => {
  const books = new Books(), {held, account} = books.open();
  const holder = new FakeHolder(account);
  held.watch(holder.hold(BLOCK - 1).holding);
  held.tick();
  assert.deepEqual([books.read(), holder.holding.isListed], [[0, 0, 0], false], 'less than a block is not watched');
  held.watch(holder.hold(3 * BLOCK).holding);
  assert.deepEqual(books.read(), [0, 0, 0], 'what may pass is not counted');
  held.tick();
  assert.deepEqual(books.read(), [3, 3, 3]);
  holder.hold(5 * BLOCK + 1);
  held.tick();
  assert.deepEqual(books.read(), [5, 5, 5]);
  holder.hold(BLOCK);
  held.tick();
  assert.deepEqual(books.read(), [1, 1, 1]);
  holder.hold(0);
  held.tick();
  assert.deepEqual([books.read(), holder.holding.isListed], [[0, 0, 0], false]);
});

test('what is collected counts at once, and the fault says when it is too much', () => {
  const books = new Books(), {held, account} = books.open(0, 4);
  const holder = new FakeHolder(account);
  assert.equal(held.grow(holder.hold(3 * BLOCK).holding), null);
  assert.deepEqual([books.read(), held.judge(CLIENT, account)], [[3, 3, 3], null]);
  assert.equal(held.grow(holder.hold(4 * BLOCK).holding), null);
  assert.equal(held.judge(CLIENT, account), 'buffers_total', 'nobody may begin');
  assert.equal(held.grow(holder.hold(5 * BLOCK).holding), 'buffers_total');
  assert.equal(held.judge(OTHER, account), 'buffers_total');
  held.drop(holder.holding);
  assert.deepEqual([books.read(), held.judge(CLIENT, account)], [[0, 0, 0], null]);
});

test('a holder that is dropped and watched again before a tick is asked once', () => {
  const books = new Books(), {held, account} = books.open();
  const holder = new FakeHolder(account).hold(BLOCK);
  for (let i = 0; i < 3; i++) {
    held.grow(holder.holding);
    held.drop(holder.holding);
  }
  held.watch(holder.holding);
  held.tick();
  assert.deepEqual(books.read(), [1, 1, 1]);
  held.drop(holder.holding);
  held.drop(holder.holding);
  held.tick();
  assert.deepEqual(books.read(), [0, 0, 0]);
});

test('what is held for another customer or client moves with the next tick', () => {
  const books = new Books(), {held, account} = books.open();
  const holder = new FakeHolder(null).hold(2 * BLOCK);
  held.watch(holder.holding);
  held.tick();
  assert.deepEqual(books.read(), [2, 2, 0], 'nobody\'s');
  holder.heldAccount = account;
  held.tick();
  assert.deepEqual(books.read(), [2, 2, 2]);
  const second = {...account, customer: 'globex', count: new PlaceCount(makeSlot(1), 1, 0)};
  holder.heldAccount = second;
  holder.heldFor = OTHER;
  held.tick();
  assert.deepEqual([books.read(), second.count.total], [[2, 0, 0], 2]);
  held.drop(holder.holding);
  assert.deepEqual([books.read(), second.count.total], [[0, 0, 0], 0]);
});

test('threads count together, and what a dead one held is free', () => {
  const books = new Books(2);
  const [one, two] = [books.open(0, 10), books.open(1, 10)];
  one.held.grow(new FakeHolder(one.account).hold(6 * BLOCK).holding);
  two.held.grow(new FakeHolder(two.account).hold(3 * BLOCK).holding);
  assert.deepEqual([books.read(), one.held.judge(OTHER, one.account)], [[9, 9, 9], null]);
  assert.equal(two.held.grow(new FakeHolder(two.account).hold(BLOCK).holding), null);
  assert.equal(one.held.grow(new FakeHolder(one.account).hold(BLOCK).holding), 'buffers_total');
  assert.equal(one.held.judge(OTHER, one.account), 'buffers_total');
  forgetPlacesOfThread(books.memory, 2, 1);
  new PlaceCount(books.slot, 2, 1).forgetThread();
  assert.deepEqual([books.read(), one.held.judge(OTHER, one.account)], [[7, 7, 7], null]);
});

const anyStep = fc.record({holder: fc.nat(3), act: fc.constantFrom('watch', 'grow', 'drop', 'tick', 'move'), bytes: fc.nat(10 * BLOCK), target: fc.nat(2)});

testProperty('whatever happens: after a tick the counts are the sums, and after the last drop they are nothing', fc.property(fc.array(anyStep, {maxLength: 60}), (steps) => {
  const books = new Books(), {held, account} = books.open();
  const second = {...account, customer: 'globex', count: new PlaceCount(makeSlot(1), 1, 0)};
  const holders = [0, 1, 2, 3].map(() => new FakeHolder(account));
  const gone = new Set(holders);
  for (const {holder: index, act, bytes, target} of steps) {
    const holder = holders[index];
    assert.ok(holder);
    holder.hold(act === 'tick' ? holder.heldBytes : bytes);
    if (act === 'watch' || act === 'grow') {
      held[act](holder.holding);
      gone.delete(holder);
    } else if (act === 'drop') {
      held.drop(holder.holding);
      gone.add(holder);
    } else if (act === 'move') {
      holder.heldAccount = [account, second, null][target] ?? null;
      holder.heldFor = target === 0 ? CLIENT : OTHER;
    } else {
      held.tick();
      for (const each of holders) if (each.heldBytes < BLOCK) gone.add(each);
      const sumOf = (isMeant: (each: FakeHolder) => boolean): number => holders.filter((each) => !gone.has(each) && isMeant(each)).reduce((sum, each) => sum + Math.floor(each.heldBytes / BLOCK), 0);
      assert.deepEqual(books.read(), [sumOf(() => true), sumOf(({heldFor}) => heldFor === CLIENT), sumOf(({heldAccount}) => heldAccount === account)]);
      assert.equal(second.count.total, sumOf(({heldAccount}) => heldAccount === second));
    }
  }
  for (const {holding} of holders) held.drop(holding);
  assert.deepEqual([books.read(), second.count.total], [[0, 0, 0], 0]);
}), 100);
