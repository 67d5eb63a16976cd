/** Where a request goes, who may send it there, and what the route changes of it. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test, type TestContext} from 'node:test';
import type {RouteActionSnapshot} from '#src/config/snapshot.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, fieldsOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {HTTP, customer, limit, node, pool, route, site} from '#test/support/snapshots.ts';

function respond(body: string, status = 200): {readonly action: RouteActionSnapshot} {
  return {action: {type: 'respond', status, contentType: 'text/plain; charset=utf-8', body}};
}

function redirect(location: string, keepTarget: boolean): {readonly action: RouteActionSnapshot} {
  return {action: {type: 'redirect', status: 301, location, keepTarget}};
}

const upstream = await FakeUpstream.start({after});
const acme = customer('acme', {
  pools: [pool('app', [upstream.port])],
  sites: [
    site(['acme.test'], [
      route('/', respond('root')), route('/a', respond('a')), route('/a/b/', respond('a/b')), route('/a/exact', {match: 'exact', ...respond('exact')}),
      route('/form', {methods: ['GET'], ...respond('get')}), route('/form', {methods: ['POST', 'PUT'], ...respond('post')}),
      route('/only', {methods: ['GET', 'DELETE'], ...respond('only')}),
      route('/maintenance', respond('schön', 503)), route('/empty', respond('', 204)),
      route('/old', redirect('https://new.test/x', false)), route('/moved', redirect('https://new.test', true)),
      route('/strip', {replacePrefix: '/'}), route('/from/', {replacePrefix: '/to'}), route('/up', {replacePrefix: '/to/'}),
      route('/inside', {allow: ['127.0.0.0/8'], ...respond('in')}), route('/outside', {allow: ['10.0.0.0/8', '::1/128'], ...respond('in')}),
      route('/denied', {deny: ['127.0.0.1/32'], ...respond('in')}), route('/both', {allow: ['127.0.0.0/8'], deny: ['127.0.0.1/32'], ...respond('in')}),
      route('/set', {
        requestFields: {set: [['x-set', 'by config'], ['accept-encoding', 'identity']], remove: ['x-gone', 'cookie']},
        responseFields: {set: [['x-frame-options', 'DENY'], ['x-set', 'by config']], remove: ['referrer-policy', 'x-gone']},
      }),
    ]),
    site(['*.acme.test'], [route('/', respond('wildcard'))]),
    site(['*.deep.acme.test', 'deep.acme.test'], [route('/', respond('deep'))]),
    site(['exact.deep.acme.test'], [route('/only', respond('exact'))]),
    site(['none.test'], []),
    site(['up.test', 'other.test', '*.up.test'], [route('/')]),
  ],
});
const proxy = await ProxyHarness.start({after}, {customers: [acme]});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

async function ask(context: TestContext, path: string, {host = 'acme.test', method = 'GET', fields = ''} = {}): Promise<RawMessage> {
  const client = await proxy.connect(context);
  client.send(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n`);
  const response = await client.response(method);
  client.destroy();
  return response;
}

describe('the host', () => {
  const rows = [
    ['acme.test', 'root'], ['a.acme.test', 'wildcard'], ['b.a.acme.test', 'wildcard'], ['deep.acme.test', 'deep'], ['a.deep.acme.test', 'deep'],
  ] as const;
  for (const [host, body] of rows) test(`${host}: ${body}`, async (context) => { assert.equal((await ask(context, '/', {host})).body, body); });

  test('an exact host hides the wildcard, although it has no route', async (context) => {
    assert.equal(statusOf(await ask(context, '/', {host: 'exact.deep.acme.test'})), 404);
  });

  test('each request of a connection has its own, upstream and in the log, whatever the others asked for', async (context) => {
    await proxy.forgetLog();
    const client = await proxy.connect(context);
    const sent = ['up.test', 'up.test', 'up.test', 'other.test', 'up.test', 'UP.test', 'UP.test', 'a.up.test', 'b.up.test', 'b.up.test', 'b.up.test', 'up.test:81', 'up.test:81', 'other.test', 'other.test'];
    for (const host of sent) {
      client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      assert.equal(statusOf(await client.response()), 200, host);
      const request = await upstream.nextRequest(), text = host.toLowerCase();
      assert.deepEqual(['host', 'x-forwarded-host', 'x-forwarded-port'].map((name) => fieldsOf(request, name)), [[text], [text], [text.split(':')[1] ?? '80']]);
      const {host: logged, client: address, customer: name, method} = await proxy.nextLogLine();
      assert.deepEqual({logged, address, name, method}, {logged: text.replace(':81', ''), address: '127.0.0.1', name: 'acme', method: 'GET'});
    }
  });
});

describe('the path', () => {
  const rows = [
    ['/', 'root'], ['/x', 'root'], ['/a', 'a'], ['/a/', 'a'], ['/a/x', 'a'], ['/ab', 'root'], ['/a/b', 'a/b'], ['/a/b/', 'a/b'], ['/a/b/c/d', 'a/b'], ['/a/bc', 'a'],
    ['/a/exact', 'exact'], ['/a/exact/', 'a'], ['/a/exact?x', 'exact'], ['/a?x=/a/b', 'a'], ['/x/../a/%62', 'a/b'], ['//a', 'a'], ['/A', 'root'],
  ] as const;
  for (const [path, body] of rows) test(`${path}: ${body}`, async (context) => { assert.equal((await ask(context, path)).body, body); });

  test('of a site without a route for it: 404', async (context) => {
    assert.equal(statusOf(await ask(context, '/', {host: 'none.test'})), 404);
  });
});

describe('the method', () => {
  for (const [method, body] of [['GET', 'get'], ['POST', 'post'], ['PUT', 'post'], ['DELETE', 'root']] as const) {
    test(`${method}: ${body}`, async (context) => { assert.equal((await ask(context, '/form', {method})).body, body); });
  }

  test('who may GET may HEAD', async (context) => {
    const response = await ask(context, '/form', {method: 'HEAD'});
    assert.deepEqual([statusOf(response), fieldOf(response, 'content-length')], [200, '3']);
  });

  test('that no route of the site serves: 405 with what is allowed', async (context) => {
    const strict = await ProxyHarness.start(context, {customers: [customer('acme', {pools: [pool('app', [1])], sites: [site(['acme.test'], [
      route('/only', {methods: ['GET', 'DELETE'], ...respond('only')}),
    ])]})]});
    const client = await strict.connect(context);
    client.send('POST /only HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const response = await client.response();
    assert.equal(statusOf(response), 405);
    assert.deepEqual(fieldOf(response, 'allow')?.split(', ').sort(), ['DELETE', 'GET', 'HEAD']);
    assert.deepEqual(strict.faults(), {method_not_allowed: 1});
  });
});

describe('answers without an application', () => {
  test('a fixed one', async (context) => {
    const response = await ask(context, '/maintenance');
    assert.equal(statusOf(response), 503);
    assert.equal(Buffer.from(response.body, 'latin1').toString(), 'schön');
    assert.deepEqual([fieldOf(response, 'content-type'), fieldOf(response, 'content-length')], ['text/plain; charset=utf-8', '6']);
  });

  test('an empty one', async (context) => {
    const response = await ask(context, '/empty');
    assert.deepEqual([statusOf(response), fieldOf(response, 'content-length'), fieldOf(response, 'content-type')], [204, undefined, undefined]);
  });

  test('redirects', async (context) => {
    assert.equal(fieldOf(await ask(context, '/old/a?b'), 'location'), 'https://new.test/x');
    assert.equal(fieldOf(await ask(context, '/moved/./a?b=c'), 'location'), 'https://new.test/moved/a?b=c');
  });

  test('the redirect to https keeps host and path, and never leads to a foreign host', async (context) => {
    const listeners = [{...HTTP, redirectToHttpsPort: 443}, {...HTTP, name: 'other', redirectToHttpsPort: 8443}];
    const secure = await ProxyHarness.start(context, {customers: [acme], node: {listeners}});
    const locations: (string | undefined)[] = [];
    for (const [listener, host] of [['http', 'acme.test'], ['http', 'ACME.test:8080'], ['other', 'a.acme.test'], ['http', 'evil.test']] as const) {
      const client = await secure.connect(context, listener);
      client.send(`GET //evil.test/%61?b HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      const response = await client.response();
      assert.equal(statusOf(response), host === 'evil.test' ? 421 : 308);
      locations.push(fieldOf(response, 'location'));
    }
    assert.deepEqual(locations, ['https://acme.test/evil.test/a?b', 'https://acme.test/evil.test/a?b', 'https://a.acme.test:8443/evil.test/a?b', undefined]);
  });
});

describe('a replaced prefix', () => {
  const rows = [
    ['/strip', '/'], ['/strip/', '/'], ['/strip/a?b', '/a?b'], ['/strip?b', '/?b'], ['/from', '/to'], ['/from/', '/to/'], ['/from/a/b?c', '/to/a/b?c'],
    ['/from?c', '/to?c'], ['/up', '/to'], ['/up/a', '/to/a'],
  ] as const;
  for (const [path, forwarded] of rows) {
    test(`${path} reaches the application as ${forwarded}`, async (context) => {
      await ask(context, path);
      assert.equal((await upstream.nextRequest()).startLine, `GET ${forwarded} HTTP/1.1`);
    });
  }
});

describe('access', () => {
  for (const [path, status] of [['/inside', 200], ['/outside', 403], ['/denied', 403], ['/both', 403]] as const) {
    test(`${path}: ${status}`, async (context) => { assert.equal(statusOf(await ask(context, path)), status); });
  }

  test('another client of the same network', async (context) => {
    const client = await proxy.connect(context, 'http', '127.0.0.2');
    client.send('GET /both HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
  });

  test('an IPv6 client', async (context) => {
    const six = await ProxyHarness.start(context, {customers: [acme], node: {listeners: [{...HTTP, address: '::1'}]}});
    const client = await six.connect(context);
    client.send('GET /outside HTTP/1.1\r\nhost: acme.test\r\n\r\nGET /inside HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(statusOf(await client.response()), 403);
  });
});

describe('fields that the configuration changes', () => {
  test('of the request', async (context) => {
    await ask(context, '/set', {fields: 'X-Set: by client\r\naccept-encoding: gzip\r\nX-GONE: 1\r\ncookie: a=b\r\nx-kept: 1\r\n'});
    const request = await upstream.nextRequest();
    assert.deepEqual(['x-set', 'accept-encoding', 'x-gone', 'cookie', 'x-kept'].map((name) => fieldsOf(request, name)), [['by config'], ['identity'], [], [], ['1']]);
  });

  test('of the response', async (context) => {
    upstream.respond = () => 'HTTP/1.1 200 OK\r\nX-Set: by app\r\nx-frame-options: ALLOWALL\r\nReferrer-Policy: unsafe-url\r\nX-Gone: 1\r\nx-kept: 1\r\ncontent-length: 0\r\n\r\n';
    const response = await ask(context, '/set');
    assert.deepEqual(['x-set', 'x-frame-options', 'referrer-policy', 'x-gone', 'x-kept'].map((name) => fieldsOf(response, name)), [['by config'], ['DENY'], [], [], ['1']]);
  });
});

describe('limits', () => {
  const limited = customer('acme', {
    pools: [pool('app', [upstream.port])], sites: [site(['acme.test'], [route('/')])],
    limits: [limit('per-client', 1_500, 2)],
  });

  test('of one client: 429, and when to come again', async (context) => {
    const strict = await ProxyHarness.start(context, {customers: [limited]});
    const client = await strict.connect(context);
    const other = await strict.connect(context, 'http', '127.0.0.2');
    const statuses: number[] = [];
    let response = '';
    for (let i = 0; i < 3; i++) {
      client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
      const answer = await client.response();
      statuses.push(statusOf(answer));
      response = fieldOf(answer, 'retry-after') ?? '';
    }
    assert.deepEqual(statuses, [200, 200, 429]);
    assert.equal(response, '2');
    other.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await other.response()), 200);
    strict.pass(1_500);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
    assert.deepEqual(strict.faults(), {rate_limited: 1});
  });

  test('of the node count requests to unknown hosts too', async (context) => {
    const strict = await ProxyHarness.start(context, {node: {limits: [limit('all', 1_000, 1)]}});
    const client = await strict.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: unknown.test\r\n\r\nGET / HTTP/1.1\r\nhost: unknown.test\r\n\r\n');
    assert.deepEqual([statusOf(await client.response()), statusOf(await client.response())], [421, 429]);
  });

  test('are kept over a reload', async (context) => {
    const strict = await ProxyHarness.start(context, {customers: [limited]});
    const client = await strict.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\nGET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    await client.response();
    await client.response();
    await strict.reload({node: node({log: strict.node.log}), customers: [{...limited}]});
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 429);
  });
});
