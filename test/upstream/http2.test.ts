/** HTTP/2 to applications: what passes, and how connections are shared. */
import assert from 'node:assert/strict';
import {createSecureServer, createServer, type ServerHttp2Stream} from 'node:http2';
import {describe, test} from 'node:test';
import {eventually, settle} from '#test/support/eventually.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {acme, customer, pool, route, site} from '#test/support/snapshots.ts';
import {ask, GET, PAIR, startApplication, startProxy, TLS} from '#test/upstream/http2-stage.ts';

describe('what passes', () => {
  for (const protocol of ['h2c', 'h2'] as const) {
    test(`a request and its response (${protocol})`, async (context) => {
      const application = await startApplication(context, protocol === 'h2' ? createSecureServer(PAIR) : createServer());
      const proxy = await startProxy(context, [application.port], {protocol, tls: protocol === 'h2' ? TLS : null});
      const response = await ask(context, proxy, 'POST /a?b HTTP/1.1\r\nHost: acme.test\r\nX-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\nTE: trailers\r\nContent-Length: 5\r\n\r\nhello');
      assert.equal(response.startLine, 'HTTP/1.1 200 OK');
      assert.deepEqual([response.body, fieldOf(response, 'x-of'), fieldOf(response, 'transfer-encoding')], ['<hello>', 'application', 'chunked']);
      const {fields} = application.requests[0] ?? {};
      assert.deepEqual([fields?.[':method'], fields?.[':path'], fields?.[':authority'], fields?.[':scheme']], ['POST', '/a?b', 'acme.test', protocol === 'h2' ? 'https' : 'http']);
      assert.deepEqual([fields?.['x-one'], fields?.['x-two'], fields?.['content-length'], fields?.['te'], fields?.host], ['1', '2, 3', '5', undefined, undefined]);
      assert.equal(fields?.['x-forwarded-for'], '127.0.0.1');
      assert.deepEqual(proxy.faults(), {});
      assert.deepEqual(proxy.reports, []);
    });
  }

  for (const [what, request, length, body] of [
    ['no body', GET, undefined, ''],
    ['an empty body', 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 0\r\n\r\n', '0', ''],
    ['a chunked body that fits into the buffer', 'POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n', '2', 'ab'],
    ['a body that streams', `PUT / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 1000\r\n\r\n${'a'.repeat(1000)}`, '1000', 'a'.repeat(1000)],
    ['a chunked body that streams', `PUT / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n${'b'.repeat(1000)}\r\n0\r\n\r\n`, undefined, 'b'.repeat(1000)],
  ] as const) {
    test(what, async (context) => {
      const application = await startApplication(context);
      const proxy = await startProxy(context, [application.port]);
      assert.equal((await ask(context, proxy, request)).body, `<${body}>`);
      assert.equal(application.requests[0]?.fields['content-length'], length);
    });
  }

  test('fields that a client repeats are for the application to judge', async (context) => {
    const application = await startApplication(context);
    const proxy = await startProxy(context, [application.port]);
    assert.equal(statusOf(await ask(context, proxy, GET.replace('\r\n\r\n', '\r\nuser-agent: a\r\nuser-agent: b\r\n\r\n'))), 200);
  });

  for (const [what, method, respond, expected] of [
    ['HEAD', 'HEAD', (stream: ServerHttp2Stream) => { stream.respond({':status': 200, 'content-length': '10'}, {endStream: true}); }, ['200', '10', '']],
    ['204', 'GET', (stream: ServerHttp2Stream) => { stream.respond({':status': 204}, {endStream: true}); }, ['204', undefined, '']],
    ['304', 'GET', (stream: ServerHttp2Stream) => { stream.respond({':status': 304, 'content-length': '10'}, {endStream: true}); }, ['304', undefined, '']],
    ['a response that ends with its head', 'GET', (stream: ServerHttp2Stream) => { stream.respond({':status': 500}, {endStream: true}); }, ['500', '0', '']],
    ['a length', 'GET', (stream: ServerHttp2Stream) => { stream.respond({':status': 200, 'content-length': '5'}); stream.end('hello'); }, ['200', '5', 'hello']],
    ['trailers, which are dropped', 'GET', (stream: ServerHttp2Stream) => {
      stream.respond({':status': 200}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'x-trailer': '1'}));
      stream.end('hello');
    }, ['200', undefined, 'hello']],
  ] as const) {
    test(what, async (context) => {
      const application = await startApplication(context);
      application.respond = respond;
      const proxy = await startProxy(context, [application.port]);
      const response = await ask(context, proxy, GET.replace('GET', method));
      assert.deepEqual([String(statusOf(response)), fieldOf(response, 'content-length'), response.body], expected);
      assert.equal(fieldOf(response, 'x-trailer'), undefined);
      assert.deepEqual(proxy.faults(), {});
    });
  }

  test('103 is forwarded, 100 and 102 are not', async (context) => {
    const application = await startApplication(context);
    application.respond = (stream) => {
      for (const status of [100, 102, 103]) stream.additionalHeaders({':status': status, link: '</a.css>'});
      stream.respond({':status': 200}, {endStream: true});
    };
    const proxy = await startProxy(context, [application.port]);
    const client = await proxy.connect(context);
    client.send(GET);
    assert.deepEqual([statusOf(await client.response()), statusOf(await client.response())], [103, 200]);
  });

  test('megabytes in both directions, whoever is the slower one', async (context) => {
    const application = await startApplication(context);
    const proxy = await startProxy(context, [application.port]);
    const client = await proxy.connect(context);
    const body = '0123456789abcdef'.repeat(50_000);
    client.socket.pause();
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await eventually('the application has it', () => application.requests[0]?.body.length === body.length);
    await settle();
    client.socket.resume();
    assert.equal((await client.response()).body, `<${body}>`);
  });

  test('a slow reader of an endless response costs windows and buffers, not the response', async (context) => {
    const application = await startApplication(context);
    const sent = {bytes: 0};
    application.respond = (stream) => {
      const more = (): void => { while (!stream.destroyed && stream.write(Buffer.alloc(65_536))) sent.bytes += 65_536; };
      stream.respond({':status': 200});
      stream.on('drain', more);
      more();
    };
    const proxy = await startProxy(context, [application.port]);
    const client = await proxy.connect(context);
    client.socket.pause();
    client.send(GET);
    let before = -1;
    while (before !== sent.bytes) {
      before = sent.bytes;
      await settle(50);
    }
    assert.ok(sent.bytes < 16 * 1024 * 1024, `${sent.bytes} bytes`);
    assert.equal(statusOf(await ask(context, proxy, GET.replace('GET', 'HEAD'))), 200, 'and others of the same connection nothing');
    client.destroy();
    await eventually('the stream is reset', () => application.requests[0]?.stream.destroyed === true);
    assert.equal(application.sessions, 1);
  });
});

test('an application that decides about requests may speak HTTP/2, too', async (context) => {
  const [application, authority] = [await startApplication(context), await startApplication(context)];
  const allowed = {status: 204};
  authority.respond = (stream) => { stream.respond({':status': allowed.status, 'remote-user': 'alice'}, {endStream: true}); };
  const proxy = await ProxyHarness.start(context, {customers: [customer('acme', {
    auth: [{type: 'forward', name: 'sso', pool: 'sso', path: '/verify', timeoutMs: 5000, sentFields: ['cookie'], identityFields: ['remote-user']}],
    pools: [pool('app', [application.port], {protocol: 'h2c'}), pool('sso', [authority.port], {protocol: 'h2c'})],
    sites: [site(['acme.test'], [route('/', {auth: 'sso'})])],
  })]});
  context.after(() => proxy.reload({customers: []}));
  assert.equal(statusOf(await ask(context, proxy, GET.replace('\r\n\r\n', '\r\ncookie: a=b\r\n\r\n'))), 200);
  assert.deepEqual([authority.requests[0]?.fields[':path'], authority.requests[0]?.fields.cookie], ['/verify', 'a=b']);
  assert.equal(application.requests[0]?.fields['remote-user'], 'alice');
  allowed.status = 403;
  assert.equal(statusOf(await ask(context, proxy)), 403);
  assert.equal(application.requests.length, 1);
});

describe('connections are shared', () => {
  test('by requests at once, by as many as the server lets', async (context) => {
    const application = await startApplication(context, createServer({settings: {maxConcurrentStreams: 2}}));
    const held: (() => void)[] = [];
    application.respond = (stream) => held.push(() => { stream.respond({':status': 200}, {endStream: true}); });
    const proxy = await startProxy(context, [application.port]);
    const first = ask(context, proxy);
    await eventually('the first is there', () => held.length === 1);
    const answers = [first, ask(context, proxy), ask(context, proxy)];
    await eventually('all are there', () => held.length === 3);
    assert.equal(application.sessions, 2);
    assert.equal(proxy.slot('acme', 'app', application.port).connections, 2);
    assert.equal(proxy.slot('acme', 'app', application.port).requests, 3);
    for (const release of held) release();
    for (const answer of answers) assert.equal(statusOf(await answer), 200);
    assert.equal(proxy.slot('acme', 'app', application.port).requests, 0);
  });

  test('but no more than the pool may have: 503', async (context) => {
    const application = await startApplication(context, createServer({settings: {maxConcurrentStreams: 1}}));
    application.respond = () => undefined;
    const proxy = await startProxy(context, [application.port], {connectionsMax: 1});
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('the first is there', () => application.requests.length === 1);
    assert.equal(statusOf(await ask(context, proxy)), 503);
    assert.deepEqual(proxy.faults(), {endpoint_saturated: 1});
  });

  test('by nobody else: not by another pool or customer with the same server', async (context) => {
    const application = await startApplication(context);
    const of = (name: string, host: string) => customer(name, {
      pools: [pool('app', [application.port], {protocol: 'h2c'}), pool('more', [application.port], {protocol: 'h2c'})],
      sites: [site([host], [route('/'), route('/more', {action: {type: 'pool', pool: 'more'}})])],
    });
    const proxy = await ProxyHarness.start(context, {customers: [of('acme', 'acme.test'), of('globex', 'globex.test')]});
    context.after(() => proxy.reload({customers: []}));
    for (const request of [GET, GET.replace('/ ', '/more '), GET.replace('acme', 'globex'), GET]) assert.equal(statusOf(await ask(context, proxy, request)), 200);
    assert.equal(application.sessions, 3);
  });

  test('until they are idle for long', async (context) => {
    const application = await startApplication(context);
    const proxy = await startProxy(context, [application.port]);
    assert.equal(statusOf(await ask(context, proxy)), 200);
    proxy.pass(21_000);
    await eventually('it is closed', () => proxy.slot('acme', 'app', application.port).connections === 0);
    assert.equal(statusOf(await ask(context, proxy)), 200);
    assert.equal(application.sessions, 2);
  });

  test('until a reload changes the pool; requests in flight go on', async (context) => {
    const application = await startApplication(context);
    const held: (() => void)[] = [];
    application.respond = (stream) => held.push(() => { stream.respond({':status': 200}, {endStream: true}); });
    const proxy = await startProxy(context, [application.port]);
    const before = ask(context, proxy);
    await eventually('it is there', () => held.length === 1);
    await proxy.reload({customers: [acme([application.port], {pool: {protocol: 'h2c', connectionsMax: 7}})]});
    const after = ask(context, proxy);
    await eventually('the second is there', () => held.length === 2);
    assert.equal(application.sessions, 2);
    for (const release of held) release();
    assert.deepEqual([statusOf(await before), statusOf(await after)], [200, 200]);
    await eventually('the first connection is closed', () => proxy.slot('acme', 'app', application.port).connections === 1);
  });

  test('a client that goes away resets its own stream only', async (context) => {
    const application = await startApplication(context);
    application.respond = () => undefined;
    const proxy = await startProxy(context, [application.port]);
    const clients = [await proxy.connect(context), await proxy.connect(context)];
    for (const client of clients) client.send(GET);
    await eventually('both are there', () => application.requests.length === 2);
    clients[0]?.destroy();
    await eventually('one is reset', () => application.requests.some(({stream}) => stream.destroyed));
    const left = application.requests.find(({stream}) => !stream.destroyed);
    left?.stream.respond({':status': 200}, {endStream: true});
    assert.equal(statusOf(await (clients[1] as RawClient).response()), 200);
    assert.equal(application.sessions, 1);
    assert.deepEqual(proxy.faults(), {client_gone: 1});
  });
});
