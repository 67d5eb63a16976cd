/** Request limits over real sockets: whom each key counts, what is told, and what gets around nothing. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {CustomerSnapshot, LimitSnapshot, NodeSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {assertServes, attack} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, fieldsOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {customer, limit, pool, route, site} from '#test/support/snapshots.ts';

const INTERVAL_MS = 60_000;

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
  readonly connection: RawClient;
}

interface Limits {
  readonly node?: readonly LimitSnapshot[];
  readonly customer?: readonly LimitSnapshot[];
  /** Of the route `/`. */
  readonly route?: readonly LimitSnapshot[];
}

/** Behind a trusted proxy, so that a test can come from many clients. */
const BEHIND_PROXY: Partial<NodeSnapshot> = {trustedProxies: ['127.0.0.1/32']};

function makeCustomers(port: number, limits: Limits): readonly CustomerSnapshot[] {
  const routes: readonly RouteSnapshot[] = [route('/', {limits: limits.route ?? []}), route('/other'), route('/probe')];
  const own = {pools: [pool('app', [port])], limits: limits.customer ?? []};
  return [
    customer('acme', {...own, sites: [site(['acme.test', '*.acme.test'], routes), site(['second.test'], routes)]}),
    customer('globex', {pools: own.pools, sites: [site(['globex.test'], [route('/')])]}),
  ];
}

async function start(context: TestContext, limits: Limits): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
  const proxy = await ProxyHarness.start(context, {node: {...BEHIND_PROXY, limits: limits.node ?? []}, customers: makeCustomers(upstream.port, limits)});
  return {upstream, proxy, connection: await proxy.connect(context)};
}

interface Ask {
  readonly host?: string;
  readonly path?: string;
  readonly client?: string;
  /** Complete lines. */
  readonly fields?: string;
}

async function ask({connection}: Stage, {host = 'acme.test', path = '/', client = '203.0.113.1', fields = ''}: Ask = {}): Promise<RawMessage> {
  connection.send(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nx-forwarded-for: ${client}\r\n${fields}\r\n`);
  return connection.response();
}

async function statusesOf(stage: Stage, asks: readonly Ask[]): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (const one of asks) statuses.push(statusOf(await ask(stage, one)));
  return statuses;
}

/** Each has a bucket of one token: the second request of the same key is refused, and that of another key is not. */
const KEYS: readonly (readonly [what: string, limits: Limits, same: readonly Ask[], others: readonly Ask[]])[] = [
  ['client at the node', {node: [limit('l', INTERVAL_MS, 1)]}, [{}, {host: 'globex.test'}, {host: 'unknown.test'}], [{client: '203.0.113.2'}]],
  ['client of a customer', {customer: [limit('l', INTERVAL_MS, 1)]}, [{}, {host: 'second.test', path: '/other'}], [{host: 'globex.test'}, {client: '203.0.113.2'}]],
  ['client of a route', {route: [limit('l', INTERVAL_MS, 1)]}, [{}, {path: '/deeper'}], [{path: '/other'}, {host: 'second.test'}, {client: '203.0.113.2'}]],
  ['/64 of a client', {node: [limit('l', INTERVAL_MS, 1)]}, [{client: '2001:db8::1'}, {client: '2001:db8::2'}, {client: '2001:db8:0:0:ffff::1'}], [{client: '2001:db8:0:1::1'}]],
  ['customer at the node', {node: [limit('l', INTERVAL_MS, 1, {key: 'customer'})]}, [{}, {host: 'second.test', client: '203.0.113.2'}], [{host: 'globex.test'}]],
  ['customer', {customer: [limit('l', INTERVAL_MS, 1, {key: 'customer'})]}, [{}, {host: 'second.test', client: '203.0.113.2'}], [{host: 'globex.test'}]],
  ['host at the node', {node: [limit('l', INTERVAL_MS, 1, {key: 'host'})]}, [{}, {client: '203.0.113.2'}, {host: 'ACME.test:80'}], [{host: 'second.test'}, {host: 'globex.test'}]],
  ['host: a wildcard is one', {customer: [limit('l', INTERVAL_MS, 1, {key: 'host'})]}, [{host: 'a.acme.test'}, {host: 'b.acme.test'}, {host: 'c.d.acme.test'}], [{}]],
  ['route at the node', {node: [limit('l', INTERVAL_MS, 1, {key: 'route'})]}, [{}, {path: '/deeper', client: '203.0.113.2'}], [{path: '/other'}, {host: 'second.test'}]],
  ['route of a customer', {customer: [limit('l', INTERVAL_MS, 1, {key: 'route'})]}, [{}, {path: '/deeper', client: '203.0.113.2'}], [{path: '/other'}, {host: 'second.test'}]],
  ['route itself', {route: [limit('l', INTERVAL_MS, 1, {key: 'route'})]}, [{}, {client: '203.0.113.2'}], [{path: '/other'}]],
  ['customer of a route', {route: [limit('l', INTERVAL_MS, 1, {key: 'customer'})]}, [{}, {path: '/deeper', host: 'a.acme.test', client: '203.0.113.2'}], [{path: '/other'}, {host: 'second.test'}, {host: 'globex.test'}]],
  ['host of a route', {route: [limit('l', INTERVAL_MS, 1, {key: 'host'})]}, [{}, {path: '/deeper', client: '203.0.113.2'}], [{path: '/other'}, {host: 'a.acme.test'}, {host: 'second.test'}]],
  ['header', {customer: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'x-api-key'})]},
    [{fields: 'x-api-key: a\r\n'}, {fields: 'X-API-Key:   a\r\n', client: '203.0.113.2'}], [{fields: 'x-api-key: b\r\n'}]],
  ['header at the node', {node: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'x-api-key'})]},
    [{fields: 'x-api-key: a\r\n'}, {fields: 'x-api-key: a\r\n', host: 'globex.test', client: '203.0.113.2'}, {fields: 'x-api-key: a\r\n', host: 'unknown.test'}],
    [{fields: 'x-api-key: b\r\n'}, {}]],
  ['header of a route', {route: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'x-api-key'})]},
    [{fields: 'x-api-key: a\r\n'}, {fields: 'x-api-key: a\r\n', path: '/deeper', client: '203.0.113.2'}],
    [{fields: 'x-api-key: a\r\n', path: '/other'}, {fields: 'x-api-key: a\r\n', host: 'second.test'}, {fields: 'x-api-key: b\r\n'}, {}]],
  ['header that is missing, empty or repeated: its client', {customer: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'x-api-key'})]},
    [{}, {fields: 'x-api-key:\r\n'}, {fields: 'x-api-key: a\r\nx-api-key: b\r\n'}, {fields: 'x-api-key: c\r\nx-api-key: d\r\n'}], [{client: '203.0.113.2'}, {fields: 'x-api-key: a\r\n'}]],
  ['cookie', {customer: [limit('l', INTERVAL_MS, 1, {key: 'cookie', keyName: 'sid'})]},
    [{fields: 'cookie: a=1; sid=x\r\n'}, {fields: 'cookie: sid=x\r\ncookie: b=2\r\n', client: '203.0.113.2'}], [{fields: 'cookie: sid=y\r\n'}, {fields: 'cookie: asid=x\r\n'}]],
  ['cookie in other spellings, which applications undo', {customer: [limit('l', INTERVAL_MS, 1, {key: 'cookie', keyName: 'sid'})]},
    [{fields: 'cookie: sid=a/b\r\n'}, {fields: 'cookie: sid="a/b"\r\n'}, {fields: 'cookie: sid=%61%2fb\r\n'}, {fields: 'cookie: sid="a%2Fb"\r\n'}], [{fields: 'cookie: sid=a%252fb\r\n'}, {fields: 'cookie: sid=a%\r\n'}]],
  ['credentials in other spellings', {customer: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'authorization'})]},
    [{fields: 'authorization: Bearer x\r\n'}, {fields: 'authorization: BEARER x\r\n'}, {fields: 'authorization: bearer   x\r\n'}, {fields: 'authorization: bearer\tx\r\n'}, {fields: 'authorization: Bearer \t x\r\n'}], [{fields: 'authorization: Bearer X\r\n'}, {fields: 'authorization: Basic x\r\n'}]],
  ['names and passwords in other spellings', {customer: [limit('l', INTERVAL_MS, 1, {key: 'header', keyName: 'authorization'})]},
    [{fields: 'authorization: Basic YWxpY2U6cA==\r\n'}, {fields: 'authorization: BASIC YWxpY2U6cA\r\n'}, {fields: 'authorization: basic YWxpY2U6cB==\r\n'}, {fields: 'authorization: Basic YWxp Y2U6cA\r\n'}, {fields: 'authorization: Basic !YWxpY2U6cA=\r\n'}],
    [{fields: 'authorization: Basic YWxpY2U6cQ==\r\n'}, {fields: 'authorization: Bearer YWxpY2U6cA==\r\n'}, {fields: 'authorization: Bearer YWxpY2U6cA\r\n'}]],
  ['cookie at the node', {node: [limit('l', INTERVAL_MS, 1, {key: 'cookie', keyName: 'sid'})]},
    [{fields: 'cookie: sid=x\r\n'}, {fields: 'cookie: a=1; sid=x\r\n', host: 'globex.test', client: '203.0.113.2'}, {fields: 'cookie: sid=x\r\n', host: 'unknown.test'}],
    [{fields: 'cookie: sid=y\r\n'}, {}]],
  ['cookie of a route', {route: [limit('l', INTERVAL_MS, 1, {key: 'cookie', keyName: 'sid'})]},
    [{fields: 'cookie: sid=x\r\n'}, {fields: 'cookie: a=1; sid=x\r\n', path: '/deeper', client: '203.0.113.2'}],
    [{fields: 'cookie: sid=x\r\n', path: '/other'}, {fields: 'cookie: sid=x\r\n', host: 'second.test'}, {fields: 'cookie: sid=y\r\n'}, {}]],
  ['cookie that is missing, empty or repeated: its client', {customer: [limit('l', INTERVAL_MS, 1, {key: 'cookie', keyName: 'sid'})]},
    [{}, {fields: 'cookie: sid=\r\n'}, {fields: 'cookie: sid=a; sid=b\r\n'}, {fields: 'cookie: sid=a\r\ncookie: sid=c\r\n'}], [{fields: 'cookie: sid=a\r\n'}]],
];

describe('whom a key counts', () => {
  for (const [what, limits, same, others] of KEYS) {
    test(what, async (context) => {
      const stage = await start(context, limits);
      const [first, ...rest] = await statusesOf(stage, same);
      assert.equal(first, 200);
      assert.deepEqual(rest, rest.map(() => 429));
      assert.deepEqual(await statusesOf(stage, others), others.map(() => 200));
    });
  }

  test('all limits that a request passes: the strictest decides, whatever its scope', async (context) => {
    const stage = await start(context, {node: [limit('n', INTERVAL_MS, 3)], customer: [limit('c', INTERVAL_MS, 2)], route: [limit('r', INTERVAL_MS, 1)]});
    assert.deepEqual(await statusesOf(stage, [{}, {}, {path: '/other'}, {host: 'globex.test'}]), [200, 429, 429, 429]);
    await stage.proxy.forgetLog();
    assert.deepEqual(stage.proxy.proxy.takeLimitExcesses(), [
      {customer: 'acme', limit: 'r', mode: 'enforce', count: 1}, {customer: 'acme', limit: 'c', mode: 'enforce', count: 1}, {customer: '', limit: 'n', mode: 'enforce', count: 1},
    ]);
    assert.deepEqual(stage.proxy.proxy.takeLimitExcesses(), [], 'each is told once');
  });

  test('limits of one name in two lists are two', async (context) => {
    const stage = await start(context, {node: [limit('l', INTERVAL_MS, 2)], customer: [limit('l', INTERVAL_MS, 2)], route: [limit('l', INTERVAL_MS, 2)]});
    assert.deepEqual(await statusesOf(stage, [{}, {}, {}]), [200, 200, 429]);
  });
});

describe('what is told', () => {
  test('a refusal: when to come again, and by which policy', async (context) => {
    const stage = await start(context, {customer: [limit('per-client', 1_500, 4)]});
    await statusesOf(stage, [{}, {}, {}, {}]);
    const answer = await ask(stage);
    assert.deepEqual(
      ['retry-after', 'ratelimit-policy', 'ratelimit'].map((name) => fieldsOf(answer, name)),
      [['2'], ['"per-client";q=4;w=6'], ['"per-client";r=0;t=2']],
    );
  });

  test('by default nothing else', async (context) => {
    const stage = await start(context, {customer: [limit('per-client', 1_500, 4)]});
    const answer = await ask(stage);
    assert.deepEqual([fieldOf(answer, 'ratelimit-policy'), fieldOf(answer, 'ratelimit')], [undefined, undefined]);
  });

  test('every response, where the limit is announced: of the application, and of Torwart', async (context) => {
    const stage = await start(context, {node: [limit('n', 10_000, 5, {isAnnounced: true})], customer: [limit('c', 1_000, 2, {isAnnounced: true})]});
    const told = (answer: RawMessage): unknown => [statusOf(answer), fieldsOf(answer, 'ratelimit-policy'), fieldsOf(answer, 'ratelimit')];
    const policies = ['"n";q=5;w=50', '"c";q=2;w=2'];
    assert.deepEqual(told(await ask(stage)), [200, policies, ['"n";r=4;t=10', '"c";r=1;t=1']]);
    assert.deepEqual(told(await ask(stage, {host: 'globex.test'})), [200, ['"n";q=5;w=50'], ['"n";r=3;t=10']], 'nothing of another customer');
    assert.deepEqual(told(await ask(stage, {path: '/..%2f'})), [400, ['"n";q=5;w=50'], ['"n";r=2;t=10']]);
    const again = await stage.proxy.connect(context);
    stage.proxy.pass(4_000);
    assert.deepEqual(told(await ask({...stage, connection: again})), [200, policies, ['"n";r=1;t=6', '"c";r=1;t=1']]);
  });

  test('the access log names the limit that refused', async (context) => {
    const stage = await start(context, {node: [limit('seen', INTERVAL_MS, 1, {isEnforced: false})], customer: [limit('full', INTERVAL_MS, 1)]});
    await statusesOf(stage, [{}]);
    assert.equal((await stage.proxy.nextLogLine())['limit'], undefined);
    await ask(stage);
    const line = await stage.proxy.nextLogLine();
    assert.deepEqual([line['limit'], line['fault'], line['status']], ['full', 'rate_limited', 429]);
  });
});

describe('observe', () => {
  test('refuses nothing, and counts and logs what it would have refused', async (context) => {
    const stage = await start(context, {customer: [limit('trial', INTERVAL_MS, 1, {isEnforced: false}), limit('second', INTERVAL_MS, 1, {isEnforced: false})]});
    assert.deepEqual(await statusesOf(stage, [{}, {}]), [200, 200]);
    const answer = await ask(stage);
    assert.deepEqual([statusOf(answer), fieldOf(answer, 'ratelimit'), fieldOf(answer, 'retry-after')], [200, undefined, undefined]);
    const lines = [await stage.proxy.nextLogLine(), await stage.proxy.nextLogLine(), await stage.proxy.nextLogLine()];
    assert.deepEqual(lines.map((line) => [line['limit'], line['fault'], line['status']]), [[undefined, null, 200], ['trial', null, 200], ['trial', null, 200]]);
    assert.deepEqual(stage.proxy.proxy.takeLimitExcesses().map(({limit: name, mode, count}) => [name, mode, count]), [['trial', 'observe', 2], ['second', 'observe', 2]]);
    assert.deepEqual(stage.proxy.faults(), {});
  });
});

describe('attacks', () => {
  test('a refused request reaches no application, and its connection can be used again', async (context) => {
    const stage = await start(context, {route: [limit('l', INTERVAL_MS, 1)]});
    await ask(stage, {client: '127.0.0.1'});
    await attack(context, stage, 'GET / HTTP/1.1\r\nhost: acme.test\r\nx-forwarded-for: 127.0.0.1\r\n\r\n', 'rate_limited');
  });

  test('new values of a header are new buckets: the limit of the client next to it holds', async (context) => {
    const stage = await start(context, {customer: [limit('key', INTERVAL_MS, 1, {key: 'header', keyName: 'x-api-key'}), limit('client', INTERVAL_MS, 3)]});
    const asks = Array.from({length: 5}, (_, index) => ({fields: `x-api-key: ${index}\r\n`}));
    assert.deepEqual(await statusesOf(stage, asks), [200, 200, 200, 429, 429]);
  });

  test('what an application says about limits of its own is added, and takes no place', async (context) => {
    const stage = await start(context, {customer: [limit('c', 1_000, 2, {isAnnounced: true})]});
    stage.upstream.respond = () => 'HTTP/1.1 200 OK\r\nratelimit: "app";r=9;t=9\r\ncontent-length: 0\r\n\r\n';
    assert.deepEqual(fieldsOf(await ask(stage), 'ratelimit'), ['"app";r=9;t=9', '"c";r=1;t=1']);
    await assertServes(context, {...stage, upstream: stage.upstream});
  });
});
