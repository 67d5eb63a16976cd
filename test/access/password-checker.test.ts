import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {PasswordChecker, type PasswordJob} from '#src/proxy/password-checker.ts';
import {scryptHash} from '#test/access/passwords.ts';
import {eventually} from '#test/support/eventually.ts';

const HASH = scryptHash('secret');

interface Stage {
  readonly checker: PasswordChecker;
  readonly bugs: unknown[];
  /** `customer password: answer`, in the order of the answers. */
  readonly answers: string[];
  /** Whether there was room. */
  readonly ask: (customer: string, password: string, options?: {readonly hash?: string; readonly isWanted?: boolean}) => boolean;
}

function createStage(context: TestContext): Stage {
  const bugs: unknown[] = [];
  const answers: string[] = [];
  const checker = new PasswordChecker((error) => { bugs.push(error); });
  context.after(() => checker.close());
  return {
    checker, bugs, answers,
    ask: (customer, password, {hash = HASH, isWanted = true} = {}) => {
      const job: PasswordJob = {customer, password, hash, start: () => isWanted, finish: (matches) => { answers.push(`${customer} ${password}: ${matches}`); }};
      return checker.enqueue(job);
    },
  };
}

test('customers take turns, and what nobody wants any more is not checked', async (context) => {
  const {ask, answers} = createStage(context);
  for (const password of ['a', 'b', 'secret']) ask('acme', password);
  ask('globex', 'gone', {isWanted: false});
  ask('globex', 'secret');
  await eventually('all are answered', () => answers.length === 4);
  assert.deepEqual(answers, ['acme a: false', 'acme b: false', 'globex secret: true', 'acme secret: true']);
});

test('one customer cannot fill the line of the others, and the line has an end', (context) => {
  const {ask} = createStage(context);
  const customers = LIMITS.passwordsWaitingMax / LIMITS.passwordsWaitingPerCustomerMax;
  for (let customer = 0; customer < customers; customer++) {
    for (let i = 0; i < LIMITS.passwordsWaitingPerCustomerMax; i++) assert.ok(ask(`customer-${customer}`, 'x'));
    assert.ok(!ask(`customer-${customer}`, 'x'));
  }
  assert.ok(!ask('another', 'x'));
});

test('a thread that dies leaves its question without an answer, and the next thread goes on', async (context) => {
  const {ask, answers, bugs} = createStage(context);
  ask('acme', 'x', {hash: 'what the configuration lets pass by mistake'});
  ask('acme', 'secret');
  await eventually('both have ended', () => answers.length === 2);
  assert.deepEqual(answers, ['acme x: null', 'acme secret: true']);
  assert.equal(bugs.length, 1);
});
