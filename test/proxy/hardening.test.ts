/** What is added to messages, what is taken away, what is logged. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {FakeUpstream, OK, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness, type LogLine} from '#test/support/proxy-harness.ts';
import {fieldOf, fieldsOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {HTTP, acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const trusting = await ProxyHarness.start({after}, {customers: [acme([upstream.port])], node: {trustedProxies: ['127.0.0.0/8', '10.0.0.0/8', 'fd00::/8']}});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

async function ask(context: TestContext, fields = '', target = '/', through = proxy): Promise<RawMessage> {
  const client = await through.connect(context);
  client.send(`GET ${target} HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n`);
  const response = await client.response();
  client.destroy();
  return response;
}

async function forward(context: TestContext, fields: string, through = proxy): Promise<UpstreamRequest> {
  await ask(context, fields, '/', through);
  return upstream.nextRequest();
}

const FORGED = 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Forwarded-User: admin\r\n'
  + 'Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: forged\r\n';

/** What some applications take for the address, the host, the scheme, the path or the method, although the client wrote it. */
const CLAIMS = [
  'X-Original-URL', 'X-Rewrite-URL', 'X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'True-Client-IP', 'X-Client-IP', 'CF-Connecting-IP',
  'Client-IP', 'X-Cluster-Client-IP', 'Fastly-Client-IP', 'Proxy-Client-IP', 'WL-Proxy-Client-IP', 'Forwarded-For', 'X-Forwarded', 'X-Originating-IP',
  'X-Remote-IP', 'X-Remote-Addr', 'X-ProxyUser-IP', 'X-Host', 'X-Original-Host', 'X-URL-Scheme', 'Front-End-Https',
  'X-Original-URI', 'X-Original-Path', 'X-Request-URI', 'X-Rewrite-Path', 'X-Override-URL', 'X-Envoy-Original-Path', 'X-Middleware-Subrequest', 'X-Invoke-Path',
  'X-Invoke-Status', 'X-Matched-Path', 'X-Now-Route-Matches', 'X-Sendfile-Type', 'X-Accel-Mapping', 'X-Real-Host', 'X-HTTP-Host-Override', 'X-Scheme', 'X-Original-Proto',
  'X-Original-Scheme', 'X-Original-Forwarded-For', 'X-Envoy-External-Address', 'X-Azure-ClientIP', 'X-Azure-SocketIP', 'X-AppEngine-User-IP', 'Fly-Client-IP',
  'X-NF-Client-Connection-IP', 'Ali-CDN-Real-IP', 'CDN-Src-IP', 'Client-Cert', 'Client-Cert-Chain', 'X-Client-Cert', 'SSL-Client-Cert', 'X-SSL-Client-Cert',
  'X-SSL-Client-Verify', 'X-SSL-Client-S-DN', 'X-Client-Verify', 'X-Client-DN',
];

describe('what would override path, method or client', () => {
  for (const name of CLAIMS) {
    test(`${name} never reaches the application, not even of a trusted peer`, async (context) => {
      for (const through of [proxy, trusting]) {
        const request = await forward(context, `${name}: claimed\r\n${name.toLowerCase()}: claimed\r\n${name}x: 1\r\n`, through);
        assert.ok(!request.raw.includes('claimed'), request.raw);
        assert.equal(fieldOf(request, `${name.toLowerCase()}x`), '1', 'another name is forwarded');
      }
    });
  }
});

describe('who the client is', () => {
  test('is what the connection says, whatever the client claims', async (context) => {
    const request = await forward(context, FORGED);
    assert.ok(!/6\.6\.6\.6|evil|admin|forged/.test(request.raw));
    assert.deepEqual(Object.fromEntries(request.fields.filter(([name]) => /^x-forwarded|^forwarded|^x-real/.test(name))), {
      'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'acme.test', 'x-forwarded-port': '80',
      'x-real-ip': '127.0.0.1', 'forwarded': 'for=127.0.0.1;proto=http;host=acme.test',
    });
    assert.match(fieldOf(request, 'x-request-id') ?? '', /^test[0-9a-f]{8}$/);
  });

  test('an IPv6 client is quoted where RFC 7239 asks for it', async (context) => {
    const six = await ProxyHarness.start(context, {customers: [acme([upstream.port])], node: {listeners: [{...HTTP, address: '::1'}]}});
    const request = await forward(context, '', six);
    assert.deepEqual(['x-forwarded-for', 'x-real-ip', 'forwarded'].map((name) => fieldOf(request, name)), ['::1', '::1', 'for="[::1]";proto=http;host=acme.test']);
  });

  test('the port that the client named is told', async (context) => {
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test:8080\r\n\r\n');
    await client.response();
    const request = await upstream.nextRequest();
    assert.deepEqual([fieldOf(request, 'x-forwarded-port'), fieldOf(request, 'forwarded')], ['8080', 'for=127.0.0.1;proto=http;host="acme.test:8080"']);
  });

  const chains: readonly (readonly [what: string, fields: string, client: string])[] = [
    ['one hop', 'x-forwarded-for: 203.0.113.7\r\n', '203.0.113.7'],
    ['the right end, not what the client wrote left of it', 'x-forwarded-for: 6.6.6.6, 203.0.113.7\r\n', '203.0.113.7'],
    ['through further trusted hops', 'x-forwarded-for: 6.6.6.6, 203.0.113.7, 10.1.1.1, 10.1.1.2\r\n', '203.0.113.7'],
    ['over several lines', 'x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 203.0.113.7\r\nX-Forwarded-For: 10.1.1.1\r\n', '203.0.113.7'],
    ['the leftmost where all are trusted', 'x-forwarded-for: 10.1.1.1, 10.1.1.2\r\n', '10.1.1.1'],
    ['up to what is malformed', 'x-forwarded-for: 203.0.113.7, evil, 10.1.1.2\r\n', '10.1.1.2'],
    ['nothing that is malformed', 'x-forwarded-for: evil\r\n', '127.0.0.1'],
    ['nothing that is empty', 'x-forwarded-for:\r\n', '127.0.0.1'],
    ['no octal address', 'x-forwarded-for: 203.0.113.010\r\n', '127.0.0.1'],
    ['an address with a port', 'x-forwarded-for: 203.0.113.7:4711\r\n', '203.0.113.7'],
    ['an IPv6 address', 'x-forwarded-for: 2001:DB8::0:7\r\n', '2001:db8::7'],
    ['an IPv6 address with a port', 'x-forwarded-for: [2001:db8::7]:4711\r\n', '2001:db8::7'],
    ['a mapped address as what it is', 'x-forwarded-for: ::ffff:203.0.113.7\r\n', '203.0.113.7'],
    ['nothing where there is nothing', '', '127.0.0.1'],
    ['at most as many hops as the limit', `x-forwarded-for: 203.0.113.7${', 10.1.1.1'.repeat(LIMITS.forwardedHopsMax)}\r\n`, '10.1.1.1'],
  ];
  for (const [what, fields, client] of chains) {
    test(`a trusted peer is believed: ${what}`, async (context) => {
      const request = await forward(context, fields, trusting);
      assert.deepEqual([fieldsOf(request, 'x-forwarded-for'), fieldsOf(request, 'x-real-ip')], [[client], [client]]);
    });
  }

  test('a trusted peer says the scheme and the request\'s id, if they are valid', async (context) => {
    for (const [fields, scheme, id] of [
      ['x-forwarded-proto: HTTPS\r\nx-request-id: abc-1\r\n', 'https', /^abc-1$/], ['x-forwarded-proto: evil\r\nx-request-id: a b\r\n', 'http', /^test/],
      [`x-request-id: ${'a'.repeat(LIMITS.requestIdBytesMax + 1)}\r\n`, 'http', /^test/], ['x-request-id: a\r\nx-request-id: b\r\n', 'http', /^test/],
    ] as const) {
      const request = await forward(context, fields, trusting);
      assert.equal(fieldOf(request, 'x-forwarded-proto'), scheme);
      assert.match(fieldOf(request, 'x-request-id') ?? '', id);
    }
  });

  test('a trusted peer still does not say anything else', async (context) => {
    const request = await forward(context, FORGED, trusting);
    assert.deepEqual([fieldsOf(request, 'x-forwarded-host'), fieldsOf(request, 'x-forwarded-user'), fieldsOf(request, 'forwarded')], [
      ['acme.test'], [], ['for=6.6.6.6;proto=https;host=acme.test'],
    ]);
  });
});

describe('responses', () => {
  const DEFAULTS = {'x-content-type-options': 'nosniff', 'x-frame-options': 'SAMEORIGIN', 'referrer-policy': 'strict-origin-when-cross-origin'};

  function securityFields(response: RawMessage): Readonly<Record<string, string>> {
    const names = new Set([...Object.keys(DEFAULTS), 'strict-transport-security']);
    return Object.fromEntries(response.fields.filter(([name]) => names.has(name)));
  }

  test('carry the defaults, and no Strict-Transport-Security in cleartext (RFC 6797 §7.2)', async (context) => {
    assert.deepEqual(securityFields(await ask(context)), DEFAULTS);
    assert.deepEqual(securityFields(await ask(context, 'expect: x\r\n')), DEFAULTS, 'errors too');
  });

  test('keep what the application decided, once', async (context) => {
    upstream.respond = () => 'HTTP/1.1 200 OK\r\nX-Frame-Options: DENY\r\nreferrer-policy: no-referrer\r\ncontent-length: 0\r\n\r\n';
    const response = await ask(context);
    assert.deepEqual(securityFields(response), {...DEFAULTS, 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer'});
    assert.deepEqual(fieldsOf(response, 'x-frame-options'), ['DENY']);
  });

  test('do not say which software answers, and nothing of the hop behind', async (context) => {
    const fields = ['Server: Apache', 'X-Powered-By: PHP/5', 'X-AspNet-Version: 2', 'X-AspNetMvc-Version: 3', 'X-Generator: x', 'X-Runtime: 1', 'X-Version: 1',
      'Alt-Svc: h3=":443"', 'Keep-Alive: timeout=5', 'Proxy-Authenticate: Basic', 'Upgrade: h2c', 'Connection: keep-alive, x-hop', 'X-Hop: 1', 'X-Kept: 1'];
    upstream.respond = () => `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\ncontent-length: 0\r\n\r\n`;
    const response = await ask(context);
    assert.deepEqual(response.fields.map(([name]) => name).sort(), ['content-length', 'date', 'x-kept', ...Object.keys(DEFAULTS)].sort());
  });

  test('have no second framing for whoever folds names, and keep honest names with an underscore or a dot', async (context) => {
    const fields = ['transfer_encoding: chunked', 'Content.Length: 3', 'Keep_Alive: timeout=5', 'X_Frame_Options: ALLOWALL', 'X-Amz-Meta-User_id: 1', 'x.trace: 2'];
    upstream.respond = () => `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\ncontent-length: 0\r\n\r\n`;
    const response = await ask(context);
    assert.deepEqual(response.fields.filter(([name]) => /[_.]/.test(name)), [['x-amz-meta-user_id', '1'], ['x.trace', '2']]);
  });

  test('have one date: the application\'s, or Torwart\'s', async (context) => {
    assert.deepEqual(fieldsOf(await ask(context), 'date'), [new Date(trusting.time.unixMs()).toUTCString()]);
    upstream.respond = () => 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n';
    assert.deepEqual(fieldsOf(await ask(context), 'date'), ['Sun, 06 Nov 1994 08:49:37 GMT']);
  });
});

describe('error pages', () => {
  for (const [accept, type] of [
    ['', 'text/html; charset=utf-8'], ['text/html,application/json;q=0.9', 'text/html; charset=utf-8'], ['*/*', 'text/html; charset=utf-8'],
    ['application/json', 'application/json'], ['application/problem+json, text/html', 'application/json'],
  ] as const) {
    test(`for a client that accepts ${accept === '' ? 'anything' : accept}: ${type}`, async (context) => {
      const client = await proxy.connect(context);
      client.send(`GET /<script> HTTP/1.1\r\nhost: unknown.test\r\n${accept === '' ? '' : `accept: ${accept}\r\n`}\r\n`);
      const response = await client.response();
      assert.equal(statusOf(response), 421);
      assert.equal(fieldOf(response, 'content-type'), type);
      assert.equal(fieldOf(response, 'cache-control'), 'no-store');
      const id = fieldOf(response, 'x-request-id') ?? '';
      assert.match(id, /^test/);
      assert.ok(response.body.includes(id));
      assert.ok(!/script|unknown\.test|torwart/i.test(response.body), 'nothing of the request or of the software');
      if (type === 'application/json') assert.deepEqual(Object.keys(JSON.parse(response.body) as object), ['status', 'title', 'reason', 'request_id']);
    });
  }
});

describe('the access log', () => {
  async function logged(context: TestContext, bytes: string): Promise<LogLine> {
    await proxy.forgetLog();
    const client = await proxy.connect(context);
    client.send(bytes);
    await client.response();
    return proxy.nextLogLine();
  }

  test('one line says everything about a request', async (context) => {
    upstream.respond = () => {
      proxy.time.pass(30);
      return OK;
    };
    const request = 'POST /a?b=c HTTP/1.1\r\nhost: ACME.test:80\r\nuser-agent: Agent/1.0 "x"\r\nreferer: https://acme.test/?q=1\r\ncontent-length: 5\r\n\r\nhello';
    const line = await logged(context, request);
    assert.deepEqual(line, {
      time: new Date(proxy.time.unixMs()).toISOString(), level: 'info', msg: 'access', request_id: line['request_id'] ?? null, customer: 'acme', pool: 'app',
      client: '127.0.0.1', host: 'acme.test', method: 'POST', path: '/a?b=c', protocol: 'HTTP/1.1', status: 200, fault: null, bytes_in: request.length,
      bytes_out: line['bytes_out'] ?? null, queue_ms: 0, connect_ms: 0, first_byte_ms: 30, duration_ms: 30, upstream: `127.0.0.1:${upstream.port}`,
      tls_version: '', tls_cipher: '', user_agent: 'Agent/1.0 "x"', referer: 'https://acme.test/?q=1',
    });
  });

  test('no client can forge a line or a field', async (context) => {
    const evil = '","status":200,"x":"\\u000a\xe4\x80\\';
    await logged(context, `GET /${encodeURIComponent('"\n')}" HTTP/1.1\r\nhost: acme.test\r\nuser-agent: ${evil}\r\nreferer: \t${evil}\r\n\r\n`);
    const text = proxy.readLogText();
    assert.match(text, /^[\x20-\x7e\n]*$/);
    const lines = text.split('\n').slice(0, -1);
    assert.equal(lines.length, proxy.counter('requests'));
    const line = JSON.parse(lines.at(-1) ?? '') as LogLine;
    assert.equal(line['user_agent'], evil);
    assert.equal(line['referer'], evil);
    assert.equal(line['path'], '/%22%0A"');
  });

  test('secrets in addresses and fields never reach it', async (context) => {
    const fields = 'authorization: Bearer s3cret\r\ncookie: sid=s3cret\r\nx-api-key: s3cret\r\nreferer: https://a.test/?access_token=s3cret&b=1#id_token=s3cret\r\n';
    const line = await logged(context, `GET /reset?user=1&Password=s3cret&token=s3cret?s3cret&code=s3cret;jsessionid=s3cret HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n`);
    assert.equal(line['path'], '/reset?user=1&Password=***&token=***&code=***;jsessionid=***');
    assert.ok(!proxy.readLogText().includes('s3cret'));
  });

  for (const [what, target, path] of [
    ['with escaped letters', '/?pass%77ord=s3cret&%74oken=s3cret&a%5fb=1', '/?password=***&token=***&a_b=1'],
    ['with an escaped hyphen', '/?api%2Dkey=s3cret;%73i%64=s3cret', '/?api-key=***;sid=***'],
    ['in brackets', '/?user[password]=s3cret&user%5Bp%77d%5D=s3cret', '/?user[password]=***&user%5Bpwd%5D=***'],
    ['behind a blank, which PHP ignores', '/?+password=s3cret&%20password=s3cret', '/?+password=***&%20password=***'],
    ['behind a second question mark', '/?a=b?pass%77ord=s3cret', '/?a=b?password=***'],
    ['with escapes in the value', '/?token=%733cret&a=%77', '/?token=***&a=%77'],
    ['in nothing but names', '/p%61th?q=p%61th&50%25=1', '/p%61th?q=p%61th&50%25=1'],
  ] as const) {
    test(`secrets are recognised by their name: ${what}`, async (context) => {
      const line = await logged(context, `GET ${target} HTTP/1.1\r\nhost: acme.test\r\nreferer: https://a.test${target}\r\n\r\n`);
      assert.deepEqual([line['path'], line['referer']], [path, `https://a.test${path}`]);
    });
  }

  for (const [referer, expected] of [
    ['https://user:s3cret@a.test/b', 'https://***@a.test/b'], ['HTTPS://s3cret@a.test', 'HTTPS://***@a.test'],
    ['https://user:s3c@ret@a.test/b?token=s3cret', 'https://***@a.test/b?token=***'],
    ['https://a.test/@b?mail=c@d.test', 'https://a.test/@b?mail=c@d.test'], ['https://a.test?c@d.test', 'https://a.test?c@d.test'],
  ] as const) {
    test(`user information of ${referer} is masked`, async (context) => {
      const line = await logged(context, `GET / HTTP/1.1\r\nhost: acme.test\r\nreferer: ${referer}\r\n\r\n`);
      assert.equal(line['referer'], expected);
    });
  }

  test('user information in a target that is refused for it is masked', async (context) => {
    const line = await logged(context, 'GET http://user:s3cret@acme.test/ HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(line['fault'], 'host_invalid');
    assert.ok(!proxy.readLogText().includes('s3cret'));
  });

  test('what is overlong is cut', async (context) => {
    const line = await logged(context, `GET / HTTP/1.1\r\nhost: acme.test\r\nuser-agent: ${'a'.repeat(LIMITS.loggedValueBytesMax + 1)}\r\n\r\n`);
    assert.equal(String(line['user_agent']).length, LIMITS.loggedValueBytesMax);
  });
});
