/** Requests of streams on their way to applications: what they become in HTTP/1.1, and the policies that hold for them as for all others. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import {ERROR, FLAG} from '#src/http2/frames.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {data, opening, request, upload, type Fields} from '#test/http2/frames.ts';
import {PAIR, startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {GET, Http2Client, POST} from '#test/support/http2-client.ts';
import {fieldOf, fieldsOf, statusOf} from '#test/support/raw-message.ts';
import {acme, certificate, customer, limit, pool, route, site} from '#test/support/snapshots.ts';

const OTHER_PAIR = await makeCertificate(['other.test']);
const FIXED = {type: 'respond', status: 503, contentType: 'text/plain; charset=utf-8', body: 'später'} as const;

const {proxy, upstream} = await startStage({after}, {
  acme: {route: {maxBodyBytes: 100_000, requestBufferBytes: 1000}},
  customers: ({port}) => [customer('other', {
    certificates: [certificate(OTHER_PAIR, ['other.test'])], pools: [pool('app', [port])], sites: [site(['other.test'], [
      route('/', {methods: ['GET']}), route('/fixed', {action: FIXED}), route('/moved', {action: {type: 'redirect', status: 301, location: 'https://new.test', keepTarget: true}}),
      route('/denied', {deny: ['127.0.0.0/8']}),
    ])],
  })],
});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

function at(path: string, ...fields: Fields): Fields {
  return [...GET.slice(0, 3), [':path', path], ...fields];
}

describe('what the application sees', () => {
  test('a request of HTTP/1.1, with what Torwart adds', async (context) => {
    const client = await Http2Client.open(context, proxy);
    await client.ask(1, at('/a//b/../c?q=%31', ['accept', '*/*'], ['x-a', '1'], ['x-a', '2'], ['te', 'trailers'], ['priority', 'u=1'], ['x_folded', 'evil'],
      ['x-forwarded-for', '6.6.6.6'], ['forwarded', 'for=6.6.6.6'], ['x-request-id', 'forged']));
    const seen = await upstream.nextRequest();
    assert.equal(seen.startLine, 'GET /a/c?q=%31 HTTP/1.1');
    assert.deepEqual([fieldsOf(seen, 'host'), fieldsOf(seen, 'x-a'), fieldOf(seen, 'te'), fieldOf(seen, 'x_folded')], [['acme.test'], ['1', '2'], undefined, undefined]);
    assert.deepEqual(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-real-ip', 'forwarded'].map((name) => fieldsOf(seen, name)), [
      ['127.0.0.1'], ['https'], ['acme.test'], ['443'], ['127.0.0.1'], ['for=127.0.0.1;proto=https;host=acme.test'],
    ]);
    assert.match(fieldOf(seen, 'x-request-id') ?? '', /^test[0-9a-f]{8}$/);
    assert.ok(!seen.fields.some(([name]) => name.startsWith(':') || name === 'content-length' || name === 'transfer-encoding'));
  });

  test('crumbs of cookies are joined', async (context) => {
    const client = await Http2Client.open(context, proxy);
    await client.ask(1, at('/', ['cookie', 'a=1'], ['x-between', '1'], ['cookie', 'b=2'], ['cookie', 'c=3; d=4']));
    assert.deepEqual(fieldsOf(await upstream.nextRequest(), 'cookie'), ['a=1; b=2; c=3; d=4']);
  });

  test('Host where there is no :authority', async (context) => {
    const client = await Http2Client.open(context, proxy);
    await client.ask(1, [[':method', 'GET'], [':scheme', 'https'], [':path', '/'], ['host', 'acme.test']]);
    assert.deepEqual(fieldsOf(await upstream.nextRequest(), 'host'), ['acme.test']);
  });
});

describe('content', () => {
  async function seenOf(client: Http2Client, streamId: number): Promise<UpstreamRequest> {
    const seen = await upstream.nextRequest();
    assert.equal((await client.response(streamId)).status, 200);
    return seen;
  }
  const FRAMING = ['content-length', 'transfer-encoding'] as const;

  test('up to the buffer it has a length, whatever the client said', async (context) => {
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, POST), data(1, 'he'), data(1, 'llo', FLAG.END_STREAM));
    const seen = await seenOf(client, 1);
    assert.deepEqual([seen.body, ...FRAMING.map((name) => fieldOf(seen, name))], ['hello', '5', undefined]);
    client.send(upload(3, [...POST, ['content-length', '5']]), data(3, 'hello'), data(3, '', FLAG.END_STREAM));
    assert.equal(fieldOf(await seenOf(client, 3), 'content-length'), '5');
  });

  test('beyond it is streamed, with the length that was announced or in chunks', async (context) => {
    const client = await Http2Client.open(context, proxy);
    const content = 'x'.repeat(3000);
    client.send(upload(1, [...POST, ['content-length', '3000']]), data(1, content, FLAG.END_STREAM));
    const announced = await seenOf(client, 1);
    assert.deepEqual([announced.body, ...FRAMING.map((name) => fieldOf(announced, name))], [content, '3000', undefined]);
    client.send(upload(3, POST), data(3, content), data(3, content, FLAG.END_STREAM));
    const streamed = await seenOf(client, 3);
    assert.deepEqual([streamed.body, ...FRAMING.map((name) => fieldOf(streamed, name))], [content + content, undefined, 'chunked']);
  });

  test('a request without content that is no GET says so', async (context) => {
    const client = await Http2Client.open(context, proxy);
    await client.ask(1, POST);
    assert.equal(fieldOf(await upstream.nextRequest(), 'content-length'), '0');
  });

  test('trailers are dropped', async (context) => {
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, POST), data(1, 'hello'), request(1, [['x-trailer', 'evil']]));
    const seen = await seenOf(client, 1);
    assert.deepEqual([seen.body, seen.raw.includes('evil')], ['hello', false]);
  });

  test('Expect: 100-continue is answered here', async (context) => {
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, [...POST, ['expect', '100-continue'], ['content-length', '5']]));
    await eventually('the client may go on', () => client.peek(1).status === 100);
    client.send(data(1, 'hello', FLAG.END_STREAM));
    assert.equal(fieldOf(await seenOf(client, 1), 'expect'), undefined);
    assert.deepEqual(client.peek(1).interim, [100]);
  });

  test('body_too_large: at once where it was announced, else as soon as it is', async (context) => {
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, [...POST, ['content-length', '100001']]));
    await eventually('it is answered', () => client.peek(1).isComplete);
    // RFC 9113 §8.1: the rest of the request is of no use any more.
    await eventually('it is told to stop', () => client.peek(1).reset === ERROR.NO_ERROR);
    assert.equal(client.peek(1).status, 413);
    client.send(upload(3, POST));
    for (let i = 0; i < 7; i++) client.send(data(3, 'x'.repeat(16_000)));
    assert.equal((await client.response(3)).status, 413);
    assert.equal(upstream.peers.every(({received}) => !received.includes('content-length: 100001')), true, 'the application was not asked');
    assert.equal((await client.ask(5)).status, 200, 'the connection goes on');
  });
});

describe('hosts', () => {
  test('another host of the customer is served on the same connection, another customer\'s is not: host_foreign', async (context) => {
    const client = await Http2Client.open(context, proxy);
    const to = (authority: string): Fields => [...GET.slice(0, 2), [':authority', authority], [':path', '/']];
    assert.equal((await client.ask(1, to('acme.test'))).status, 200);
    const before = upstream.requests.length;
    const foreign = await client.ask(3, to('other.test'));
    assert.deepEqual([foreign.status, foreign.isComplete], [421, true]);
    assert.deepEqual([proxy.fault('host_foreign'), upstream.requests.length], [1, before]);
    assert.equal((await client.ask(5, to('unknown.test'))).status, 421);
    assert.equal((await client.ask(7, to('acme.test:443'))).status, 200, 'the connection goes on');
  });

  test('TLS 1.2 carries it as well, and what does not ask for it gets HTTP/1.1', async (context) => {
    const old = await Http2Client.connect(context, proxy, {maxVersion: 'TLSv1.2'});
    old.send(opening());
    assert.equal((await old.ask(1)).status, 200);
    for (const ALPNProtocols of [['http/1.1'], ['http/1.1', 'h2'], undefined]) {
      const client = await proxy.connectTls(context, {servername: 'acme.test', ...(ALPNProtocols === undefined ? {} : {ALPNProtocols})});
      if (ALPNProtocols?.includes('h2') === true) assert.equal(client.tls.alpnProtocol, 'h2', 'the server\'s choice');
      else {
        client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
        assert.equal(statusOf(await client.response()), 200);
      }
    }
  });

  test('the preface in the clear is refused: h2 is spoken over TLS only', async (context) => {
    const client = await proxy.connect(context);
    client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.equal(statusOf(await client.response()), 505);
    await client.ended();
  });
});

describe('routes that no application answers', () => {
  test('redirect, fixed response, refusals, error pages', async (context) => {
    const client = new Http2Client(await proxy.connectTls(context, {servername: 'other.test', ALPNProtocols: ['h2']}));
    client.send(opening());
    const ask = (streamId: number, path: string, method = 'GET', ...fields: Fields): ReturnType<Http2Client['ask']> =>
      client.ask(streamId, [[':method', method], [':scheme', 'https'], [':authority', 'other.test'], [':path', path], ...fields]);
    const before = upstream.requests.length;
    const moved = await ask(1, '/moved?a=b');
    assert.deepEqual([moved.status, fieldOf(moved, 'location'), moved.body], [301, 'https://new.test/moved?a=b', '']);
    const fixed = await ask(3, '/fixed');
    assert.deepEqual([fixed.status, Buffer.from(fixed.body, 'latin1').toString('utf8'), fieldOf(fixed, 'content-length')], [503, 'später', '7']);
    const head = await ask(5, '/fixed', 'HEAD');
    assert.deepEqual([head.status, head.body, fieldOf(head, 'content-length')], [503, '', '7']);
    assert.equal((await ask(7, '/denied')).status, 403);
    const refused = await ask(9, '/', 'POST');
    assert.deepEqual([refused.status, fieldOf(refused, 'allow')], [405, 'GET, HEAD']);
    const page = await ask(11, '/denied', 'GET', ['accept', 'application/json']);
    assert.match(fieldOf(page, 'content-type') ?? '', /json/);
    assert.ok(page.body.includes(fieldOf(page, 'x-request-id') ?? 'none'));
    assert.equal(upstream.requests.length, before);
  });
});

describe('limits, log and reload', () => {
  test('rate_limited: 429 to the stream, and the connection goes on', async (context) => {
    const {proxy: limited} = await startStage(context, {node: {limits: [limit('all', 1_000, 2)]}});
    const client = await Http2Client.open(context, limited);
    client.send(...[1, 3, 5, 7].map((streamId) => request(streamId, GET)));
    const statuses = await Promise.all([1, 3, 5, 7].map(async (streamId) => (await client.response(streamId)).status));
    assert.deepEqual(statuses, [200, 200, 429, 429]);
    assert.equal(fieldOf(client.peek(7), 'retry-after'), '1');
    limited.pass(1000);
    assert.equal((await client.ask(9)).status, 200);
    assert.equal(limited.fault('rate_limited'), 2);
  });

  test('a line of the access log for each request', async (context) => {
    const client = await Http2Client.open(context, proxy);
    await proxy.forgetLog();
    upstream.respond = () => 'HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno';
    await client.ask(1, at('/logged?a=b', ['user-agent', 'tester/1'], ['referer', 'https://acme.test/from']));
    const line = await proxy.nextLogLine();
    const {protocol, status, method, host, customer: owner, client: address, tls_version: tls, user_agent: userAgent, referer} = line;
    assert.deepEqual([protocol, status, method, host, owner, address, tls, userAgent, referer],
      ['HTTP/2', 404, 'GET', 'acme.test', 'acme', '127.0.0.1', 'TLSv1.3', 'tester/1', 'https://acme.test/from']);
    assert.equal(line['path'], '/logged?a=b');
    assert.ok(Number(line['bytes_in']) > 50 && Number(line['bytes_out']) > 50);
  });

  test('a reload: requests in flight end as they began, later ones of the same connection by the new configuration', async (context) => {
    const stage = await startStage(context);
    const client = await Http2Client.open(context, stage.proxy);
    stage.upstream.respond = () => null;
    client.send(request(1, GET));
    const {peer} = await stage.upstream.nextRequest();
    await stage.proxy.reload({customers: [{
      ...acme([stage.upstream.port], {route: {action: {type: 'respond', status: 410, contentType: 'text/plain', body: 'gone'}}}), revision: '2', certificates: [certificate(PAIR, ['acme.test'])],
    }]});
    assert.equal((await client.ask(3)).status, 410);
    peer.send(OK);
    assert.equal((await client.response(1)).body, 'ok');
    assert.deepEqual([client.goAways, stage.proxy.faults()], [[], {}]);
  });

  test('a customer that is gone is gone for open connections too', async (context) => {
    const stage = await startStage(context);
    const client = await Http2Client.open(context, stage.proxy);
    assert.equal((await client.ask(1)).status, 200);
    await stage.proxy.reload({customers: []});
    assert.equal((await client.ask(3)).status, 421);
  });
});
