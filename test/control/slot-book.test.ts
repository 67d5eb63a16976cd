import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import type {Configuration} from '#src/control/configuration.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {CUSTOMER, CUSTOMER_ROW_LENGTH, openRow} from '#src/shared/counters.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {PLACE_KINDS} from '#src/shared/place-kinds.ts';
import {makeCustomer, makePool, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

const THREADS = 2, HOUR_MS = 3_600_000;
const ACME = makeCustomer('acme'), GLOBEX = makeCustomer('globex');

function assign(book: SlotBook, customers: readonly CustomerSnapshot[]): Configuration {
  return book.assign(makeSnapshot('r', customers));
}

function endpointOf(configuration: Configuration, customer: string): EndpointSlot {
  const [ref] = Object.values(configuration.assignments.get(customer)?.endpoints ?? {});
  assert.ok(ref !== undefined);
  return new EndpointSlot(ref, THREADS, 1);
}

function rowOf(configuration: Configuration, customer: string): Float64Array {
  const assignment = configuration.assignments.get(customer);
  assert.ok(assignment !== undefined);
  return openRow(assignment.counters, CUSTOMER_ROW_LENGTH, 0);
}

test('every customer, pool and endpoint has a slot of its own, and keeps it', () => {
  const book = new SlotBook(THREADS);
  const first = assign(book, [ACME, GLOBEX]);
  const acme = first.assignments.get('acme'), globex = first.assignments.get('globex');
  assert.ok(acme !== undefined && globex !== undefined);
  assert.deepEqual(Object.keys(acme.poolCounters), ['', 'web']);
  assert.deepEqual(Object.keys(acme.endpoints), ['web 127.0.0.1 9']);
  const offsets = [...Object.values(acme.poolCounters), ...Object.values(globex.poolCounters)].map(({byteOffset}) => byteOffset);
  assert.equal(new Set(offsets).size, 4);
  const again = assign(book, [GLOBEX, {...ACME, revision: '2'}]).assignments.get('acme');
  assert.deepEqual([again?.counters, again?.poolCounters, again?.endpoints], [acme.counters, acme.poolCounters, acme.endpoints]);
});

test('only customers that have changed get an assignment of their own', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME, GLOBEX]);
  const after = book.assign(makeSnapshot('r', [{...ACME, revision: '2'}, GLOBEX]), before);
  assert.equal(after.assignments.get('globex'), before.assignments.get('globex'));
  assert.equal(after.assignments.get('acme')?.snapshot.revision, '2');
});

test('whoever came and whoever went is told from those who stay', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME, GLOBEX]);
  const after = book.assign(makeSnapshot('r', [GLOBEX, makeCustomer('initech')]), before);
  assert.deepEqual([...after.assignments.keys()].sort(), ['globex', 'initech']);
  assert.deepEqual([...before.assignments.keys()], ['acme', 'globex'], 'what is in force stays as it is');
  assert.equal(after.assignments.get('globex'), before.assignments.get('globex'));
});

test('the slots of a removed customer are zeroed and given away after a while, not at once', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME, GLOBEX]);
  rowOf(before, 'globex')[CUSTOMER.bytesSent] = 7;
  const after = assign(book, [ACME]);
  book.sweep(after, 0);
  book.sweep(after, 1000);
  assert.equal(rowOf(before, 'globex')[CUSTOMER.bytesSent], 7);
  book.sweep(after, HOUR_MS);
  assert.equal(rowOf(before, 'globex')[CUSTOMER.bytesSent], 0);
  const newcomer = assign(book, [ACME, makeCustomer('initech')]);
  assert.deepEqual(newcomer.assignments.get('initech')?.counters, before.assignments.get('globex')?.counters);
});

test('a customer that comes back in time has its numbers still', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME]);
  rowOf(before, 'acme')[CUSTOMER.bytesSent] = 7;
  book.sweep(assign(book, []), 0);
  const back = assign(book, [ACME]);
  book.sweep(back, HOUR_MS);
  book.sweep(back, 2 * HOUR_MS);
  assert.equal(rowOf(back, 'acme')[CUSTOMER.bytesSent], 7);
});

test('nothing of a customer is freed while a request is in flight on a former endpoint', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME]);
  endpointOf(before, 'acme').tryBeginRequest(Infinity);
  rowOf(before, 'acme')[CUSTOMER.bytesSent] = 7;
  const after = assign(book, []);
  book.sweep(after, 0);
  book.sweep(after, HOUR_MS);
  assert.equal(rowOf(before, 'acme')[CUSTOMER.bytesSent], 7);
  endpointOf(before, 'acme').endRequest();
  book.sweep(after, HOUR_MS + 1);
  assert.equal(rowOf(before, 'acme')[CUSTOMER.bytesSent], 0);
});

test('a removed pool is freed while its customer stays', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [makeCustomer('acme', {pools: [makePool(), makePool({name: 'api'})]})]);
  const apiCounters = before.assignments.get('acme')?.poolCounters['api'];
  const after = assign(book, [ACME]);
  book.sweep(after, 0);
  book.sweep(after, HOUR_MS);
  const later = assign(book, [makeCustomer('acme', {pools: [makePool(), makePool({name: 'shop'})]})]);
  assert.deepEqual(later.assignments.get('acme')?.poolCounters['shop'], apiCounters);
});

test('what a dead thread had in flight is taken back, on former endpoints too', () => {
  const book = new SlotBook(THREADS);
  const before = assign(book, [ACME, GLOBEX]);
  for (const customer of ['acme', 'globex']) {
    endpointOf(before, customer).tryBeginRequest(Infinity);
    endpointOf(before, customer).openConnection();
  }
  assign(book, [ACME]);
  book.forgetThread(0);
  assert.deepEqual(['acme', 'globex'].map(customer => endpointOf(before, customer).requests), [1, 1]);
  book.forgetThread(1);
  assert.deepEqual(['acme', 'globex'].map(customer => endpointOf(before, customer).requests), [0, 0]);
  assert.deepEqual(['acme', 'globex'].map(customer => endpointOf(before, customer).connections), [0, 0]);
});

for (const kind of PLACE_KINDS) {
  test(`${kind} of a dead thread are taken back, and those that are left keep what a removed customer had`, () => {
    const book = new SlotBook(THREADS);
    const before = assign(book, [ACME]);
    const ref = before.assignments.get('acme')?.places[kind];
    assert.ok(ref !== undefined);
    const [one, two] = [0, 1].map((thread) => new PlaceCount(ref, THREADS, thread));
    assert.ok(one !== undefined && two !== undefined);
    one.begin();
    two.begin();
    book.forgetThread(1);
    assert.equal(one.total, 1);
    rowOf(before, 'acme')[CUSTOMER.bytesSent] = 7;
    const after = assign(book, []);
    book.sweep(after, 0);
    book.sweep(after, HOUR_MS);
    assert.equal(rowOf(before, 'acme')[CUSTOMER.bytesSent], 7);
    one.end();
    book.sweep(after, HOUR_MS + 1);
    assert.equal(rowOf(before, 'acme')[CUSTOMER.bytesSent], 0);
  });
}

test('tunnels of a dead thread are closed, those of others are not', () => {
  const book = new SlotBook(THREADS);
  const configuration = assign(book, [ACME]);
  const rows = [0, 1].map((thread) => openRow(configuration.assignments.get('acme')?.counters ?? assert.fail(), CUSTOMER_ROW_LENGTH, thread));
  for (const row of rows) row[CUSTOMER.tunnelsOpened] = 5;
  book.forgetThread(1);
  assert.deepEqual(rows.map((row) => row[CUSTOMER.tunnelsClosed]), [0, 5]);
});
