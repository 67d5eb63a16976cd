/** Places for requests are shared: what is idle may be borrowed, and under pressure whoever has more than its share gets no more. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {customer, pool, route, site} from '#test/support/snapshots.ts';

/** The last quarter is the reserve. */
const PLACES = 40, FREE = 30;

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

async function stage(context: TestContext, weights: Readonly<Record<string, number>>): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => null;
  const customers = Object.entries(weights).map(([name, weight]): CustomerSnapshot => customer(name, {
    weight, pools: [pool('app', [upstream.port], {connectionsMax: 1000})], sites: [site([`${name}.test`], [route('/')])],
  }));
  const node = {caps: {connectionsMax: 1000, connectionsPerClientMax: 1000, handshakesMax: 1000, handshakesPerClientMax: 1000, requestsMax: PLACES, requestsPerClientMax: PLACES, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30}};
  return {upstream, proxy: await ProxyHarness.start(context, {customers, node})};
}

/** Sends requests that are not answered by the application. Returns the answers that come all the same. */
async function ask(context: TestContext, {proxy, upstream}: Stage, name: string, count: number): Promise<readonly RawMessage[]> {
  const before = upstream.requests.length, faultsBefore = proxy.fault('share_exceeded') + proxy.fault('requests_total');
  const refusedNow = (): number => proxy.fault('share_exceeded') + proxy.fault('requests_total') - faultsBefore;
  const clients = await Promise.all(Array.from({length: count}, () => proxy.connect(context)));
  for (const client of clients) client.send(`GET / HTTP/1.1\r\nhost: ${name}.test\r\n\r\n`);
  await eventually('all are waiting or refused', () => upstream.requests.length - before + refusedNow() === count);
  await eventually('the refusals are there', () => clients.filter(({received}) => received.endsWith('\n')).length === refusedNow());
  return Promise.all(clients.filter(({received}) => received !== '').map((client) => client.response()));
}

test('one borrows what is idle, is refused in the reserve, and the other one finds a place whenever it comes', async (context) => {
  const set = await stage(context, {acme: 1, globex: 1});
  const refused = await ask(context, set, 'acme', 20 * FREE);
  assert.equal(refused.length, 20 * FREE - FREE, 'acme alone has all that is shared freely');
  assert.deepEqual([statusOf(refused[0]!), fieldOf(refused[0]!, 'retry-after'), fieldOf(refused[0]!, 'connection')], [503, '5', undefined]);
  assert.deepEqual(await ask(context, set, 'globex', PLACES - FREE), [], 'none of globex fails');
  assert.deepEqual(set.proxy.faults(), {share_exceeded: 20 * FREE - FREE});
});

test('what ends goes to the one below its share, until both have theirs by weight', async (context) => {
  const set = await stage(context, {acme: 1, globex: 2});
  await ask(context, set, 'acme', FREE);
  for (const {peer} of set.upstream.requests.slice(0, FREE - 10)) peer.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  await eventually('they have ended', () => set.proxy.slot('acme', 'app', set.upstream.port).requests === 10);
  set.proxy.pass(LIMITS.shareLevelMs);
  assert.deepEqual(await ask(context, set, 'globex', 20), []);
  set.proxy.pass(LIMITS.shareLevelMs);
  assert.equal((await ask(context, set, 'acme', 1)).length, 1, 'acme has its third');
  set.proxy.pass(LIMITS.shareLevelMs);
  assert.equal((await ask(context, set, 'globex', 1)).length, 1, 'globex its two thirds');
});

test('a customer that is alone on the node is refused by the cap only', async (context) => {
  const set = await stage(context, {acme: 1});
  assert.equal((await ask(context, set, 'acme', PLACES + 5)).length, 5);
  assert.deepEqual(set.proxy.faults(), {requests_total: 5});
});

test('places are free again when the clients go away', async (context) => {
  const set = await stage(context, {acme: 1, globex: 1});
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await ask(context, set, 'acme', FREE - 2), []);
    for (const {peer} of set.upstream.requests.slice(-(FREE - 2))) peer.send('HTTP/1.1 200 OK\r\n');
    const clients = await Promise.all([0, 1].map(() => set.proxy.connect(context)));
    for (const client of clients) client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    await eventually('they are waiting', () => set.proxy.slot('acme', 'app', set.upstream.port).requests === FREE);
    for (const client of clients) client.destroy();
    await eventually('they are gone', () => set.proxy.slot('acme', 'app', set.upstream.port).requests === FREE - 2);
    for (const {peer} of set.upstream.requests.slice(-FREE)) if (peer.isOpen) peer.send('content-length: 0\r\n\r\n');
    await eventually('the others are answered', () => set.proxy.slot('acme', 'app', set.upstream.port).requests === 0);
  }
  assert.deepEqual(set.proxy.faults(), {client_gone: 6});
});
