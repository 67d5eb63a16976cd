/** Whether a user exists cannot be told from how long the check takes, which the hash that is checked decides. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Clock} from '#src/core/clock.ts';
import {parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {identifyClient} from '#src/policy/client-identity.ts';
import {BasicAuth} from '#src/proxy/basic-auth.ts';
import {PasswordChecker, type PasswordJob} from '#src/proxy/password-checker.ts';
import {RequestFacts} from '#src/proxy/request-facts.ts';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {authorization, basic} from '#test/access/passwords.ts';
import {FakeTime} from '#test/support/fake-time.ts';

const USERS = {alice: 'cheap', bob: 'dear', carol: 'dearest'};

class Listening extends PasswordChecker {
  readonly hashes: string[] = [];

  override enqueue({hash}: PasswordJob): boolean {
    this.hashes.push(hash);
    return true;
  }
}

/** The hashes that a proxy thread checks for these names. */
function hashesFor(secret: Uint8Array, names: readonly string[]): readonly string[] {
  const hash = new KeyedHash(secret);
  const passwords = new Listening(assert.ifError);
  const gate = new BasicAuth({clock: new Clock(new FakeTime()), hash, buckets: new RateBuckets(new SharedArrayBuffer(RateBuckets.byteLength(64))), passwords}, 'acme', basic(USERS));
  const ip = parseIp('192.0.2.1');
  assert.ok(ip !== null);
  for (const name of names) {
    const text = `GET / HTTP/1.1\r\nhost: acme.test\r\n${authorization(name, 'x')}\r\n`;
    const head = new RequestHead(), facts = new RequestFacts();
    assert.equal(head.parse(Buffer.from(text, 'latin1'), 0, text.length), text.length);
    facts.client = identifyClient(ip, 'https', hash);
    assert.equal(gate.open(head, facts, {onVerdict: () => assert.fail('nothing is checked here')}).type, 'pending');
  }
  return passwords.hashes;
}

const NAMES = Array.from({length: 300}, (_, i) => `user-${i}`);

test('a name that nobody has costs as much as one of the users: every cost comes up', () => {
  const hashes = hashesFor(new Uint8Array(8).fill(1), NAMES);
  // With a third expected for each, fewer than 60 of 300 is out of the question.
  for (const hash of Object.values(USERS)) assert.ok(hashes.filter((one) => one === hash).length > 60, hash);
});

test('always the same for a name, on every thread', () => {
  const secret = new Uint8Array(8).fill(2);
  assert.deepEqual(hashesFor(secret, NAMES), hashesFor(secret, NAMES));
});

test('nobody outside can foresee which', () => {
  assert.notDeepEqual(hashesFor(new Uint8Array(8).fill(3), NAMES), hashesFor(new Uint8Array(8).fill(4), NAMES));
});

test('a user costs what the hash of the user costs', () => {
  assert.deepEqual(hashesFor(new Uint8Array(8), Object.keys(USERS)), Object.values(USERS));
});
