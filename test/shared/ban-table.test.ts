import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {cidrContains, formatCidr, formatIp, parseCidr, parseIp, type Cidr, type IpAddress, type IpWords} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {BanTable, createBanScope, type BanScope} from '#src/shared/ban-table.ts';
import type {LookUpResult, LookUpTask} from '#test/shared/look-up-bans.ts';
import {runCrew} from '#test/shared/crew.ts';
import {testProperty} from '#test/support/property.ts';

const SECRET = new Uint8Array(32).map((_, index) => index * 7);

function createTable(bansMax: number): BanTable {
  return new BanTable(new SharedArrayBuffer(BanTable.byteLength(bansMax)), bansMax, new KeyedHash(SECRET));
}

function scopeOf(customer: string | null): BanScope {
  return createBanScope(customer, new KeyedHash(SECRET));
}

function cidr(text: string): Cidr {
  return parseCidr(text) ?? assert.fail(text);
}

function ip(text: string): IpAddress {
  return parseIp(text) ?? assert.fail(text);
}

const NODE = scopeOf(null), ACME = scopeOf('acme'), GLOBEX = scopeOf('globex');

test('an empty table bans nobody', () => {
  assert.equal(createTable(8).findEndMs(NODE, ip('192.0.2.1')), 0);
});

test('a network is banned with all of its addresses and no others', () => {
  const table = createTable(16);
  for (const [network, inside, outside] of [
    ['192.0.2.7', '192.0.2.7', '192.0.2.6'], ['198.51.100.0/24', '198.51.100.255', '198.51.101.0'], ['10.0.0.0/8', '10.255.0.1', '11.0.0.0'],
    ['2001:db8::1', '2001:db8::1', '2001:db8::2'], ['2001:db8:1:2::/64', '2001:db8:1:2:ffff::', '2001:db8:1:3::'], ['2400::/12', '240f:ffff::', '2410::'],
  ] as const) {
    table.set(NODE, cidr(network), 5_000);
    assert.equal(table.findEndMs(NODE, ip(inside)), 5_000, network);
    assert.equal(table.findEndMs(NODE, ip(outside)), 0, network);
    assert.equal(table.delete(NODE, cidr(network)), true);
    assert.equal(table.findEndMs(NODE, ip(inside)), 0, network);
  }
});

test('an IPv4 client is the same behind a dual-stack socket, and no IPv6 network holds it', () => {
  const table = createTable(8);
  table.set(NODE, cidr('192.0.2.0/24'), 4_000);
  table.set(NODE, cidr('::/64'), 4_000);
  assert.equal(table.findEndMs(NODE, ip('::ffff:192.0.2.9')), 4_000);
  assert.equal(table.findEndMs(NODE, ip('198.51.100.1')), 0);
});

test('networks of the same base and another length are two bans', () => {
  const table = createTable(8);
  table.set(NODE, cidr('10.0.0.0/8'), 4_000);
  table.set(NODE, cidr('10.0.0.0/24'), 9_000);
  assert.deepEqual([table.findEndMs(NODE, ip('10.0.0.1')), table.findEndMs(NODE, ip('10.1.0.1'))], [9_000, 4_000], 'the longest ban counts');
  assert.equal(table.delete(NODE, cidr('10.0.0.0/16')), false);
  table.delete(NODE, cidr('10.0.0.0/24'));
  assert.equal(table.findEndMs(NODE, ip('10.0.0.1')), 4_000);
});

test('scopes are apart', () => {
  const table = createTable(8);
  table.set(ACME, cidr('192.0.2.1'), 4_000);
  assert.deepEqual([NODE, ACME, GLOBEX].map((scope) => table.findEndMs(scope, ip('192.0.2.1'))), [0, 4_000, 0]);
  table.set(NODE, cidr('192.0.2.1'), 2_000);
  assert.deepEqual([NODE, ACME, GLOBEX].map((scope) => table.findEndMs(scope, ip('192.0.2.1'))), [2_000, 4_000, 0]);
});

test('ends are whole seconds, rounded up, and change in place', () => {
  const table = createTable(1);
  for (const [endMs, shownMs] of [[1_001, 2_000], [0, 2_000], [9_000, 9_000], [3_000, 3_000], [2 ** 53, (2 ** 32 - 1) * 1000]] as const) {
    table.set(NODE, cidr('192.0.2.1'), endMs);
    assert.deepEqual([table.findEndMs(NODE, ip('192.0.2.1')), table.size], [shownMs, 1]);
  }
});

test('a full table takes changes but no new ban', () => {
  const table = createTable(4);
  for (let i = 0; i < 4; i++) table.set(NODE, cidr(`192.0.2.${i}`), 4_000);
  assert.throws(() => table.set(ACME, cidr('192.0.2.0'), 4_000), RangeError);
  table.set(NODE, cidr('192.0.2.3'), 5_000);
  table.delete(NODE, cidr('192.0.2.0'));
  table.set(ACME, cidr('192.0.2.0'), 4_000);
  assert.equal(table.size, 4);
});

test('memory of another size is refused', () => {
  assert.throws(() => new BanTable(new SharedArrayBuffer(BanTable.byteLength(100)), 1_000, new KeyedHash(SECRET)), RangeError);
});

/** Networks that nest and touch: few bases, all lengths. */
const networks = fc.oneof(
  fc.tuple(fc.constantFrom(0x0a000000, 0xc0000200, 0xffffffff), fc.constantFrom(0, 7, 8, 9, 23, 24, 25, 31, 32)).map(([word, prefixLength]) => maskedCidr(4, [0, 0, 0xffff, word], prefixLength)),
  fc.tuple(fc.constantFrom<IpWords>([0x20010db8, 0, 0, 1], [0x20010db8, 1, 0xffffffff, 0]), fc.constantFrom(0, 1, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128))
    .map(([words, prefixLength]) => maskedCidr(6, words, prefixLength)),
);
const clients = fc.oneof(
  fc.tuple(fc.constantFrom(0x0a000000, 0xc0000200, 0xffffffff), fc.nat(300)).map(([word, change]): IpAddress => ({family: 4, words: [0, 0, 0xffff, (word ^ change) >>> 0]})),
  fc.tuple(fc.constantFrom<IpWords>([0x20010db8, 0, 0, 1], [0x20010db8, 1, 0xffffffff, 0]), fc.nat(3), fc.constantFrom(0, 1, 2 ** 31))
    .map(([words, index, change]): IpAddress => ({family: 6, words: words.map((word, at) => (at === index ? (word ^ change) >>> 0 : word)) as unknown as IpWords})),
);

function maskedCidr(family: 4 | 6, words: IpWords, prefixLength: number): Cidr {
  const bits = family === 4 ? prefixLength + 96 : prefixLength;
  const masked = words.map((word, index) => {
    const kept = Math.min(Math.max(bits - 32 * index, 0), 32);
    return kept === 0 ? 0 : (word & (-1 << (32 - kept))) >>> 0;
  });
  return {base: {family, words: masked as unknown as IpWords}, prefixLength};
}

const steps = fc.array(fc.record({isBan: fc.boolean(), scope: fc.constantFrom(NODE, ACME), network: networks, endS: fc.integer({min: 2, max: 1_000})}), {maxLength: 120, size: 'max'});

testProperty('whatever is banned and unbanned, it answers like a list', fc.property(steps, fc.array(clients, {minLength: 1, maxLength: 10}), (changes, addresses) => {
  const table = createTable(64);
  const list = new Map<string, {scope: BanScope; network: Cidr; endS: number}>();
  for (const {isBan, scope, network, endS} of changes) {
    const key = `${scope.kind} ${formatCidr(network)}`;
    if (isBan && (list.has(key) || list.size < 64)) {
      table.set(scope, network, endS * 1000);
      list.set(key, {scope, network, endS});
    } else if (!isBan) {
      assert.equal(table.delete(scope, network), list.delete(key));
    }
    assert.equal(table.size, list.size);
    for (const scopeAsked of [NODE, ACME]) {
      for (const address of addresses) {
        const ends = [...list.values()].filter((ban) => ban.scope === scopeAsked && cidrContains(ban.network, address)).map((ban) => ban.endS * 1000);
        assert.equal(table.findEndMs(scopeAsked, address), Math.max(0, ...ends), formatIp(address));
      }
    }
  }
}));

interface Write {
  readonly cell: number;
  readonly value: number;
}

type AtomicCall = (cells: Int32Array, cell: number, value: number) => number;

/** Runs the action with another version of some operations. (The mocks of node:test keep a stack trace of every call: far too slow.) */
function withAtomics<T>(names: readonly ('load' | 'store' | 'add' | 'and' | 'or')[], wrap: (original: AtomicCall) => AtomicCall, action: () => T): T {
  const originals = names.map((name) => [name, Atomics[name] as AtomicCall] as const);
  for (const [name, original] of originals) Object.assign(Atomics, {[name]: wrap(original)});
  try {
    return action();
  } finally {
    for (const [name, original] of originals) Object.assign(Atomics, {[name]: original});
  }
}

/** Every write that the change makes, in its order. */
function recordWrites(change: () => void): readonly Write[] {
  const writes: Write[] = [];
  withAtomics(['store', 'add', 'and', 'or'], (original) => (cells, cell, value) => {
    const result = original(cells, cell, value);
    writes.push({cell, value: cells[cell] ?? 0});
    return result;
  }, change);
  return writes;
}

/** Runs `read` while another thread writes: before each of its loads as many writes become visible as the schedule says. */
function readAmidWrites<T>(writes: readonly Write[], schedule: readonly number[], read: () => T): T {
  let loads = 0, written = 0;
  return withAtomics(['load'], (original) => (cells, cell, value) => {
    for (let count = schedule[loads % schedule.length] ?? 0; count > 0; count--) {
      const write = writes[written++];
      if (write !== undefined) cells[write.cell] = write.value;
    }
    loads++;
    return original(cells, cell, value);
  }, read);
}

const SMALL = 10;
const smallChanges = (max: number): fc.Arbitrary<{isBan: boolean; host: number; endS: number}[]> =>
  fc.array(fc.record({isBan: fc.boolean(), host: fc.nat(15), endS: fc.integer({min: 2, max: 99})}), {maxLength: max, size: 'max'});

testProperty('a reader amid a change answers as if it had come before or after, however the two interleave', fc.property(
  smallChanges(40), smallChanges(4), fc.nat(15), fc.array(fc.oneof(fc.constant(0), fc.constant(0), fc.nat(6)), {minLength: 1, maxLength: 60, size: 'max'}),
  (before, during, askedHost, schedule) => {
    const buffer = new SharedArrayBuffer(BanTable.byteLength(SMALL));
    const table = new BanTable(buffer, SMALL, new KeyedHash(SECRET));
    const apply = ({isBan, host, endS}: {isBan: boolean; host: number; endS: number}): void => {
      if (!isBan) table.delete(NODE, cidr(`192.0.2.${host}`));
      else if (table.size < SMALL) table.set(NODE, cidr(`192.0.2.${host}`), endS * 1000);
    };
    const asked = ip(`192.0.2.${askedHost}`);
    for (const change of before) apply(change);
    // One that stays, so that readers always search.
    if (table.size < SMALL) table.set(NODE, cidr('198.51.100.1'), 1_000);
    const cells = new Int32Array(buffer);
    const start = cells.slice();
    const truths = [table.findEndMs(NODE, asked)];
    const writes = during.flatMap((change) => {
      const made = recordWrites(() => apply(change));
      truths.push(table.findEndMs(NODE, asked));
      return made;
    });
    cells.set(start);
    const answer = readAmidWrites(writes, schedule, () => table.findEndMs(NODE, asked));
    assert.ok(truths.includes(answer), `${answer} is none of ${truths.join()}`);
  },
), 8_000);

test('readers in other threads never miss a ban that stands, and never see one that does not, while others come and go', async () => {
  const bansMax = 42, rounds = 3_000;
  const buffer = new SharedArrayBuffer(BanTable.byteLength(bansMax));
  const done = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const table = new BanTable(buffer, bansMax, new KeyedHash(SECRET));
  const standing = Array.from({length: 32}, (_, i) => `198.51.100.${i}`);
  const unknown = Array.from({length: 16}, (_, i) => `203.0.113.${i}`);
  for (const address of standing) table.set(NODE, cidr(address), 1_000_000);
  const task: LookUpTask = {buffer, bansMax, secret: SECRET, done, standing, unknown};
  const results = runCrew(new URL('look-up-bans.ts', import.meta.url), 2, task);
  // Bans that come and go make the standing ones move all the time. Their networks have the lengths of the others: readers look for them.
  const passing: string[] = [];
  let changes = 0;
  while (Atomics.load(new Int32Array(done), 0) < 2) {
    for (let i = 0; i < rounds; i++) {
      const address = `192.0.2.${(i * 7) % 251}`;
      if (passing.length >= 10) table.delete(NODE, cidr(passing.splice(changes % 10, 1)[0] ?? ''));
      if (passing.includes(address)) continue;
      table.set(NODE, cidr(address), 500_000 + i);
      passing.push(address);
      changes++;
    }
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  for (const result of await results as LookUpResult[]) assert.deepEqual(result.wrong, []);
  assert.equal(table.size, standing.length + passing.length);
});
