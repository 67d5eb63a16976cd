/** Guessing passwords over real sockets: who is slowed down, refused and banned, and who is not. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BEHIND_PROXY, GUARD, WINDOW_MS, application, attemptText, counted, guarded, repeat, start, statusesOf, tryOnce, type Attempt} from '#test/login-guard/stage.ts';
import {assertServes, attack} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {route, site} from '#test/support/snapshots.ts';

const BAN_MS = 60_000;

describe('what is detected', () => {
  test('brute force: one client and one account; others are not concerned', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(6, () => ({}))), [401, 401, 401, 401, 429, 429]);
    assert.deepEqual(await statusesOf(connection, [{password: 'right'}, {user: 'bob'}, {client: '203.0.113.2'}]), [429, 401, 401]);
    assert.deepEqual(counted(stage), {'failed none': 6, 'limited brute_force': 3});
    assert.equal(stage.upstream.requests.length, 6, 'what is refused reaches no application');
  });

  test('credential stuffing: one client and many accounts', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(10, (index) => ({user: `user${index}`}))), [...Array.from({length: 8}, () => 401), 429, 429]);
    assert.deepEqual(counted(stage), {'failed none': 8, 'limited stuffing': 2});
    assert.deepEqual(await statusesOf(connection, [{client: '203.0.113.2', password: 'right'}]), [200]);
  });

  test('spraying: many clients and one account; who has logged in to it before still can', async (context) => {
    const stage = await start(context, {ban: {after: 1, forMs: BAN_MS, maxMs: BAN_MS}});
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, [{client: '198.51.100.1', password: 'right'}]), [200]);
    const statuses = await statusesOf(connection, repeat(14, (index) => ({client: `203.0.113.${index}`})));
    assert.deepEqual(statuses, [...Array.from({length: 12}, () => 401), 429, 429]);
    assert.deepEqual(await statusesOf(connection, [{client: '198.51.100.1', password: 'right'}, {client: '198.51.100.2', password: 'right'}]), [200, 429]);
    assert.deepEqual(stage.proxy.bans, [], 'whose account is attacked is banned for nothing');
  });

  test('addresses of one /64 are one client', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(5, (index) => ({client: `2001:db8::${index + 1}`}))), [401, 401, 401, 401, 429]);
  });

  test('the account in other spellings is the same account', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    const users = ['alice', 'ALICE', '%61lice', '+alice+', 'Alice'];
    assert.deepEqual(await statusesOf(connection, users.map((user) => ({user}))), [401, 401, 401, 401, 429]);
  });

  test('the account in JSON', async (context) => {
    const stage = await start(context, {account: {type: 'json', field: 'user'}});
    const connection = await stage.proxy.connect(context);
    const statuses: number[] = [];
    for (const user of ['alice', 'Alice', '\\u0061lice', 'alice ', 'ALICE', 'bob']) {
      const body = `{"password": "wrong", "user": "${user}"}`;
      connection.send(`POST /login HTTP/1.1\r\nhost: acme.test\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      statuses.push(statusOf(await connection.response()));
    }
    assert.deepEqual(statuses, [401, 401, 401, 401, 429, 401]);
  });
});

describe('what counts', () => {
  test('only failures: who logs in right is never refused', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(new Set(await statusesOf(connection, repeat(30, () => ({password: 'right'})))), new Set([200]));
    assert.deepEqual(counted(stage), {});
  });

  test('a success forgives the pair, and not the client', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    const round: readonly Attempt[] = [...repeat(3, () => ({})), {password: 'right'}];
    assert.deepEqual(await statusesOf(connection, [...round, ...round]), [401, 401, 401, 200, 401, 401, 401, 200]);
    assert.deepEqual(await statusesOf(connection, repeat(3, (index) => ({user: `user${index}`}))), [401, 401, 429]);
  });

  test('what is no login at all is no success: it forgives nothing, and nobody is known for the account by it', async (context) => {
    const stage = await start(context, {clientFailures: 100});
    stage.upstream.respond = (request) => (request.body.endsWith('password=') ? 'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n' : application(request));
    const connection = await stage.proxy.connect(context);
    const round: readonly Attempt[] = [...repeat(3, () => ({})), {password: ''}];
    assert.deepEqual(await statusesOf(connection, [...round, ...round]), [401, 401, 401, 400, 401, 429, 429, 429], 'one client');
    const clients = repeat(14, (index) => ({client: `203.0.113.${10 + index}`, user: 'bob'}));
    assert.deepEqual((await statusesOf(connection, clients.flatMap((attempt) => [{...attempt, password: ''}, attempt]))).slice(-4), [429, 429, 429, 429], 'many clients');
  });

  test('to be sent elsewhere with the password is no success', async (context) => {
    const stage = await start(context, {clientFailures: 100, failure: {...GUARD.failure, redirectPaths: []}});
    const redirect = (status: number, location: string): string => `HTTP/1.1 ${status} Moved\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`;
    const redirects = [redirect(301, 'https://www.acme.test/login'), redirect(302, '/login'), redirect(308, '/de/login'), redirect(307, 'https://acme.test/')];
    stage.upstream.respond = (request) => redirects[Number(/next=(\d)/.exec(request.startLine)?.[1])] ?? application(request);
    const connection = await stage.proxy.connect(context);
    const attempts = redirects.flatMap((_, index): readonly Attempt[] => [{}, {target: `/LOGIN/?next=${index}`}]);
    assert.deepEqual(await statusesOf(connection, attempts), [401, 301, 401, 302, 401, 308, 401, 429]);
    assert.deepEqual(await statusesOf(connection, [{}, {password: 'right'}]), [429, 429]);
  });

  test('a failure is forgotten after its share of the window', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    await statusesOf(connection, repeat(4, () => ({})));
    const refused = await tryOnce(connection, {});
    assert.deepEqual([statusOf(refused), fieldOf(refused, 'retry-after')], [429, String(WINDOW_MS / 4 / 1000)]);
    stage.proxy.pass(WINDOW_MS / 4);
    const again = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(again, [{}, {}]), [401, 429]);
  });

  const OUTCOMES: readonly (readonly [what: string, failure: Partial<LoginGuardSnapshot['failure']>, answer: string, isFailure: boolean])[] = [
    ...[401, 403, 422, 429].map((status) => [`the status ${status}`, {statuses: [401, 403, 422, 429]}, `HTTP/1.1 ${status} No\r\n`, true] as const),
    ['a status that is not in the list', {}, 'HTTP/1.1 422 No\r\n', false],
    ['a redirect back', {}, 'HTTP/1.1 302 Found\r\nlocation: /login?error=1\r\n', true],
    ['a redirect back with the host', {}, 'HTTP/1.1 303 See Other\r\nlocation: https://acme.test/login\r\n', true],
    ['a redirect onwards', {}, 'HTTP/1.1 302 Found\r\nlocation: /account\r\n', false],
    ['no cookie', {cookie: 'session'}, 'HTTP/1.1 200 OK\r\nset-cookie: other=1\r\n', true],
    ['a cookie that is taken away', {cookie: 'session'}, 'HTTP/1.1 200 OK\r\nset-cookie: session=; max-age=0\r\n', true],
    ['the cookie', {cookie: 'session'}, 'HTTP/1.1 200 OK\r\nset-cookie: session=abc; secure\r\n', false],
    ['another status, without the cookie', {cookie: 'session'}, 'HTTP/1.1 404 Not Found\r\n', true],
    ['another status', {}, 'HTTP/1.1 404 Not Found\r\n', false],
    ['trouble of the application', {cookie: 'session'}, 'HTTP/1.1 500 Internal Server Error\r\n', false],
    ['an answer that is none', {}, 'hello\r\n', false],
  ];
  for (const [what, failure, answer, isFailure] of OUTCOMES) {
    test(`${what} is ${isFailure ? 'a' : 'no'} failure`, async (context) => {
      const stage = await start(context, {failure: {...GUARD.failure, ...failure}});
      stage.upstream.respond = () => `${answer}content-length: 0\r\n\r\n`;
      const connection = await stage.proxy.connect(context);
      const statuses = await statusesOf(connection, repeat(5, () => ({})));
      assert.equal(statuses[4] === 429, isFailure, String(statuses));
    });
  }

  test('many at once are no way around the limit, and those who do not wait for the answer have failed', async (context) => {
    const stage = await start(context);
    stage.upstream.respond = () => null;
    const clients = await Promise.all(repeat(12, () => ({})).map(() => stage.proxy.connect(context)));
    for (const connection of clients) connection.send(attemptText({}));
    await eventually('the others are refused', () => stage.proxy.fault('login_limited') === 8);
    await eventually('the first ones are tried', () => stage.upstream.requests.length === 4);
    await settle();
    assert.equal(stage.upstream.requests.length, 4);
    for (const connection of clients) connection.destroy();
    await eventually('all are gone', () => stage.proxy.fault('client_gone') === 4);
    assert.deepEqual(await statusesOf(await stage.proxy.connect(context), [{}]), [429]);
  });

  test('of a route that names the guard, whatever the path; elsewhere the same path is no attempt', async (context) => {
    const upstream = await FakeUpstream.start(context);
    upstream.respond = application;
    const base = guarded(upstream.port, {paths: []});
    const sites = [site(['acme.test'], [route('/account/', {loginGuard: 'shop'}), route('/')])];
    const proxy = await ProxyHarness.start(context, {node: BEHIND_PROXY, customers: [{...base, sites}]});
    const connection = await proxy.connect(context);
    const targets = ['/account/sign-in', '/account/', '/ACCOUNT', '/account/a/b', '/account/%61', '/account/c', '/other'];
    assert.deepEqual(await statusesOf(connection, targets.map((target) => ({target}))), [401, 401, 401, 401, 401, 429, 401]);
  });

  test('other methods and paths are nobody\'s attempts', async (context) => {
    const stage = await start(context, {pairFailures: 2});
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(6, () => ({target: '/other'}))), [401, 401, 401, 401, 401, 401]);
    await assertServes(context, stage);
  });
});

describe('what is done', () => {
  test('attempts wait longer and longer, and hold no connection to the application', async (context) => {
    const stage = await start(context, {delayMaxMs: 4_000, pairFailures: 5, clientFailures: 100});
    const {upstream} = stage;
    // No idle connection is left that an attempt could hold unseen.
    upstream.respond = (request) => application(request).replace('\r\n', '\r\nconnection: close\r\n');
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(3, () => ({}))), [401, 401, 401]);
    await eventually('their connections are closed', () => upstream.openConnections === 0);
    connection.send(attemptText({}));
    await eventually('the attempt waits', () => stage.proxy.counter('requests') === 4);
    await settle();
    stage.proxy.passAlmost(2_000);
    await settle();
    assert.deepEqual([connection.received, upstream.requests.length, upstream.peers.length], ['', 3, 3], 'nothing is sent, and nothing dialled');
    stage.proxy.passRest();
    assert.equal(statusOf(await connection.response()), 401);
    assert.equal(upstream.peers.length, 4);
    assert.deepEqual(counted(stage), {'failed none': 4, 'delayed brute_force': 1});
  });

  test('a customer whose logins are attacked leaves others the room to wait', async (context) => {
    const upstream = await FakeUpstream.start(context);
    upstream.respond = application;
    const own = guarded(upstream.port, {delayMaxMs: 4_000, pairFailures: 2, clientFailures: 100, accountFailures: 100_000});
    const other = {...own, name: 'other', sites: [site(['other.test'], [route('/')])]};
    const proxy = await ProxyHarness.start(context, {node: BEHIND_PROXY, customers: [own, other]});
    const attempts = repeat(LIMITS.loginsDelayedPerCustomerMax + 1, (index) => ({client: `203.0.${index >> 8}.${index & 255}`}));
    const connection = await proxy.connect(context);
    assert.deepEqual(new Set(await statusesOf(connection, attempts)), new Set([401]));
    const dialled = upstream.peers.length;
    const waiting = await Promise.all(attempts.map(() => proxy.connect(context)));
    for (const [index, client] of waiting.entries()) client.send(attemptText(attempts[index] ?? {}));
    await eventually('one is refused', () => proxy.fault('login_limited') === 1);
    await settle();
    assert.deepEqual([upstream.requests.length, upstream.peers.length], [attempts.length, dialled], 'the others wait, and hold no connection');
    const [neighbour] = attempts;
    const elsewhere = (attempt: Attempt): string => attemptText(attempt).replace('acme.test', 'other.test');
    connection.send(elsewhere(neighbour ?? {}));
    assert.equal(statusOf(await connection.response()), 401);
    connection.send(elsewhere(neighbour ?? {}));
    await settle();
    assert.deepEqual([connection.received, proxy.fault('login_limited')], ['', 1]);
    proxy.pass(5_000);
    assert.equal(statusOf(await connection.response()), 401);
  });

  test('who goes away while waiting has tried nothing', async (context) => {
    const stage = await start(context, {delayMaxMs: 4_000, pairFailures: 5, clientFailures: 100});
    await statusesOf(await stage.proxy.connect(context), repeat(3, () => ({})));
    for (let i = 0; i < 5; i++) {
      const connection = await stage.proxy.connect(context);
      connection.send(attemptText({}));
      await eventually('the attempt waits', () => stage.proxy.counter('requests') === 4 + i);
      connection.destroy();
      await eventually('it is over', () => stage.proxy.fault('client_gone') === i + 1);
    }
    stage.proxy.pass(10_000);
    assert.equal(stage.upstream.requests.length, 3);
    assert.deepEqual(stage.proxy.faults(), {client_gone: 5});
    await assertServes(context, stage);
  });

  test('who goes on is banned, twice as long each time', async (context) => {
    const stage = await start(context, {ban: {after: 2, forMs: BAN_MS, maxMs: 3 * BAN_MS}});
    const connection = await stage.proxy.connect(context);
    for (const client of ['203.0.113.9', '2001:db8:1:2:3::4']) await statusesOf(connection, repeat(4 + 3 * 3, () => ({client})));
    const reason = 'login guard shop: brute_force';
    const order = (network: string, forMs: number): object => ({customer: 'acme', network, reason, forMs});
    assert.deepEqual(stage.proxy.bans, ['203.0.113.9/32', '2001:db8:1:2::/64'].flatMap((network) => [order(network, BAN_MS), order(network, 2 * BAN_MS), order(network, 3 * BAN_MS)]));
    assert.equal(counted(stage)['banned brute_force'], 6);
  });

  test('observing: everything is counted, and nothing is done', async (context) => {
    const stage = await start(context, {isEnforced: false, delayMaxMs: 4_000, ban: {after: 1, forMs: BAN_MS, maxMs: BAN_MS}});
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(new Set(await statusesOf(connection, repeat(8, () => ({})))), new Set([401]));
    const {'limited brute_force': limited, 'banned brute_force': banned, 'delayed brute_force': delayed} = counted(stage);
    assert.deepEqual([limited, (banned ?? 0) > 0, (delayed ?? 0) > 0, stage.proxy.bans], [4, true, true, []]);
  });

  test('observing: what cannot be read passes, and counts for its client', async (context) => {
    const stage = await start(context, {isEnforced: false});
    const connection = await stage.proxy.connect(context);
    assert.deepEqual(await statusesOf(connection, repeat(5, () => ({user: 'a&user=b'}))), [401, 401, 401, 401, 401]);
    assert.deepEqual(counted(stage), {'failed none': 4, 'limited brute_force': 1});
  });

  test('a client that is over its number is refused before anybody reads which account it means', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    await statusesOf(connection, repeat(8, (index) => ({user: `user${index}`})));
    assert.deepEqual(await statusesOf(connection, repeat(3, () => ({user: 'a&user=b'}))), [429, 429, 429]);
    assert.deepEqual(counted(stage), {'failed none': 8, 'limited stuffing': 3});
    assert.deepEqual(stage.proxy.faults(), {login_limited: 3});
  });

  test('counts survive a reload', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    await statusesOf(connection, repeat(4, () => ({})));
    await stage.proxy.reload({customers: [guarded(stage.upstream.port, {})]});
    assert.deepEqual(await statusesOf(connection, [{}]), [429]);
  });
});

const UNREADABLE = {
  'the account twice': ['content-type: application/x-www-form-urlencoded\r\ncontent-length: 11\r\n', 'user=a&user=b'.slice(0, 11)],
  'another type': ['content-type: multipart/form-data; boundary=x\r\ncontent-length: 6\r\n', 'user=a'],
  'a compressed body': ['content-type: application/x-www-form-urlencoded\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n', 'user=a'],
  'more than is collected': [`content-type: application/x-www-form-urlencoded\r\ncontent-length: ${LIMITS.pipelineBytesMax + 4096}\r\n`, `user=a&x=${'x'.repeat(LIMITS.pipelineBytesMax + 4087)}`],
} as const;

describe('what cannot be read in one way reaches no application', () => {
  for (const [what, [fields, body]] of Object.entries(UNREADABLE)) {
    test(what, async (context) => {
      const upstream = await FakeUpstream.start(context);
      const proxy = await ProxyHarness.start(context, {customers: [guarded(upstream.port, {})]});
      await attack(context, {proxy, upstream}, `POST /login HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n${body}`, 'login_unreadable');
    });
  }
});
