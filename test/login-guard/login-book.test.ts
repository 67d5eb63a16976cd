import assert from 'node:assert/strict';
import {test} from 'node:test';
import {LoginBook} from '#src/control/login-book.ts';
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import type {LoginEvents} from '#src/shared/messages.ts';
import {createLogLines} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

const GUARD: LoginGuardSnapshot = {
  name: 'shop', paths: ['/login'], methods: ['POST'], account: null, failure: {statuses: [401], redirectPaths: [], cookie: null},
  windowMs: 1, pairFailures: 2, clientFailures: 2, accountFailures: 2, delayMaxMs: 0, ban: null, isEnforced: true,
};

function event(overrides: Partial<LoginEvents>): LoginEvents {
  return {customer: 'acme', guard: 'shop', stage: 'limited', detection: 'stuffing', client: '203.0.113.1', count: 2, ...overrides};
}

test('totals of all threads are added up, one for each stage and detection of the configuration', () => {
  const book = new LoginBook(createLogLines().log);
  const snapshot = makeSnapshot('1', [makeCustomer('acme', {loginGuards: [GUARD]})]);
  book.add([event({}), event({guard: 'gone'})]);
  book.add([event({count: 3}), event({stage: 'failed', detection: 'none', count: 7})]);
  const totals = book.list(snapshot);
  assert.equal(totals.length, 10);
  assert.deepEqual(totals.filter(({count}) => count > 0).map(({stage, detection, count}) => [stage, detection, count]), [['failed', 'none', 7], ['limited', 'stuffing', 5]]);
  assert.deepEqual(book.list(makeSnapshot('2')), []);
  assert.ok(book.list(snapshot).every(({count}) => count === 0), 'what a reload takes away is forgotten');
});

test('what is done to somebody is in the audit log, and single failures are not', () => {
  const {log, lines} = createLogLines();
  new LoginBook(log).add([event({}), event({stage: 'failed', detection: 'none'}), event({stage: 'banned'}), event({stage: 'delayed', detection: 'brute_force'})]);
  assert.deepEqual(lines.map(({msg, audit, customer, guard, stage, detection, client, count}) => ({msg, audit, customer, guard, stage, detection, client, count})), [
    {msg: 'logins are refused', audit: 'login', ...event({})},
    {msg: 'a client is banned for its logins', audit: 'login', ...event({stage: 'banned'})},
    {msg: 'logins are delayed', audit: 'login', ...event({stage: 'delayed', detection: 'brute_force'})},
  ]);
});
