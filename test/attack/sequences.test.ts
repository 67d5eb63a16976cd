/**
 * Requests behind requests: bodies that are taken for requests, pipelines, tunnels, expectations, upgrades ("Browser-Powered Desync Attacks",
 * Kettle 2022: client-side and pause-based desync; "h2c smuggling", Bishop Fox 2020; the Expect attacks of "HTTP/1.1 must die", 2025).
 */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {HOST, SMUGGLED, chunked, disarmEach, get, post, refuseEach} from '#test/attack/requests.ts';
import {assertServes, PROBE, type Target} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {customer, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [customer('acme', {
  pools: [pool('app', [upstream.port])],
  sites: [site(['acme.test'], [
    route('/', {maxBodyBytes: 1000, requestBufferBytes: 20}), route('/denied', {deny: ['127.0.0.0/8']}), route('/fixed', {action: {type: 'respond', status: 200, contentType: 'text/plain', body: 'fixed'}}),
  ])],
})]});
const TARGET: Target = {proxy, upstream};

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

describe('what stands behind a request that is refused is not read', () => {
  refuseEach(TARGET, [
    ['a request behind an invalid head', `GET / HTTP/1.1\r\nx a: 1\r\n\r\n${SMUGGLED}`, 'field_invalid'],
    ['behind a length that is too large', post('content-length: 1001\r\n', SMUGGLED), 'body_too_large'],
    ['behind a body that waits for 100', post('content-length: 1001\r\nexpect: 100-continue\r\n', SMUGGLED), 'body_too_large'],
    ['behind an invalid chunk', chunked(`x\r\n${SMUGGLED}`), 'chunk_invalid'],
    ['behind two lengths', post('content-length: 0\r\ncontent-length: 1\r\n', SMUGGLED), 'framing_invalid'],
    ['behind another version', `GET / HTTP/1.2\r\n${HOST}\r\n${SMUGGLED}`, 'version_unsupported'],
    ['behind an ambiguous path', `GET /.. HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`, 'path_ambiguous'],
    ['behind no host', `GET / HTTP/1.1\r\n\r\n${SMUGGLED}`, 'host_invalid'],
  ]);
});

describe('the body of a request that is refused, or answered here, is thrown away as what it is', () => {
  for (const [what, start, status] of [['refused', '/denied', 403], ['answered', '/fixed', 200]] as const) {
    test(`${what}: with a length`, async (context) => {
      const client = await proxy.connect(context);
      client.send(`POST ${start} HTTP/1.1\r\n${HOST}content-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${PROBE}`);
      assert.equal(statusOf(await client.response()), status);
      assert.equal(statusOf(await client.response()), 200);
      assert.equal((await upstream.nextRequest()).startLine, 'GET /probe HTTP/1.1');
      await settle();
      assert.equal(client.received, '');
      await assertServes(context, TARGET);
    });

    test(`${what}: in chunks, after which nothing is believed`, async (context) => {
      const before = upstream.bytesReceived;
      const client = await proxy.connect(context);
      client.send(`POST ${start} HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`);
      assert.equal(statusOf(await client.response()), status);
      if (status === 403) assert.equal(await client.ended(), 'orderly');
      else await settle();
      assert.equal(upstream.requests.filter(({raw}) => raw.includes('chunked')).length, 0);
      if (status === 403) assert.equal(upstream.bytesReceived, before, 'nothing reached the upstream');
      await assertServes(context, TARGET);
    });
  }

  test('a pause within the body: what comes after the answer is still the body', async (context) => {
    const body = SMUGGLED.padStart(200, 'x');
    upstream.respond = () => null;
    const client = await proxy.connect(context);
    client.send(`POST /early HTTP/1.1\r\n${HOST}content-length: ${body.length}\r\n\r\n${body.slice(0, -SMUGGLED.length)}`);
    const isEarly = ({received}: {readonly received: string}): boolean => received.includes('/early');
    await eventually('it streams', () => upstream.peers.some(isEarly));
    upstream.peers.find(isEarly)?.send(OK);
    assert.equal(statusOf(await client.response()), 200);
    upstream.respond = () => OK;
    client.send(SMUGGLED + PROBE);
    assert.equal(statusOf(await client.response()), 200);
    assert.deepEqual(upstream.requests.filter(({startLine}) => startLine.includes('/evil')), []);
    await assertServes(context, TARGET);
  });

  test('an expectation that is refused ends the connection: the body may come or not', async (context) => {
    const before = upstream.bytesReceived;
    const client = await proxy.connect(context);
    client.send(post(`expect: evil\r\ncontent-length: ${SMUGGLED.length}\r\n`, SMUGGLED + PROBE));
    assert.equal(statusOf(await client.response()), 417);
    assert.equal(await client.ended(), 'orderly');
    assert.deepEqual([client.received, upstream.bytesReceived], ['', before]);
    await assertServes(context, TARGET);
  });
});

describe('pipelines', () => {
  test('each request is decided about by itself, and answered in its order', async (context) => {
    const faults: readonly FaultCode[] = ['access_denied', 'host_unknown'];
    const before = faults.map((fault) => proxy.fault(fault));
    const client = await proxy.connect(context);
    client.send(`${PROBE}GET /denied HTTP/1.1\r\n${HOST}\r\nGET / HTTP/1.1\r\nhost: evil.test\r\n\r\n${PROBE}`);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push(statusOf(await client.response()));
    assert.deepEqual(statuses, [200, ...faults.map((fault) => FAULTS[fault].status), 200]);
    assert.deepEqual(faults.map((fault) => proxy.fault(fault)), before.map((count) => count + 1));
    await assertServes(context, TARGET);
  });

  test('HEAD with a length in its answer takes nothing of the next one (request tunnelling)', async (context) => {
    upstream.respond = ({startLine}) => (startLine.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n' : OK);
    const client = await proxy.connect(context);
    client.send(`HEAD / HTTP/1.1\r\n${HOST}\r\n${PROBE}`);
    assert.equal(statusOf(await client.response('HEAD')), 200);
    assert.equal((await client.response()).body, 'ok');
    await assertServes(context, TARGET);
  });
});

describe('expectations', () => {
  refuseEach(TARGET, [
    ['a word in front (Kettle 2025)', get('expect: y 100-continue\r\n'), 'expectation_failed'], ['twice in a list', get('expect: 100-continue, 100-continue\r\n'), 'expectation_failed'],
    ['on two lines', get('expect: 100-continue\r\nexpect: 100-continue\r\n'), 'expectation_failed'], ['a parameter', get('expect: 100-continue;a=b\r\n'), 'expectation_failed'],
    ['a no-break space', get('expect: \xa0100-continue\r\n'), 'expectation_failed'], ['a fold', get('expect:\r\n 100-continue\r\n'), 'field_invalid'], ['a space before the colon', get('expect : 100-continue\r\n'), 'field_invalid'],
  ]);
});

describe('upgrades', () => {
  disarmEach(TARGET, [
    ['h2c', get('connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: evil\r\nx-a: 1\r\n')], ['h2c without its settings', get('connection: Upgrade\r\nupgrade: h2c, evil\r\n')],
    ['TLS', get('connection: upgrade\r\nupgrade: TLS/1.0, evil\r\n')], ['a WebSocket where the route has none', get('connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 777\r\n')],
    ['Upgrade without Connection', get('upgrade: evil\r\n')], ['HTTP/3', get('connection: upgrade\r\nupgrade: HTTP/3, evil\r\n')],
  ]);
  refuseEach(TARGET, [
    ['Connection naming Host besides', get('connection: upgrade, host\r\nupgrade: h2c\r\n'), 'connection_option_refused'], ['CONNECT', `CONNECT evil.test:22 HTTP/1.1\r\n${HOST}\r\n`, 'method_refused'],
    ['the preface of HTTP/2 behind a request line', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SMUGGLED}`, 'version_unsupported'],
  ]);
});
