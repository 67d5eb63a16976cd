/** Names and passwords over real sockets: who gets in, what the application sees, and what guessing costs. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {BasicAuthSnapshot, CustomerSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {formatScryptHash} from '#src/config/password-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import {assertServes, attack, PROBE} from '#test/support/attack.ts';
import {authorization, basic, bcryptHash, scryptHash} from '#test/access/passwords.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {acme, route, site} from '#test/support/snapshots.ts';

const USERS = {alice: scryptHash('wonderland'), bob: bcryptHash('builder:1'), zoe: scryptHash('pässword')};
const STAFF = basic(USERS);
/** As costly as the configuration lets them be; no password is known to fit. */
const DEAR_BCRYPT = `$2b$13$${'a'.repeat(53)}`, DEAR_SCRYPT = formatScryptHash({cost: 2 ** 16, blockSize: 8, parallelization: 4, salt: Buffer.alloc(16), key: Buffer.alloc(32)});

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

/** `/probe` is open; everything else asks for a password. */
function guarded(port: number, auth: BasicAuthSnapshot = STAFF, overrides: Partial<RouteSnapshot> = {}): CustomerSnapshot {
  const base = acme([port]);
  const redirect = route('/moved', {auth: 'staff', action: {type: 'redirect', status: 302, location: '/x', keepTarget: false}});
  return {...base, auth: [auth], sites: [site(['acme.test'], [route('/', {auth: 'staff', ...overrides}), redirect, route('/probe')])]};
}

async function start(context: TestContext, auth?: BasicAuthSnapshot, overrides?: Partial<RouteSnapshot>): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  return {upstream, proxy: await ProxyHarness.start(context, {customers: [guarded(upstream.port, auth, overrides)]})};
}

async function ask(client: RawClient, fields: string, startLine = 'GET / HTTP/1.1'): Promise<RawMessage> {
  client.send(`${startLine}\r\nhost: acme.test\r\n${fields}\r\n`);
  return client.response();
}

describe('who gets in', () => {
  for (const [user, password] of [['alice', 'wonderland'], ['bob', 'builder:1'], ['zoe', 'pässword']] as const) {
    test(`${user}, and the application does not see the password`, async (context) => {
      const {proxy, upstream} = await start(context);
      const client = await proxy.connect(context);
      for (let i = 0; i < 2; i++) {
        assert.equal(statusOf(await ask(client, authorization(user, password))), 200);
        assert.equal(fieldOf(await upstream.nextRequest(), 'authorization'), undefined);
        assert.equal((await proxy.nextLogLine())['user'], user);
      }
      assert.deepEqual(proxy.faults(), {});
    });
  }

  test('the application sees the field where the configuration says so', async (context) => {
    const {proxy, upstream} = await start(context, basic(USERS, {isAuthorizationPassed: true}));
    const line = authorization('alice', 'wonderland');
    assert.equal(statusOf(await ask(await proxy.connect(context), line)), 200);
    assert.equal(`authorization: ${fieldOf(await upstream.nextRequest(), 'authorization')}\r\n`, line);
  });

  test('on a route that answers by itself', async (context) => {
    const {proxy} = await start(context);
    const client = await proxy.connect(context);
    assert.equal(statusOf(await ask(client, '', 'GET /moved HTTP/1.1')), 401);
    assert.equal(statusOf(await ask(client, authorization('alice', 'wonderland'), 'GET /moved HTTP/1.1')), 302);
  });
});

const ATTACKS: readonly (readonly [what: string, fields: string, fault: 'credentials_missing' | 'credentials_wrong'])[] = [
  ['no credentials', '', 'credentials_missing'],
  ['another scheme', 'authorization: Bearer YWxpY2U6d29uZGVybGFuZA==\r\n', 'credentials_missing'],
  ['a scheme that begins alike', 'authorization: Basically YWxpY2U6d29uZGVybGFuZA==\r\n', 'credentials_missing'],
  ['credentials for the proxy', authorization('alice', 'wonderland').replace('authorization', 'proxy-authorization'), 'credentials_missing'],
  ['a field that a CGI would take for it', 'authoriza_tion: x\r\nhttp_authorization: Basic YWxpY2U6d29uZGVybGFuZA==\r\n', 'credentials_missing'],
  ['a wrong password', authorization('alice', 'wonderlan'), 'credentials_wrong'],
  ['the password of another', authorization('alice', 'builder:1'), 'credentials_wrong'],
  ['a user who does not exist', authorization('mallory', 'wonderland'), 'credentials_wrong'],
  ['a user whose name objects have', authorization('constructor', 'wonderland'), 'credentials_wrong'],
  ['an empty password', authorization('alice', ''), 'credentials_wrong'],
  ['the hash in place of the password', authorization('alice', USERS.alice), 'credentials_wrong'],
  ['no colon', 'authorization: Basic YWxpY2U=\r\n', 'credentials_wrong'],
  ['no Base64', 'authorization: Basic !!!!\r\n', 'credentials_wrong'],
  ['Base64 with a blank in it', 'authorization: Basic YWxpY2U6 d29uZGVybGFuZA==\r\n', 'credentials_wrong'],
  ['Base64 without its padding', 'authorization: Basic YWxpY2U6d29uZGVybGFuZA\r\n', 'credentials_wrong'],
  ['a NUL behind the password', authorization('alice', 'wonderland\0x'), 'credentials_wrong'],
  ['a line break in the name', authorization('alice\r\nx', 'wonderland'), 'credentials_wrong'],
  ['bytes that are no UTF-8', `authorization: Basic ${Buffer.from('alice:\xff', 'latin1').toString('base64')}\r\n`, 'credentials_wrong'],
  ['credentials that are too long', authorization('alice', 'w'.repeat(LIMITS.credentialBytesMax)), 'credentials_wrong'],
];

describe('who does not get in', () => {
  for (const [what, fields, fault] of ATTACKS) {
    test(`${what}: ${fault}`, async (context) => {
      const response = await attack(context, await start(context), `GET / HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n`, fault);
      assert.equal(fieldOf(response, 'www-authenticate'), 'Basic realm="Staff", charset="UTF-8"');
    });
  }

  test('the password of another way of the same customer', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const base = guarded(upstream.port);
    const own = {...base, auth: [...base.auth, basic({alice: scryptHash('other')}, {name: 'boss'})], sites: [site(['acme.test'], [route('/', {auth: 'boss'}), route('/probe'), route('/staff', {auth: 'staff'})])]};
    const proxy = await ProxyHarness.start(context, {customers: [own]});
    const client = await proxy.connect(context);
    assert.equal(statusOf(await ask(client, authorization('alice', 'wonderland'), 'GET /staff HTTP/1.1')), 200);
    await attack(context, {proxy, upstream}, `GET / HTTP/1.1\r\nhost: acme.test\r\n${authorization('alice', 'wonderland')}\r\n`, 'credentials_wrong');
  });

  test('Connection does not take the field away', async (context) => {
    await attack(context, await start(context), `GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: authorization\r\n${authorization('alice', 'wonderland')}\r\n`, 'connection_option_refused');
  });
});

describe('what guessing costs', () => {
  test('ten wrong passwords, then one each time that the interval passes; who was right lately gets in all the same', async (context) => {
    const {proxy} = await start(context);
    const client = await proxy.connect(context);
    assert.equal(statusOf(await ask(client, authorization('alice', 'wonderland'))), 200);
    const guess = async (): Promise<number> => statusOf(await ask(client, authorization('bob', `guess${Math.random()}`)));
    for (let i = 0; i < LIMITS.credentialFailuresBurst; i++) assert.equal(await guess(), 401);
    const limited = await ask(client, authorization('bob', 'builder:1'));
    assert.equal(statusOf(limited), 429, 'even the right password, which nobody checks any more');
    assert.equal(fieldOf(limited, 'retry-after'), String(LIMITS.credentialFailureIntervalMs / 1000));
    assert.equal(statusOf(await ask(client, authorization('alice', 'wonderland'))), 200);
    proxy.pass(LIMITS.credentialFailureIntervalMs);
    assert.equal(await guess(), 401);
    assert.equal(await guess(), 429);
    proxy.pass(LIMITS.credentialFailureIntervalMs);
    assert.equal(statusOf(await ask(client, authorization('bob', 'builder:1'))), 200);
  });

  test('many at once are no way around the limit, and nobody waits in too long a line', async (context) => {
    const {proxy, upstream} = await start(context);
    const guesses = LIMITS.passwordsWaitingPerCustomerMax + 8;
    const clients = await Promise.all(Array.from({length: guesses}, () => proxy.connect(context)));
    for (const [index, client] of clients.entries()) client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\n${authorization('alice', `guess ${index}`)}\r\n`);
    const statuses = await Promise.all(clients.map(async (client) => statusOf(await client.response())));
    const count = (status: number): number => statuses.filter((one) => one === status).length;
    assert.equal(count(401), LIMITS.credentialFailuresBurst);
    assert.ok(count(503) >= 1, 'the line was full');
    assert.deepEqual(proxy.faults(), {credentials_wrong: count(401), credentials_limited: count(429), credentials_unchecked: count(503)});
    assert.equal(count(401) + count(429) + count(503), guesses);
    await assertServes(context, {proxy, upstream});
  });

  test('what was right is forgotten after a while, at once with another password, and kept over a reload', async (context) => {
    const {proxy, upstream} = await start(context);
    const client = await proxy.connect(context);
    const login = async (password: string): Promise<number> => statusOf(await ask(client, authorization('alice', password)));
    assert.equal(await login('wonderland'), 200);
    await proxy.reload({customers: [guarded(upstream.port, basic(USERS))]});
    assert.equal(await login('wonderland'), 200);
    await proxy.reload({customers: [guarded(upstream.port, basic({...USERS, alice: scryptHash('changed')}))]});
    assert.equal(await login('wonderland'), 401);
    assert.equal(await login('changed'), 200);
    proxy.pass(LIMITS.verifiedCredentialsMs);
    const again = await proxy.connect(context);
    assert.equal(statusOf(await ask(again, authorization('alice', 'changed'))), 200);
  });
});

describe('while a password is checked', () => {
  for (const [kind, hash] of [['bcrypt', DEAR_BCRYPT], ['scrypt', DEAR_SCRYPT]] as const) {
    test(`the thread serves others: a request that came later is answered first (${kind})`, async (context) => {
      const {proxy} = await start(context, basic({alice: hash}));
      const [checked, other] = await Promise.all([proxy.connect(context), proxy.connect(context)]), answers: string[] = [];
      const verdict = ask(checked, authorization('alice', 'wrong')).then((response) => answers.push(`checked: ${statusOf(response)}`));
      await eventually('the first request is there', () => proxy.counter('requests') === 1);
      answers.push(`other: ${statusOf(await ask(other, '', 'GET /probe HTTP/1.1'))}`);
      await verdict;
      assert.deepEqual(answers, ['other: 200', 'checked: 401']);
    });
  }

  test('the body waits, and reaches the application whole', async (context) => {
    const {proxy, upstream} = await start(context, STAFF, {requestBufferBytes: 16 * 1024});
    const client = await proxy.connect(context);
    const body = 'b'.repeat(300_000);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${body.length}\r\n${authorization('alice', 'wonderland')}\r\n${body}`);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal((await upstream.nextRequest()).body, body);
  });

  test('a body that is complete with its head', async (context) => {
    const {proxy, upstream} = await start(context);
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 4\r\n${authorization('alice', 'wonderland')}\r\nbody${PROBE}`);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(statusOf(await client.response()), 200);
    assert.deepEqual([(await upstream.nextRequest()).body, (await upstream.nextRequest()).startLine], ['body', 'GET /probe HTTP/1.1']);
  });

  test('100 (Continue) is not said before', async (context) => {
    const {proxy, upstream} = await start(context);
    const client = await proxy.connect(context);
    const head = 'POST / HTTP/1.1\r\nhost: acme.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n';
    client.send(`${head}${authorization('alice', 'wrong')}\r\n`);
    assert.equal(statusOf(await client.response()), 401);
    assert.equal(await client.ended(), 'orderly');
    const second = await proxy.connect(context);
    second.send(`${head}${authorization('alice', 'wonderland')}\r\n`);
    assert.equal(statusOf(await second.response()), 100);
    second.send('body');
    assert.equal(statusOf(await second.response()), 200);
    assert.equal((await upstream.nextRequest()).body, 'body');
  });

  test('a body that is too large, or malformed, ends it', async (context) => {
    const {proxy, upstream} = await start(context, STAFF, {maxBodyBytes: 10});
    for (const [chunk, fault] of [['b\r\nbbbbbbbbbbb\r\n', 'body_too_large'], ['x\r\n', 'chunk_invalid']] as const) {
      await attack(context, {proxy, upstream}, `POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n${authorization('bob', 'builder:1')}\r\n${chunk}`, fault);
      await settle(100);
    }
  });

  test('the client goes away, and its place is used by others', async (context) => {
    const {proxy, upstream} = await start(context);
    const client = await proxy.connect(context);
    client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\n${authorization('alice', 'wonderland')}\r\n`);
    client.destroy();
    await eventually('the request has ended', () => proxy.fault('client_gone') === 1);
    await assertServes(context, {proxy, upstream});
    assert.equal(upstream.requests.length, 1, 'what nobody waits for is not sent');
    assert.equal(statusOf(await ask(await proxy.connect(context), authorization('alice', 'wonderland'))), 200);
    assert.deepEqual(proxy.reports, []);
  });

  test('a reload takes the user away: the request that is being checked goes on, the next does not', async (context) => {
    const {proxy, upstream} = await start(context);
    const client = await proxy.connect(context);
    client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\n${authorization('bob', 'builder:1')}\r\n`);
    await eventually('the request is being checked', () => proxy.counter('requests') === 1);
    await proxy.reload({customers: [guarded(upstream.port, basic({alice: USERS.alice}))]});
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(statusOf(await ask(client, authorization('bob', 'builder:1'))), 401);
  });
});
