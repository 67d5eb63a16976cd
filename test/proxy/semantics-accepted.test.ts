/** What a client may send, and in which one form the application reads it. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {FakeUpstream, OK, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, fieldsOf, statusOf} from '#test/support/raw-message.ts';
import {acme, customer, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const loose = customer('loose', {
  pools: [pool('app', [upstream.port])],
  sites: [site(['loose.test'], [route('/', {encodedSlashAllowed: true})])],
});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port]), loose]});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

/** Sends the bytes; the answer is 200, and the upstream saw one request: this one. */
async function forward(context: TestContext, bytes: string): Promise<UpstreamRequest> {
  const client = await proxy.connect(context);
  client.send(bytes);
  assert.equal(statusOf(await client.response(bytes.split(' ')[0])), 200);
  client.destroy();
  const request = await upstream.nextRequest();
  assert.equal(upstream.requests.at(-1), request, 'one request');
  return request;
}

describe('what is normalised', () => {
  const rows: readonly (readonly [sent: string, forwarded: string])[] = [
    ['/', '/'], ['/a//b', '/a/b'], ['//a', '/a'], ['/a/./b', '/a/b'], ['/a/../b', '/b'], ['/a/b/..', '/a/'], ['/%61', '/a'], ['/%7e%2D', '/~-'],
    ['/a%20b', '/a%20b'], ['/%c3%a4', '/%C3%A4'], ['/a%3fb', '/a%3Fb'], ['/a;b=c/d', '/a;b=c/d'], ['/a/%2e%2e/b', '/b'], ['/a%25b', '/a%25b'],
    ['/?a=%00', '/?a=%00'], ['/?a//b/../c', '/?a//b/../c'], ['/?', '/?'], ['/a?b?c', '/a?b?c'], ['/...', '/...'],
  ];
  for (const [sent, forwarded] of rows) {
    test(`${sent} reaches the application as ${forwarded}`, async (context) => {
      const request = await forward(context, `GET ${sent} HTTP/1.1\r\nhost: acme.test\r\n\r\n`);
      assert.equal(request.startLine, `GET ${forwarded} HTTP/1.1`);
    });
  }

  test('an encoded slash stays one where the route allows it', async (context) => {
    const request = await forward(context, 'GET /a%2fb HTTP/1.1\r\nhost: loose.test\r\n\r\n');
    assert.equal(request.startLine, 'GET /a%2Fb HTTP/1.1');
  });

  const hosts: readonly (readonly [sent: string, forwarded: string])[] = [
    ['acme.test', 'acme.test'], ['ACME.test', 'acme.test'], ['acme.test.', 'acme.test'], ['acme.test:8080', 'acme.test:8080'], ['Acme.Test.:8080', 'acme.test:8080'],
  ];
  for (const [sent, forwarded] of hosts) {
    test(`the host ${sent} reaches the application as ${forwarded}`, async (context) => {
      const request = await forward(context, `GET / HTTP/1.1\r\nhost: ${sent}\r\n\r\n`);
      assert.deepEqual(fieldsOf(request, 'host'), [forwarded]);
      assert.deepEqual(fieldsOf(request, 'x-forwarded-host'), [forwarded]);
    });
  }

  for (const target of ['http://acme.test/a', 'HTTP://ACME.test/a']) {
    test(`the absolute form ${target} becomes the origin form`, async (context) => {
      const request = await forward(context, `GET ${target} HTTP/1.1\r\nhost: acme.test\r\n\r\n`);
      assert.equal(request.startLine, 'GET /a HTTP/1.1');
      assert.deepEqual(fieldsOf(request, 'host'), ['acme.test']);
    });
  }

  test('an absolute form without a path means the root', async (context) => {
    assert.equal((await forward(context, 'GET http://acme.test?a HTTP/1.1\r\nhost: acme.test\r\n\r\n')).startLine, 'GET /?a HTTP/1.1');
  });
});

describe('fields', () => {
  test('oddly written lines reach the application in one form', async (context) => {
    const request = await forward(context, 'GET / HTTP/1.1\r\nHOST:acme.test\r\nX-A:1\r\nX-B: \t 2 \t\r\nX-C: 3\r\nx-d:\r\n\r\n');
    assert.match(request.raw, /\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\nx-d: \r\n/);
  });

  test('names with an underscore or a dot are dropped and counted', async (context) => {
    const before = proxy.counter('fieldsDropped');
    const request = await forward(context, 'GET / HTTP/1.1\r\nhost: acme.test\r\nX_Forwarded_For: 6.6.6.6\r\nx-a: 1\r\ncontent_length: 5\r\nx.b: 2\r\n\r\n');
    assert.deepEqual(request.fields.filter(([name]) => /[_.]/.test(name)), []);
    assert.equal(fieldOf(request, 'x-a'), '1');
    assert.equal(proxy.counter('fieldsDropped') - before, 3);
  });

  test('what belongs to this hop ends here', async (context) => {
    const hop = ['Connection: keep-alive, x-hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: trailers', 'Trailer: x-t',
      'Proxy-Authorization: Basic eA==', 'Proxy: http://evil.test', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk', 'x-end: 1'];
    const request = await forward(context, `GET / HTTP/1.1\r\nhost: acme.test\r\n${hop.join('\r\n')}\r\n\r\n`);
    const own = ['host', 'x-end', 'x-forwarded-for', 'x-real-ip', 'x-forwarded-proto', 'forwarded', 'x-forwarded-host', 'x-forwarded-port', 'x-request-id'];
    assert.deepEqual(request.fields.map(([name]) => name).sort(), own.sort());
  });

  test('a field that Connection names is removed although it stands before', async (context) => {
    const request = await forward(context, 'GET / HTTP/1.1\r\nX-Hop: 1\r\nhost: acme.test\r\nx-hop: 2\r\nconnection: X-HOP\r\nx-hop: 3\r\n\r\n');
    assert.deepEqual(fieldsOf(request, 'x-hop'), []);
  });

  test('an upgrade is ignored, of a WebSocket too, where nobody has asked for it', async (context) => {
    for (const protocol of ['h2c', 'websocket', 'TLS/1.0']) {
      const request = await forward(context, `GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`);
      assert.equal(fieldOf(request, 'upgrade'), undefined);
      assert.equal(fieldOf(request, 'connection'), undefined);
    }
  });

  test('bytes beyond ASCII in a value arrive as they are', async (context) => {
    assert.equal(fieldOf(await forward(context, 'GET / HTTP/1.1\r\nhost: acme.test\r\nx-a: \xe4\x80\xff\r\n\r\n'), 'x-a'), '\xe4\x80\xff');
  });

  test('cookies in several lines are one line', async (context) => {
    const request = await forward(context, 'GET / HTTP/1.1\r\nhost: acme.test\r\nx-a: 1\r\ncookie: a=1\r\nx-b: 2\r\nCookie:   b=2; c=3\r\ncookie:\r\nx-c: 3\r\ncookie: d=4\r\n\r\n');
    assert.deepEqual(request.fields.filter(([name]) => /^(?:x-.|cookie)$/.test(name)), [['x-a', '1'], ['cookie', 'a=1; b=2; c=3; d=4'], ['x-b', '2'], ['x-c', '3']]);
    assert.equal(fieldOf(await forward(context, 'GET / HTTP/1.1\r\nhost: acme.test\r\ncookie: a=1\r\n\r\n'), 'cookie'), 'a=1');
  });

  test('repeated fields keep their order', async (context) => {
    assert.deepEqual(fieldsOf(await forward(context, 'GET / HTTP/1.1\r\nhost: acme.test\r\nx-a: 1\r\nx-b: 2\r\nX-A: 3\r\n\r\n'), 'x-a'), ['1', '3']);
  });
});

describe('bodies are framed anew', () => {
  const rows: readonly (readonly [what: string, bytes: string, body: string, length: string | undefined])[] = [
    ['a length', 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello', 'hello', '5'],
    ['a length with zeros in front', 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 0005\r\n\r\nhello', 'hello', '5'],
    ['a length twice', 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello', 'hello', '5'],
    ['chunks', 'POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n', 'hello', '5'],
    ['chunks with extensions', 'POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: Chunked\r\n\r\n5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', 'hello', '5'],
    ['chunks with trailers', 'POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n005\r\nhello\r\n0\r\nx-t: 1\r\nhost: evil\r\n\r\n', 'hello', '5'],
    ['no chunk but the last', 'POST / HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', '', '0'],
    ['a POST without a body', 'POST / HTTP/1.1\r\nhost: acme.test\r\n\r\n', '', '0'],
    ['a GET without a body', 'GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n', '', undefined],
    ['a GET with an empty body', 'GET / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 0\r\n\r\n', '', '0'],
    ['a GET with a body', 'GET / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello', 'hello', '5'],
    ['a body that looks like a request', 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 27\r\n\r\nGET /evil HTTP/1.1\r\nx: y\r\n\r\n'.replace('27', '28'), 'GET /evil HTTP/1.1\r\nx: y\r\n\r\n', '28'],
  ];
  for (const [what, bytes, body, length] of rows) {
    test(what, async (context) => {
      const request = await forward(context, bytes);
      assert.equal(request.body, body);
      assert.deepEqual([fieldOf(request, 'content-length'), fieldOf(request, 'transfer-encoding')], [length, undefined]);
    });
  }
});

describe('at the limits', () => {
  const head = (fields: string): string => `GET / HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n`;
  const rows: readonly (readonly [what: string, bytes: string])[] = [
    ['the longest target', `GET /${'a'.repeat(LIMITS.requestTargetBytesMax - 1)} HTTP/1.1\r\nhost: acme.test\r\n\r\n`],
    ['the largest head', head(`x-a: ${'a'.repeat(LIMITS.requestHeadBytesMax - head('x-a: \r\n').length)}\r\n`)],
    ['the most fields', head('a: 1\r\n'.repeat(LIMITS.requestFieldsMax - 1))],
    ['the longest method', `${'M'.repeat(LIMITS.methodBytesMax)} / HTTP/1.1\r\nhost: acme.test\r\n\r\n`],
    ['one empty line before the request', `\r\n${head('')}`],
  ];
  for (const [what, bytes] of rows) test(`${what} is served`, async (context) => { await forward(context, bytes); });
});
