/** Limits that several nodes share, through a real redis-server that is slow, away, back, empty, and full of garbage. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {FleetSnapshot, LimitSnapshot, NodeSnapshot} from '#src/config/snapshot.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BanBook} from '#src/control/ban-book.ts';
import {Fleet, FLEET_TIMINGS} from '#src/control/fleet.ts';
import {DEBT_WINDOWS_MAX} from '#src/control/fleet-limits.ts';
import {BanTable} from '#src/shared/ban-table.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';
import {Store} from '#test/fleet/store.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {customer, limit, node as makeNode, pool, route, site} from '#test/support/snapshots.ts';

const HOUR_MS = 3_600_000;
const BURST = 10;
/** Nothing comes back while a test runs. */
const SHARED = limit('shared', HOUR_MS, BURST, {isFleetWide: true});

function createBook(memory: SharedMemory): BanBook {
  const hash = new KeyedHash(memory.hashSecret);
  return new BanBook({table: new BanTable(memory.banTable, LIMITS.bansMax, hash), bansMax: LIMITS.bansMax, hash, now: () => Date.now(), onChange: () => undefined});
}

interface Node {
  readonly proxy: ProxyHarness;
  readonly fleet: Fleet;
  readonly connection: RawClient;
  readonly lines: readonly LogLine[];
}

function fleetOf(port: number, overrides: Partial<FleetSnapshot> = {}): FleetSnapshot {
  return {address: '127.0.0.1', port, user: null, password: null, secret: 'x'.repeat(32), areBansShared: false, ...overrides};
}

interface NodeOptions {
  readonly limits?: readonly LimitSnapshot[];
  readonly fleet?: Partial<FleetSnapshot>;
}

async function startNode(context: TestContext, store: Store, {limits = [SHARED], fleet: overrides = {}}: NodeOptions = {}): Promise<Node> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
  const settings: Partial<NodeSnapshot> = {trustedProxies: ['127.0.0.1/32'], fleet: fleetOf(store.port, overrides)};
  const proxy = await ProxyHarness.start(context, {
    node: settings, customers: [customer('acme', {pools: [pool('app', [upstream.port])], limits, sites: [site(['acme.test', '*.acme.test'], [route('/')])]})],
  });
  const {log, lines} = createLogLines();
  const fleet = new Fleet({memory: proxy.memory, book: createBook(proxy.memory), log, clock: () => proxy.time.monotonicMs(), now: () => Date.now(), timings: {...FLEET_TIMINGS, limitsEveryMs: 5, beatEveryMs: 20}});
  context.after(() => fleet.stop());
  fleet.configure(makeNode(settings));
  await eventually('the store is there', () => fleet.report()?.isUp === true);
  return {proxy, fleet, lines, connection: await proxy.connect(context)};
}

async function ask({connection}: Node, fields = '', host = 'acme.test', client = '203.0.113.1'): Promise<number> {
  connection.send(`GET / HTTP/1.1\r\nhost: ${host}\r\nx-forwarded-for: ${client}\r\n${fields}\r\n`);
  return statusOf(await connection.response());
}

async function admittedOf(node: Node, requests: number, fields = '', host = 'acme.test', client = '203.0.113.1'): Promise<number> {
  let admitted = 0;
  for (let i = 0; i < requests; i++) if (await ask(node, fields, host, client) === 200) admitted++;
  return admitted;
}

/** What was taken so far is told: two exchanges have begun and ended since. */
async function told({fleet}: Node): Promise<void> {
  const before = fleet.report()?.exchanges.done ?? 0;
  await eventually('the store is told', () => (fleet.report()?.exchanges.done ?? 0) >= before + 3);
}

describe('shared', () => {
  test('what one node has admitted, the others do not', async (context) => {
    const store = await Store.start(context);
    const [a, b, c] = [await startNode(context, store), await startNode(context, store), await startNode(context, store)];
    assert.equal(await admittedOf(a, 6), 6);
    await told(a);
    assert.equal(await admittedOf(b, 1), 1, 'it cannot know of the client before it comes');
    await told(b);
    assert.equal(await admittedOf(b, 10), 3);
    await told(b);
    assert.equal(await admittedOf(c, 1), 1, 'one too many, until it hears');
    await told(c);
    assert.equal(await admittedOf(c, 5), 0);
    assert.ok(await admittedOf(a, 5) <= 4, 'what it had left when it heard last');
    await told(a);
    assert.equal(await admittedOf(a, 5), 0);
  });

  const KEYS: readonly (readonly [what: string, shared: LimitSnapshot, fields: string, host: string])[] = [
    ['customer', {...SHARED, key: 'customer'}, '', 'acme.test'],
    ['host', {...SHARED, key: 'host'}, '', 'a.acme.test'],
    ['route', {...SHARED, key: 'route'}, '', 'acme.test'],
    ['header', {...SHARED, key: 'header', keyName: 'x-api-key'}, 'x-api-key: a\r\n', 'acme.test'],
    ['cookie', {...SHARED, key: 'cookie', keyName: 'sid'}, 'cookie: sid=a\r\n', 'acme.test'],
  ];
  for (const [what, shared, fields, host] of KEYS) {
    test(`by ${what}`, async (context) => {
      const store = await Store.start(context);
      const [a, b] = [await startNode(context, store, {limits: [shared]}), await startNode(context, store, {limits: [shared]})];
      assert.equal(await admittedOf(a, BURST, fields, host, '203.0.113.1'), BURST);
      await told(a);
      await ask(b, fields, host, '203.0.113.2');
      await told(b);
      assert.equal(await admittedOf(b, 3, fields, host, '203.0.113.3'), 0);
    });
  }

  test('what was too much at first is paid back: over time, all nodes together admit the rate', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    store.hold();
    assert.equal(await admittedOf(a, 20) + await admittedOf(b, 20), 2 * BURST, 'both before they hear of each other');
    store.release();
    await told(a);
    await told(b);
    for (const node of [a, b]) {
      node.proxy.pass(HOUR_MS / 2);
      node.proxy.pass(HOUR_MS / 2);
    }
    const connection = await a.proxy.connect(context);
    assert.equal(await admittedOf({...a, connection}, 3), 0, 'an hour pays for one, and ten are owed');
  });

  test('another secret, another fleet; nothing of a client stands in the store', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store), stranger = await startNode(context, store, {fleet: {secret: 'y'.repeat(32)}});
    assert.equal(await admittedOf(a, BURST), BURST);
    await told(a);
    await ask(stranger);
    await told(stranger);
    assert.equal(await admittedOf(stranger, 20), BURST - 1);
    const keys = await store.ask('KEYS', '*');
    assert.ok(Array.isArray(keys) && keys.length === 2);
    for (const key of keys) assert.match(String(key), /^\{torwart\}:limit:[0-9a-f]{16}$/);
  });

  test('a password, and a user of the store who may do no more than is needed', async (context) => {
    const rules = ['on', '>wordpass', '~{torwart}:*', '-@all', '+auth', '+ping', '+eval', '+time', '+get', '+set'];
    const store = await Store.start(context, ['--user', 'torwart', ...rules]);
    const a = await startNode(context, store, {fleet: {user: 'torwart', password: 'wordpass'}});
    assert.equal(await admittedOf(a, 20), BURST);
    await told(a);
    assert.equal((await store.ask('KEYS', '*') as unknown[]).length, 1);
    assert.equal(a.fleet.report()?.exchanges.failed, 0);
  });

  test('a limit that observes counts together as well', async (context) => {
    const store = await Store.start(context);
    const limits = [{...SHARED, isEnforced: false}];
    const [a, b] = [await startNode(context, store, {limits}), await startNode(context, store, {limits})];
    assert.equal(await admittedOf(a, BURST), BURST);
    await told(a);
    await ask(b);
    await told(b);
    assert.equal(await admittedOf(b, 3), 3);
    assert.deepEqual(b.proxy.proxy.takeLimitExcesses().map(({limit: name, count}) => [name, count]), [['shared', 3]]);
  });
});

describe('a store that fails', () => {
  test('slow: no request waits for it, and the limit holds', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    store.hold();
    assert.equal(await admittedOf(a, 20), BURST, 'answered while nothing of the store arrives');
    assert.equal(await admittedOf(b, 20), BURST);
    store.release();
    await told(a);
    await told(b);
    assert.equal(await admittedOf(a, 3), 0);
  });

  test('silent: it counts as away, and requests are answered all the same', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    store.hold();
    await eventually('it counts as away', () => a.fleet.report()?.isUp === false);
    assert.equal(await admittedOf(a, 20), BURST);
  });

  test('stopped and started: each node holds the limit by itself meanwhile, and what is owed is told when it is back', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    await store.stopServer();
    await eventually('both have noticed', () => [a, b].every(({fleet}) => fleet.report()?.isUp === false));
    assert.equal(await admittedOf(a, 20), BURST, 'the limit has not vanished');
    assert.equal(a.lines.filter(({msg}) => msg.includes('is away')).length, 1);
    await store.startServer();
    await eventually('both have it again', () => [a, b].every(({fleet}) => fleet.report()?.isUp === true));
    await told(a);
    assert.equal(await admittedOf(b, 1), 1);
    await told(b);
    assert.equal(await admittedOf(b, 5), 0, 'what was taken while the store was away counts');
    assert.ok(a.lines.some(({msg}) => msg.includes('is there again')));
  });

  test('an hour away: what has been paid meanwhile is not charged again', async (context) => {
    const store = await Store.start(context);
    const [a, b] = [await startNode(context, store), await startNode(context, store)];
    await store.stopServer();
    await eventually('it is away', () => a.fleet.report()?.isUp === false);
    assert.equal(await admittedOf(a, 4), 4);
    for (let hours = 0; hours < 3; hours++) a.proxy.pass(HOUR_MS);
    await store.startServer();
    await eventually('it is there again', () => [a, b].every(({fleet}) => fleet.report()?.isUp === true));
    await told(a);
    assert.equal(await admittedOf(b, 1), 1);
    await told(b);
    assert.equal(await admittedOf(b, 20), BURST - 2, 'of four, three have been paid');
  });

  test('emptied: nobody is forgiven here', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    assert.equal(await admittedOf(a, BURST), BURST);
    await told(a);
    await store.ask('FLUSHALL');
    await told(a);
    assert.equal(await admittedOf(a, 5), 0);
  });

  for (const garbage of ['', 'garbage', '-1', 'nan', 'inf', '1e999', '0x7fffffffffff', '9'.repeat(400), '\0']) {
    test(`garbage in place of a number (${JSON.stringify(garbage.slice(0, 20))}) refuses nobody for long, and stops nothing`, async (context) => {
      const store = await Store.start(context);
      const a = await startNode(context, store);
      await ask(a);
      await told(a);
      const [key] = await store.ask('KEYS', '*') as string[];
      assert.ok(key);
      await store.ask('SET', key, garbage);
      await ask(a);
      await told(a);
      assert.equal(a.fleet.report()?.exchanges.failed, 0);
      const ttlMs = Number(await store.ask('PTTL', key));
      assert.ok(ttlMs > 0 && ttlMs <= DEBT_WINDOWS_MAX * BURST * HOUR_MS + 1, String(ttlMs));
    });
  }

  test('something else in place of a number is replaced', async (context) => {
    const store = await Store.start(context);
    const a = await startNode(context, store);
    await ask(a);
    await told(a);
    const [key] = await store.ask('KEYS', '*') as string[];
    assert.ok(key);
    await store.ask('DEL', key);
    await store.ask('LPUSH', key, 'a', 'b');
    await ask(a);
    await told(a);
    assert.deepEqual([await store.ask('TYPE', key), a.fleet.report()?.exchanges.failed], ['string', 0]);
  });

  test('one that refuses (a replica, no memory, no permission) counts as away', async (context) => {
    const store = await Store.start(context, ['--maxmemory', '1', '--maxmemory-policy', 'noeviction']);
    const a = await startNode(context, store);
    assert.equal(await admittedOf(a, 20), BURST);
    await eventually('it has refused', () => (a.fleet.report()?.exchanges.failed ?? 0) > 0);
    assert.ok(a.lines.some(({reason}) => String(reason).startsWith('the store refuses: OOM')));
  });
});

test('a reload moves the node to another store, or out of the fleet', async (context) => {
  const [first, second] = [await Store.start(context), await Store.start(context)];
  const a = await startNode(context, first);
  assert.equal(first.connections, 1);
  const node = makeNode({fleet: fleetOf(second.port), log: a.proxy.node.log});
  await a.proxy.reload({node});
  a.fleet.configure(node);
  await eventually('it has moved', () => a.fleet.report()?.isUp === true && first.connections === 0 && second.connections === 1);
  await a.proxy.reload({node: makeNode({log: a.proxy.node.log})});
  a.fleet.configure(makeNode());
  await eventually('it has left', () => second.connections === 0);
  assert.equal(a.fleet.report(), null);
  assert.equal(await admittedOf(a, 20), BURST, 'alone, the limit is its own');
});
