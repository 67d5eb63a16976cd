/** An application that decides about the requests to another, over real sockets: what it is told, what it can say, and what nobody can forge. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {CustomerSnapshot, ForwardAuthSnapshot, PoolSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {assertServes} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, fieldsOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {customer, pool, route, site} from '#test/support/snapshots.ts';

const TIMEOUT_MS = 5_000;
const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n';

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
  readonly authority: FakeUpstream;
  readonly client: RawClient;
}

interface Options {
  readonly auth?: Partial<ForwardAuthSnapshot>;
  readonly pool?: Partial<PoolSnapshot>;
  readonly route?: Partial<RouteSnapshot>;
}

/** `/probe` is open; everything else is asked about. */
function guarded(port: number, authPorts: readonly number[], options: Options): CustomerSnapshot {
  const auth: ForwardAuthSnapshot = {
    type: 'forward', name: 'sso', pool: 'sso', path: '/verify?rd=1', timeoutMs: TIMEOUT_MS, sentFields: ['cookie', 'authorization'], identityFields: ['remote-user', 'remote-groups'], ...options.auth,
  };
  return customer('acme', {
    auth: [auth], pools: [pool('app', [port]), pool('sso', authPorts, options.pool)],
    sites: [site(['acme.test'], [route('/', {auth: 'sso', ...options.route}), route('/probe')])],
  });
}

async function start(context: TestContext, answer: string | null, options: Options = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const authority = await FakeUpstream.start(context);
  authority.respond = () => answer;
  const proxy = await ProxyHarness.start(context, {customers: [guarded(upstream.port, [authority.port], options)]});
  return {proxy, upstream, authority, client: await proxy.connect(context)};
}

async function ask({client}: Pick<Stage, 'client'>, fields = '', startLine = 'GET /a?b=c HTTP/1.1'): Promise<RawMessage> {
  client.send(`${startLine}\r\nhost: acme.test\r\n${fields}\r\n`);
  return client.response();
}

test('the application that decides is told who asks for what, and sees the fields that it is to see', async (context) => {
  const stage = await start(context, `${NO_CONTENT}\r\n`);
  assert.equal(statusOf(await ask(stage, 'cookie: session=1\r\nauthorization: Bearer x\r\nx-secret: no\r\nx-forwarded-uri: /forged\r\nx-forwarded-for: 1.2.3.4\r\n', 'DELETE /a?b=c HTTP/1.1')), 200);
  const question = await stage.authority.nextRequest();
  assert.equal(question.startLine, 'GET /verify?rd=1 HTTP/1.1');
  const told = Object.fromEntries(question.fields.filter(([name]) => name !== 'x-request-id' && name !== 'forwarded'));
  assert.deepEqual(told, {
    host: 'acme.test', 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'acme.test', 'x-forwarded-port': '80',
    'x-forwarded-method': 'DELETE', 'x-forwarded-uri': '/a?b=c', cookie: 'session=1', authorization: 'Bearer x',
  });
  assert.equal(question.fields.length, new Set(question.fields.map(([name]) => name)).size, 'each once');
  assert.equal(fieldOf(question, 'x-request-id'), fieldOf(await stage.upstream.nextRequest(), 'x-request-id'));
});

test('cookies in several lines are the same to the one who decides and to the server', async (context) => {
  const stage = await start(context, `${NO_CONTENT}\r\n`);
  assert.equal(statusOf(await ask(stage, 'cookie: session=1\r\nx-a: 1\r\ncookie: session=2\r\n')), 200);
  for (const request of [await stage.authority.nextRequest(), await stage.upstream.nextRequest()]) assert.deepEqual(fieldsOf(request, 'cookie'), ['session=1; session=2']);
});

describe('who the client is', () => {
  const IDENTITY = `${NO_CONTENT}Remote-User: alice\r\nremote-groups: staff, boss\r\nx-other: kept back\r\n\r\n`;
  const FORGED = 'remote-user: root\r\nRemote-User: root\r\nREMOTE-GROUPS: root\r\nremote_user: root\r\nremote.user: root\r\n';

  test('the server reads it from the one who decides, and never from the client', async (context) => {
    const stage = await start(context, IDENTITY);
    assert.equal(statusOf(await ask(stage, FORGED)), 200);
    const {fields} = await stage.upstream.nextRequest();
    assert.deepEqual(fields.filter(([name, value]) => name.startsWith('remote') || name.startsWith('x-other') || value === 'root'), [['remote-user', 'alice'], ['remote-groups', 'staff, boss']]);
    assert.equal((await stage.proxy.nextLogLine())['user'], 'alice');
  });

  test('what the client says is taken away even where nothing is put in its place, and on routes that ask nobody', async (context) => {
    const stage = await start(context, `${NO_CONTENT}\r\n`);
    for (const startLine of ['GET / HTTP/1.1', 'GET /probe HTTP/1.1']) {
      assert.equal(statusOf(await ask(stage, FORGED, startLine)), 200);
      const request = await stage.upstream.nextRequest();
      assert.ok(!request.raw.includes('root'), startLine);
    }
    assert.equal(stage.authority.requests.length, 1);
  });

  test('Connection does not take it away on its way back', async (context) => {
    const stage = await start(context, IDENTITY);
    assert.equal(statusOf(await ask(stage, 'connection: remote-user\r\n')), 200);
    assert.equal(fieldOf(await stage.upstream.nextRequest(), 'remote-user'), 'alice');
  });
});

describe('what the client reads of a refusal', () => {
  test('401 with its challenges and cookies, and nothing else', async (context) => {
    const stage = await start(context, 'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\nwww-authenticate: Basic realm="a"\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-inside: secret\r\nserver: secret\r\ncontent-length: 6\r\n\r\nsecret');
    const answer = await ask(stage);
    assert.equal(answer.startLine, 'HTTP/1.1 401 Unauthorized');
    assert.deepEqual([fieldsOf(answer, 'www-authenticate'), fieldsOf(answer, 'set-cookie')], [['Bearer', 'Basic realm="a"'], ['a=1', 'b=2']]);
    assert.ok(!answer.raw.includes('secret'));
    assert.equal(stage.upstream.peers.length, 0);
    await assertServes(context, stage);
  });

  test('a redirect to where it can log in', async (context) => {
    const stage = await start(context, 'HTTP/1.1 302 Found\r\nlocation: https://login.acme.test/\r\ncontent-length: 0\r\n\r\n');
    const answer = await ask(stage);
    assert.deepEqual([statusOf(answer), fieldOf(answer, 'location'), answer.body], [302, 'https://login.acme.test/', '']);
    assert.equal(statusOf(await ask(stage, '', 'GET /probe HTTP/1.1')), 200, 'the connection goes on');
  });

  test('403 to a request with a body, which is read and thrown away', async (context) => {
    const stage = await start(context, 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    stage.client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 4\r\n\r\n');
    assert.equal(statusOf(await stage.client.response()), 403);
    stage.client.send('bodyGET /probe HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await stage.client.response()), 200);
  });
});

const FAILURES = {
  'a status that says nothing': 'HTTP/1.1 304 Not Modified\r\n\r\n',
  'a status of its own trouble': 'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n',
  'an identity that comes twice': `${NO_CONTENT}remote-user: alice\r\nremote-user: root\r\n\r\n`,
  'no HTTP': 'hello\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n',
  'a line break in the identity': `${NO_CONTENT}remote-user: alice\rroot\r\n\r\n`,
  'a body without an end': `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${'a'.repeat(LIMITS.authResponseBytesMax + 1)}`,
  'a change of protocols': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
} as const;

describe('whatever goes wrong, nobody is let in', () => {
  for (const [what, answer] of Object.entries(FAILURES)) {
    test(what, async (context) => {
      const stage = await start(context, answer);
      const response = await ask(stage);
      assert.equal(statusOf(response), 503);
      assert.ok(Number(fieldOf(response, 'retry-after')) > 0);
      assert.equal(stage.proxy.fault('auth_unavailable'), 1);
      assert.equal((await stage.proxy.nextLogLine())['fault'], 'auth_unavailable');
      assert.equal(stage.upstream.peers.length, 0);
      await assertServes(context, stage);
      assert.deepEqual(stage.proxy.reports, []);
    });
  }

  test('no answer in time', async (context) => {
    const stage = await start(context, null);
    stage.client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const {peer} = await stage.authority.nextRequest();
    stage.proxy.passAlmost(TIMEOUT_MS);
    assert.equal(stage.client.received, '');
    stage.proxy.passRest();
    assert.equal(statusOf(await stage.client.response()), 503);
    await eventually('the question is taken back', () => !peer.isOpen);
    await assertServes(context, stage);
  });

  test('nobody there', async (context) => {
    const stage = await start(context, null);
    await stage.authority.stop();
    assert.equal(statusOf(await ask(stage)), 503);
    assert.equal(stage.proxy.fault('connect_failed'), 1, 'the reason is counted too');
  });

  test('more questions at once than the pool has connections', async (context) => {
    const stage = await start(context, null, {pool: {connectionsMax: 1}});
    stage.client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const {peer} = await stage.authority.nextRequest();
    const second = await stage.proxy.connect(context);
    assert.equal(statusOf(await ask({client: second})), 503);
    peer.send(`${NO_CONTENT}\r\n`);
    assert.equal(statusOf(await stage.client.response()), 200);
  });

  test('an address outside the networks of the customer', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const authority = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [{...guarded(upstream.port, [authority.port], {}), networks: ['10.0.0.0/8']}]});
    assert.equal(statusOf(await ask({client: await proxy.connect(context)})), 503);
    assert.deepEqual([proxy.fault('endpoint_forbidden'), authority.peers.length], [1, 0]);
  });
});

describe('connections to the one who decides', () => {
  test('are used again, and one that has just ended is no failure', async (context) => {
    const stage = await start(context, `${NO_CONTENT}\r\n`);
    for (let i = 0; i < 3; i++) assert.equal(statusOf(await ask(stage)), 200);
    assert.equal(stage.authority.peers.length, 1);
    stage.authority.respond = ({peer}) => {
      if (peer !== stage.authority.peers[0]) return `${NO_CONTENT}\r\n`;
      peer.socket.destroy();
      return null;
    };
    assert.equal(statusOf(await ask(stage)), 200);
    assert.equal(stage.authority.peers.length, 2);
  });

  test('another server is asked where one cannot be reached', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const authority = await FakeUpstream.start(context);
    authority.respond = () => `${NO_CONTENT}\r\n`;
    // Nobody listens on port 1.
    const proxy = await ProxyHarness.start(context, {customers: [guarded(upstream.port, [authority.port, 1], {})]});
    const client = await proxy.connect(context);
    for (let i = 0; i < 4; i++) assert.equal(statusOf(await ask({client})), 200);
    assert.equal(authority.requests.length, 4);
  });

  test('the client goes away: the question is taken back', async (context) => {
    const stage = await start(context, null);
    stage.client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const {peer} = await stage.authority.nextRequest();
    stage.client.destroy();
    await eventually('the question is taken back', () => !peer.isOpen);
    assert.equal(stage.proxy.fault('client_gone'), 1);
    await assertServes(context, stage);
    assert.deepEqual(stage.proxy.reports, []);
  });
});

test('a request that is asked about keeps its route over a reload, and is finished in a drain', async (context) => {
  const stage = await start(context, null);
  stage.client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 4\r\n\r\nbody');
  const {peer} = await stage.authority.nextRequest();
  await stage.proxy.reload({customers: [customer('acme', {pools: [pool('app', [stage.upstream.port])], sites: [site(['acme.test'], [route('/')])]})]});
  stage.proxy.proxy.beginDrain();
  peer.send(`${NO_CONTENT}remote-user: alice\r\n\r\n`);
  assert.equal(statusOf(await stage.client.response()), 200);
  const request = await stage.upstream.nextRequest();
  assert.deepEqual([request.body, fieldOf(request, 'remote-user')], ['body', 'alice']);
  assert.equal(await stage.client.ended(), 'orderly');
});
