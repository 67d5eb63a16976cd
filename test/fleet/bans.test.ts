/** Bans that nodes share, through a real redis-server that is away, emptied, and full of what no node has put there. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {FleetSnapshot, NodeSnapshot} from '#src/config/snapshot.ts';
import type {Ban, BanBook} from '#src/control/ban-book.ts';
import {BanKeeper} from '#src/control/ban-keeper.ts';
import {Fleet, FLEET_TIMINGS} from '#src/control/fleet.ts';
import {FleetBans} from '#src/control/fleet-bans.ts';
import {FleetSeal} from '#src/control/fleet-seal.ts';
import type {Reply} from '#src/control/store-protocol.ts';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeNode, makeSnapshot} from '#test/control/fixtures/snapshots.ts';
import {Store} from '#test/fleet/store.ts';
import {eventually} from '#test/support/eventually.ts';

const SECRET = 'x'.repeat(32);
const HOUR_MS = 3_600_000;

interface Node {
  readonly fleet: Fleet;
  readonly keeper: BanKeeper;
  readonly lines: readonly LogLine[];
  readonly configure: (settings: Partial<NodeSnapshot>, customers: readonly string[]) => void;
}

interface NodeOptions {
  readonly fleet?: Partial<FleetSnapshot>;
  readonly node?: Partial<NodeSnapshot>;
  readonly customers?: readonly string[];
  /** In force before the node is in the fleet. */
  readonly bans?: readonly Ban[];
}

async function startNode(context: TestContext, store: Store, {fleet: overrides = {}, node: settings = {}, customers = ['acme'], bans = []}: NodeOptions = {}): Promise<Node> {
  const fleetSettings: FleetSnapshot = {address: '127.0.0.1', port: store.port, user: null, password: null, secret: SECRET, areBansShared: true, ...overrides};
  const snapshotOf = (node: Partial<NodeSnapshot>, names: readonly string[]) => makeSnapshot('1', names.map((name) => makeCustomer(name)), makeNode({fleet: fleetSettings, ...node}));
  const {log, lines} = createLogLines();
  const memory = createSharedMemory(1, 10);
  const parts: {fleet: Fleet | null} = {fleet: null};
  const keeper = new BanKeeper({memory, stateFolder: null, log, now: () => Date.now(), onChange: (change, ban, by) => parts.fleet?.onBanChange(change, ban, by)});
  await keeper.start(snapshotOf(settings, customers));
  context.after(() => keeper.stop());
  keeper.book.restore(bans);
  const fleet = new Fleet({memory, book: keeper.book, log, clock: () => performance.now(), now: () => Date.now(), timings: {...FLEET_TIMINGS, limitsEveryMs: 1000, beatEveryMs: 10}});
  parts.fleet = fleet;
  context.after(() => fleet.stop());
  fleet.configure(snapshotOf(settings, customers).node);
  await eventually('the store is there', () => fleet.report()?.isUp === true);
  return {
    fleet, keeper, lines,
    configure: (node, names) => {
      keeper.configure(snapshotOf(node, names));
      fleet.configure(snapshotOf(node, names).node);
    },
  };
}

function ban({keeper}: Node, network: string, forMs = HOUR_MS, customer: string | null = null): void {
  assert.deepEqual(keeper.book.ban({customer, network, reason: 'floods the shop', forMs, source: 'admin_socket'}).ok, true);
}

function networksOf({keeper}: Node): readonly string[] {
  return keeper.book.list().map(({customer, network}) => (customer === null ? network : `${customer} ${network}`));
}

async function agree(nodes: readonly Node[], networks: readonly string[]): Promise<void> {
  await eventually(`all have ${networks.join()}`, () => nodes.every((node) => networksOf(node).join() === networks.join()));
}

/** Everything that is in the store was looked at once more. */
async function lookedAt({fleet}: Node): Promise<void> {
  const before = fleet.report()?.exchanges.done ?? 0;
  await eventually('the store was read', () => (fleet.report()?.exchanges.done ?? 0) >= before + 3);
}

test('a store that has another name each time is met once a second, and not at each question: that is work for every ban', async () => {
  const {log} = createLogLines();
  const listed = {times: 0};
  const book = {list: () => { listed.times++; return []; }} as unknown as BanBook;
  const bans = new FleetBans({book, secret: SECRET, log, now: () => Date.now()});
  let asked = 0;
  await bans.exchange(() => Promise.resolve([String(asked++)]));
  assert.deepEqual([listed.times, asked], [1, 2]);
});

test('a store with an empty name is met like any other: only then it cannot free whoever was banned again before the daemon restarted', async () => {
  const {log} = createLogLines();
  const nowMs = Date.now();
  const standing: Ban = {customer: null, network: '203.0.113.7/32', reason: 'again', source: 'admin_socket', sinceMs: nowMs - 1000, untilMs: nowMs + HOUR_MS};
  const freed: string[] = [];
  const book = {list: () => [standing], unban: (_customer: null, network: string) => { freed.push(network); }} as unknown as BanBook;
  const bans = new FleetBans({book, secret: SECRET, log, now: () => nowMs});
  const seal = new FleetSeal(SECRET), field = seal.fieldOf(standing);
  const ended = seal.close({ban: {...standing, sinceMs: nowMs - HOUR_MS}, isStanding: false, stampMs: nowMs - 2000}, field);
  const told: string[] = [];
  const ask = (words: readonly string[]): Promise<Reply> => {
    if (!words.includes(field)) return Promise.resolve(['', field, '1', ended]);
    told.push(field);
    return Promise.resolve(1);
  };
  await bans.exchange(ask);
  await bans.exchange(ask);
  assert.deepEqual([freed, told], [[], [field]]);
});

test('what ended before its time stays ended when the ban that came after it has ended as well', async () => {
  const {log} = createLogLines();
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const long: Ban = {customer: null, network: '203.0.113.7/32', reason: 'at first', source: 'admin_socket', sinceMs: nowMs - HOUR_MS, untilMs: nowMs + HOUR_MS};
  const short: Ban = {...long, sinceMs: nowMs - 2000, untilMs: nowMs - 1000};
  const adopted: string[] = [];
  const book = {list: () => [], adopt: ({network}: Ban) => { adopted.push(network); }} as unknown as BanBook;
  const bans = new FleetBans({book, secret: SECRET, log, now: () => nowMs});
  const seal = new FleetSeal(SECRET), field = seal.fieldOf(long);
  bans.onChange('unbanned', long, 'admin_socket');
  bans.onChange('banned', short, 'admin_socket');
  bans.onChange('expired', short, 'time');
  const old = seal.close({ban: long, isStanding: true, stampMs: nowMs - HOUR_MS}, field);
  await bans.exchange((words) => Promise.resolve(words.includes(field) ? 1 : ['epoch', field, '1', old]));
  assert.deepEqual(adopted, []);
});

describe('shared', () => {
  test('a ban on one node is one on all, as it stands there, and so is its end', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    ban(a, '203.0.113.7');
    ban(b, '2001:db8:1:2::/64', HOUR_MS, 'acme');
    await agree([a, b], ['203.0.113.7/32', 'acme 2001:db8:1:2::/64']);
    assert.deepEqual(a.keeper.book.list(), b.keeper.book.list());
    const line = b.lines.find(({audit, network}) => audit === 'ban' && network === '203.0.113.7/32');
    assert.deepEqual([line?.['change'], line?.['source'], line?.['via'], line?.['reason']], ['banned', 'admin_socket', 'fleet', 'floods the shop']);
    b.keeper.book.unban(null, '203.0.113.7', 'admin_socket');
    await agree([a, b], ['acme 2001:db8:1:2::/64']);
    assert.ok(a.lines.some(({change, via}) => change === 'unbanned' && via === 'fleet'));
  });

  test('longer, and after its end shorter', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    const ends = (node: Node): number => node.keeper.book.list()[0]?.untilMs ?? 0;
    ban(a, '203.0.113.7', HOUR_MS);
    await agree([b], ['203.0.113.7/32']);
    const first = ends(b);
    ban(b, '203.0.113.7', 2 * HOUR_MS);
    await eventually('it is longer', () => ends(a) === ends(b) && ends(a) > first);
    a.keeper.book.unban(null, '203.0.113.7', 'admin_socket');
    ban(a, '203.0.113.7', HOUR_MS / 2);
    await eventually('it is shorter', () => ends(a) === ends(b) && ends(b) < first);
  });

  test('more than one message holds', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    for (let i = 0; i < 250; i++) ban(a, `198.51.100.${i}`);
    const b = await startNode(context, store);
    await eventually('all are there', () => b.keeper.book.size === 250);
    assert.deepEqual(b.keeper.book.list(), a.keeper.book.list());
  });

  test('a node that joins gets them, and brings its own; what was ended while it was away ends there, too', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    ban(a, '203.0.113.7');
    ban(a, '203.0.113.8');
    const before = a.keeper.book.list();
    await lookedAt(a);
    a.keeper.book.unban(null, '203.0.113.8', 'admin_socket');
    await lookedAt(a);
    const [seen] = before;
    assert.ok(seen);
    const c = await startNode(context, store, {bans: [...before, {...seen, network: '192.0.2.9/32'}]});
    await agree([a, c], ['192.0.2.9/32', '203.0.113.7/32']);
  });

  test('what is over is gone from the store', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    ban(a, '203.0.113.7', 1000);
    await lookedAt(a);
    assert.equal(await store.ask('HLEN', '{torwart}:bans'), 1);
    await eventually('it is over', () => a.keeper.book.size === 0 || (a.keeper.book.expire(), false));
    ban(a, '203.0.113.8');
    await eventually('only the other is there', () => a.fleet.report()?.bans.published === 2);
    assert.deepEqual([await store.ask('HLEN', '{torwart}:bans'), await store.ask('ZCARD', '{torwart}:bans:changes'), await store.ask('ZCARD', '{torwart}:bans:ends')], [1, 1, 1]);
  });

  test('not where the configuration says so', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store, {fleet: {areBansShared: false}})];
    ban(a, '203.0.113.7');
    ban(b, '203.0.113.8');
    await lookedAt(a);
    await lookedAt(b);
    assert.deepEqual([networksOf(a), networksOf(b)], [['203.0.113.7/32'], ['203.0.113.8/32']]);
  });

  test('with no more permissions than the documents give', async (context) => {
    const rules = ['on', '>wordpass', '~{torwart}:*', '-@all', '+auth', '+ping', '+eval', '+time', '+get', '+set', '+del', '+type', '+hget', '+hset', '+hdel', '+hlen', '+zadd', '+zrem', '+zrange', '+zrangebyscore', '+zremrangebyscore'];
    const store = await Store.start(context, ['--user', 'torwart', ...rules]);
    const login = {fleet: {user: 'torwart', password: 'wordpass'}};
    const [a, b] = [await startNode(context, store, login), await startNode(context, store, login)];
    ban(a, '203.0.113.7');
    await agree([a, b], ['203.0.113.7/32']);
    assert.equal(a.fleet.report()?.exchanges.failed, 0);
  });
});

describe('a node of its own mind', () => {
  test('who can never be banned here is not, whatever others say', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    const b = await startNode(context, store, {node: {bans: {allow: ['203.0.113.0/28']}, trustedProxies: ['198.51.100.1/32']}});
    ban(a, '203.0.113.7');
    ban(a, '198.51.100.0/24');
    ban(a, '192.0.2.1');
    await agree([b], ['192.0.2.1/32']);
    await lookedAt(b);
    assert.deepEqual(networksOf(b), ['192.0.2.1/32']);
    assert.ok((b.fleet.report()?.bans.refused ?? 0) >= 2);
    assert.equal(networksOf(a).length, 3, 'which is no reason for others to let them in');
    b.configure({bans: {allow: []}, trustedProxies: ['198.51.100.1/32']}, ['acme']);
    await agree([b], ['192.0.2.1/32', '203.0.113.7/32']);
  });

  test('bans of a customer who is not here wait for him', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store, {customers: ['acme', 'globex']}), await startNode(context, store)];
    ban(a, '203.0.113.7', HOUR_MS, 'globex');
    await lookedAt(a);
    await lookedAt(b);
    assert.deepEqual(networksOf(b), []);
    b.configure({}, ['acme', 'globex']);
    await agree([b], ['globex 203.0.113.7/32']);
  });
});

describe('a store that fails', () => {
  test('away: bans hold where they were made, and all is told when it is back', async (context) => {
    const store = await Store.start(context, []);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    ban(a, '203.0.113.7');
    await agree([a, b], ['203.0.113.7/32']);
    await store.stopServer();
    await eventually('both have noticed', () => [a, b].every(({fleet}) => fleet.report()?.isUp === false));
    ban(a, '203.0.113.8');
    b.keeper.book.unban(null, '203.0.113.7', 'admin_socket');
    assert.deepEqual([networksOf(a), networksOf(b)], [['203.0.113.7/32', '203.0.113.8/32'], []]);
    await store.startServer();
    await agree([a, b], ['203.0.113.8/32']);
  });

  test('emptied: the nodes fill it again', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    ban(a, '203.0.113.7');
    await lookedAt(a);
    await store.ask('FLUSHALL');
    await lookedAt(a);
    const b = await startNode(context, store);
    await agree([a, b], ['203.0.113.7/32']);
  });

  test('nothing of a client can be read there', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    ban(a, '203.0.113.7', HOUR_MS, 'acme');
    await lookedAt(a);
    const values = await store.ask('HVALS', '{torwart}:bans') as string[];
    const everything = [...await store.ask('HGETALL', '{torwart}:bans') as string[], ...values.map((value) => Buffer.from(value.split(' ')[1] ?? '', 'base64url').toString('latin1'))].join();
    assert.equal(values.length, 1);
    for (const secret of ['203', 'acme', 'floods', 'admin']) assert.ok(!everything.includes(secret), secret);
  });

  const KEYS = ['{torwart}:bans', '{torwart}:bans:changes', '{torwart}:bans:ends', '{torwart}:bans:epoch'];
  for (const key of KEYS) {
    test(`something else in place of ${key}`, async (context) => {
      const store = await Store.start(context);
      const [a, b] = [await startNode(context, store), await startNode(context, store)];
      ban(a, '203.0.113.7');
      await agree([a, b], ['203.0.113.7/32']);
      await store.ask('DEL', key);
      await store.ask('LPUSH', key, 'x');
      ban(a, '203.0.113.8');
      await agree([a, b], ['203.0.113.7/32', '203.0.113.8/32']);
      assert.deepEqual([a, b].map(({fleet}) => fleet.report()?.isUp), [true, true]);
    });
  }

  test('a number of changes out of this world does not hide what comes', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    await store.ask('ZADD', '{torwart}:bans:changes', '9e18', 'x', 'inf', 'y', '-inf', 'z');
    await lookedAt(b);
    ban(a, '203.0.113.7');
    await agree([a, b], ['203.0.113.7/32']);
  });
});

/** Puts an entry into the store as a node would, whatever is in it. */
async function put(store: Store, field: string, value: string): Promise<void> {
  await store.ask('HSET', '{torwart}:bans', field, value);
  await store.ask('ZADD', '{torwart}:bans:changes', String(Date.now() * 1000), field);
}

describe('entries that no node has made', () => {
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const BAN: Ban = {customer: null, network: '203.0.113.7/32', reason: 'a test', source: 'admin_socket', sinceMs: nowMs, untilMs: nowMs + HOUR_MS};
  const seal = new FleetSeal(SECRET);
  const field = seal.fieldOf(BAN);
  const genuine = seal.close({ban: BAN, isStanding: true, stampMs: nowMs}, field);
  const sealed = (ban: Ban, stampMs = nowMs, at = seal.fieldOf(ban)): readonly [string, string] => [at, seal.close({ban, isStanding: true, stampMs}, at)];
  const CASES: readonly (readonly [what: string, field: string, value: string])[] = [
    ['nothing', field, ''],
    ['text', field, 'banned'],
    ['JSON', field, `${nowMs} ${Buffer.from(JSON.stringify({ban: BAN, isStanding: true})).toString('base64url')}`],
    ['another secret', field, new FleetSeal('y'.repeat(32)).close({ban: BAN, isStanding: true, stampMs: nowMs}, field)],
    ['another field', '0'.repeat(32), genuine],
    ['another stamp', field, genuine.replace(/^\d+/, String(nowMs + 1))],
    ['one bit', field, genuine.slice(0, -2) + (genuine.at(-2) === 'A' ? 'B' : 'A') + genuine.slice(-1)],
    ['cut', field, genuine.slice(0, -20)],
    ['a long text', field, `${nowMs} ${'A'.repeat(10_000)}`],
    ['a text beyond all bounds', field, `${nowMs} ${'A'.repeat(1_000_000)}`],
    ['a field beyond all bounds', 'f'.repeat(1_000_000), genuine],
    ['of tomorrow', ...sealed(BAN, nowMs + 48 * HOUR_MS)],
    ['for ever', ...sealed({...BAN, untilMs: 2 ** 32 * 1000})],
    ['a network that is none', ...sealed({...BAN, network: '203.0.113.7/8'})],
    ['a reason with a line break', ...sealed({...BAN, reason: 'a\nb'})],
    ['this machine', ...sealed({...BAN, network: '127.0.0.0/8'})],
    ['everybody', ...sealed({...BAN, network: '0.0.0.0/0'})],
  ];
  for (const [what, at, value] of CASES) {
    test(what, async (context) => {
      const store = await Store.start(context);
      const a = await startNode(context, store);
      await put(store, at, value);
      await eventually('it is refused', () => (a.fleet.report()?.bans.refused ?? 0) > 0);
      assert.deepEqual(networksOf(a), []);
      ban(a, '192.0.2.1');
      const b = await startNode(context, store);
      await agree([a, b], ['192.0.2.1/32']);
    });
  }

  test('the genuine one', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    await put(store, field, genuine);
    await agree([a], ['203.0.113.7/32']);
  });

  test('an old one again does not undo what came later', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    await put(store, field, genuine);
    await agree([a], ['203.0.113.7/32']);
    a.keeper.book.unban(null, '203.0.113.7', 'admin_socket');
    await lookedAt(a);
    await put(store, field, genuine);
    await lookedAt(a);
    assert.deepEqual(networksOf(a), []);
  });
});
