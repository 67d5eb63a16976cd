import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {parseCidrs, parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BanBook, type Ban} from '#src/control/ban-book.ts';
import {BanTable, createBanScope} from '#src/shared/ban-table.ts';
import {testProperty} from '#test/support/property.ts';

const SECRET = new Uint8Array(32).fill(3);
const START_MS = 1_700_000_000_000;
const MINUTE_MS = 60_000;

interface Stage {
  readonly book: BanBook;
  readonly time: {nowMs: number};
  /** `change network by`. */
  readonly changes: string[];
  readonly ban: (network: string, forMs?: number, customer?: string | null) => Ban;
  readonly refusal: (network: string, options?: {readonly customer?: string; readonly reason?: string; readonly forMs?: number}) => string;
  /** What proxy threads read: end of the bans that cover the address. */
  readonly endMs: (address: string, customer?: string | null) => number;
}

function createStage(bansMax = 100, allow: readonly string[] = []): Stage {
  const table = new BanTable(new SharedArrayBuffer(BanTable.byteLength(bansMax)), bansMax, new KeyedHash(SECRET));
  const time = {nowMs: START_MS};
  const changes: string[] = [];
  const book = new BanBook({
    table, bansMax, hash: new KeyedHash(SECRET), now: () => time.nowMs, onChange: (change, {network}, by) => changes.push(`${change} ${network} ${by}`),
  });
  book.configure({neverBanned: parseCidrs(allow).map((network) => ({network, because: 'in a test'})), customers: new Set(['acme'])});
  const order = {reason: 'a test', forMs: MINUTE_MS, source: 'somebody'};
  return {
    book, time, changes,
    ban: (network, forMs = MINUTE_MS, customer = null) => {
      const outcome = book.ban({...order, network, forMs, customer});
      assert.ok(outcome.ok, network);
      return outcome.ban;
    },
    refusal: (network, options = {}) => {
      const outcome = book.ban({...order, customer: null, network, ...options});
      assert.ok(!outcome.ok, network);
      return outcome.error;
    },
    endMs: (address, customer = null) => table.findEndMs(createBanScope(customer, new KeyedHash(SECRET)), parseIp(address) ?? assert.fail()),
  };
}

test('a ban is in the list and in shared memory, in canonical form and whole seconds', () => {
  const {book, time, changes, ban, endMs} = createStage();
  time.nowMs = START_MS + 1;
  assert.deepEqual(ban('2001:DB8::0/64', 1_500, 'acme'), {
    customer: 'acme', network: '2001:db8::/64', reason: 'a test', source: 'somebody', sinceMs: START_MS, untilMs: START_MS + 2_000,
  });
  assert.equal(endMs('2001:db8::9', 'acme'), START_MS + 2_000);
  assert.equal(endMs('2001:db8::9'), 0);
  ban('192.0.2.1');
  assert.deepEqual(book.list().map(({network}) => network), ['192.0.2.1/32', '2001:db8::/64']);
  assert.deepEqual(book.count(), {node: 1, customer: 1});
  assert.deepEqual(changes, ['banned 2001:db8::/64 somebody', 'banned 192.0.2.1/32 somebody']);
});

test('bans end by themselves', () => {
  const {book, time, changes, ban, endMs} = createStage();
  ban('192.0.2.1', 2_000);
  ban('192.0.2.2', 1_000);
  time.nowMs += 999;
  book.expire();
  assert.equal(book.size, 2);
  time.nowMs += 1;
  book.expire();
  assert.deepEqual(changes.slice(2), ['expired 192.0.2.2/32 time']);
  assert.deepEqual([endMs('192.0.2.1'), endMs('192.0.2.2')], [START_MS + 2_000, 0]);
});

test('a ban is extended and never shortened', () => {
  const {book, time, changes, ban, endMs} = createStage();
  ban('192.0.2.1', 10_000);
  assert.equal(ban('192.0.2.1', 5_000).untilMs, START_MS + 10_000);
  ban('192.0.2.1', 20_000);
  assert.deepEqual(changes.slice(1), ['extended 192.0.2.1/32 somebody']);
  time.nowMs += 15_000;
  book.expire();
  assert.equal(endMs('192.0.2.1'), START_MS + 20_000);
  assert.equal(book.size, 1);
});

test('unban', () => {
  const {book, changes, ban, endMs} = createStage();
  ban('192.0.2.1', MINUTE_MS, 'acme');
  assert.deepEqual(book.unban(null, '192.0.2.1', 'me'), {ok: false, error: '192.0.2.1/32 is not banned from the node'});
  assert.deepEqual(book.unban('acme', '192.0.2.2', 'me'), {ok: false, error: '192.0.2.2/32 is not banned by acme'});
  assert.equal(book.unban('acme', 'nonsense', 'me').ok, false);
  assert.equal(book.unban('acme', '192.0.2.1/32', 'me').ok, true);
  assert.deepEqual(changes.slice(1), ['unbanned 192.0.2.1/32 me']);
  assert.equal(endMs('192.0.2.1', 'acme'), 0);
});

test('what is refused, and why', () => {
  const {book, refusal} = createStage(100, ['192.0.2.0/28', '::1']);
  assert.equal(refusal('192.0.2.7'), '192.0.2.7/32 cannot be banned: it overlaps 192.0.2.0/28, which is in a test');
  assert.match(refusal('192.0.0.0/16'), /overlaps/, 'larger ones as well');
  assert.match(refusal('::/0'), /overlaps ::1\/128/);
  assert.match(refusal('203.0.113.9/24'), /is not a network/);
  assert.match(refusal('example.com'), /is not a network/);
  assert.equal(refusal('198.51.100.1', {customer: 'nobody'}), 'there is no customer "nobody"');
  for (const reason of ['', ' a', 'a ', 'a\nb', 'a\u001b[31m', 'a\u202eb', 'a\u2028b', 'x'.repeat(LIMITS.banReasonLengthMax + 1)]) {
    assert.match(refusal('198.51.100.1', {reason}), /the reason/, JSON.stringify(reason));
  }
  for (const source of ['', 'A', 'a b', 'a'.repeat(33)]) assert.equal(book.ban({customer: null, network: '198.51.100.1', reason: 'a test', forMs: MINUTE_MS, source}).ok, false);
  for (const forMs of [0, 999, -1, Number.NaN, LIMITS.banMsMax + 1]) assert.match(refusal('198.51.100.1', {forMs}), /lasts/);
  assert.equal(book.size, 0);
});

test('the limits are allowed', () => {
  const {book} = createStage();
  for (const [reason, forMs] of [['x'.repeat(LIMITS.banReasonLengthMax), 1_000], ['Überlast: "#1" 🐢', LIMITS.banMsMax]] as const) {
    assert.equal(book.ban({customer: null, network: '192.0.2.1', reason, forMs, source: 'somebody'}).ok, true, reason);
  }
});

test('a full list loses what would have ended first', () => {
  const {book, changes, ban, endMs} = createStage(3);
  ban('192.0.2.1', 30_000);
  ban('192.0.2.2', 10_000);
  ban('192.0.2.3', 20_000);
  ban('192.0.2.2', 40_000);
  ban('192.0.2.4', 5_000);
  assert.deepEqual(changes.slice(4), ['evicted 192.0.2.3/32 somebody', 'banned 192.0.2.4/32 somebody']);
  assert.equal(book.size, 3);
  assert.equal(endMs('192.0.2.3'), 0);
});

test('a configuration withdraws what it makes impossible, and keeps the rest', () => {
  const {book, changes, ban} = createStage();
  ban('192.0.2.1');
  ban('192.0.2.0/24');
  ban('198.51.100.1', MINUTE_MS, 'acme');
  book.configure({neverBanned: [{network: parseCidrs(['192.0.2.0/28'])[0] ?? assert.fail(), because: 'in a test'}], customers: new Set()});
  assert.deepEqual(changes.slice(3), ['withdrawn 192.0.2.1/32 configuration']);
  assert.deepEqual(book.list().map(({network}) => network), ['192.0.2.0/24', '198.51.100.1/32']);
});

test('what another run had saved is in force again, but for what has ended', () => {
  const first = createStage(), second = createStage();
  first.ban('192.0.2.1', 5_000);
  first.ban('192.0.2.2', 9_000, 'acme');
  second.time.nowMs += 5_000;
  second.book.restore(first.book.list());
  assert.deepEqual(second.book.list().map(({network}) => network), ['192.0.2.2/32']);
  assert.deepEqual([second.endMs('192.0.2.1'), second.endMs('192.0.2.2', 'acme')], [0, START_MS + 9_000]);
  assert.deepEqual(second.changes, []);
});

const steps = fc.array(fc.oneof(
  {weight: 4, arbitrary: fc.record({step: fc.constant('ban' as const), host: fc.nat(12), forS: fc.integer({min: 1, max: 60})})},
  {weight: 1, arbitrary: fc.record({step: fc.constant('unban' as const), host: fc.nat(12), forS: fc.constant(0)})},
  {weight: 2, arbitrary: fc.record({step: fc.constant('pass' as const), host: fc.constant(0), forS: fc.nat(20)})},
), {maxLength: 200, size: 'max'});

testProperty('list, shared memory and a naive model agree whatever happens', fc.property(steps, (actions) => {
  const bansMax = 6;
  const {book, time, ban, endMs} = createStage(bansMax);
  const model = new Map<string, number>();
  for (const {step, host, forS} of actions) {
    const network = `192.0.2.${host}/32`;
    if (step === 'pass') {
      time.nowMs += forS * 1000;
      book.expire();
      for (const [key, end] of model) if (end <= time.nowMs) model.delete(key);
    } else if (step === 'unban') {
      assert.equal(book.unban(null, network, 'me').ok, model.delete(network));
    } else {
      const ends = [...model.values()];
      if (!model.has(network) && model.size === bansMax) {
        const evicted = [...model].filter(([, end]) => end === Math.min(...ends)).map(([key]) => key);
        ban(network, forS * 1000);
        const gone = evicted.filter((key) => !book.list().some((left) => left.network === key));
        assert.equal(gone.length, 1, 'one of those that end first');
        model.delete(gone[0] ?? '');
      } else {
        ban(network, forS * 1000);
      }
      model.set(network, Math.max(model.get(network) ?? 0, time.nowMs + forS * 1000));
    }
    assert.deepEqual(new Map(book.list().map((left) => [left.network, left.untilMs])), new Map([...model].sort(([a], [b]) => (a < b ? -1 : 1))));
    for (let i = 0; i <= 12; i++) assert.equal(endMs(`192.0.2.${i}`), model.get(`192.0.2.${i}/32`) ?? 0);
  }
}));
