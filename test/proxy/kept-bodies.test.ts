/** The body of a request that waits is that request's alone, byte for byte, whatever is read for others meanwhile. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {ForwardAuthSnapshot, LoginGuardSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG} from '#src/http2/frames.ts';
import {TEXT_BYTES_MAX} from '#src/proxy/request-body.ts';
import {data, upload} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {Http2Client, POST} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS, acme, customer, pool, route, site} from '#test/support/snapshots.ts';
import {startApplication} from '#test/upstream/http2-stage.ts';

const EVERY_BYTE = Buffer.from(Array.from({length: 256}, (_, byte) => byte)).toString('latin1');
/** Small ones are kept as text, and larger ones as bytes. */
const SIZES = [1, 1000, TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1, LIMITS.singleWriteBytesMax, 40_000] as const;

function bodyOf(size: number): string {
  return EVERY_BYTE.repeat(Math.ceil(size / 256)).slice(0, size);
}

function put(body: string, path = '/', fields = ''): string {
  return `PUT ${path} HTTP/1.1\r\nhost: acme.test\r\n${fields}content-length: ${body.length}\r\n\r\n${body}`;
}

function post(body: string, path = '/', fields = ''): string {
  return put(body, path, fields).replace('PUT', 'POST');
}

/** Another client's request goes through all that the first one has been through. */
async function disturb(context: TestContext, proxy: ProxyHarness, path = '/'): Promise<void> {
  for (const size of SIZES) {
    const client = await proxy.connect(context);
    client.send(put('z'.repeat(size), path));
    assert.equal(statusOf(await client.response()), 200);
    client.destroy();
  }
}

/** Without printing what is different of so many bytes. */
function assertBody(request: {readonly body: string} | undefined, body: string): void {
  assert.equal(request?.body.length, body.length);
  assert.ok(request?.body === body, 'the bytes are those that were sent');
}

async function assertAnswered(client: RawClient): Promise<void> {
  assert.equal(statusOf(await client.response()), 200);
}

describe('what arrives is what was sent', () => {
  for (const size of SIZES) {
    for (const [what, cuts] of [['at once', []], ['in two reads', [Math.floor(size / 2)]]] as const) {
      test(`${size} bytes ${what}`, async (context) => {
        const upstream = await FakeUpstream.start(context);
        const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
        const client = await proxy.connect(context), body = bodyOf(size), message = put(body);
        const headBytes = message.length - size;
        let at = 0;
        for (const cut of cuts) {
          client.send(message.slice(at, headBytes + cut));
          at = headBytes + cut;
          await eventually('it waits', () => proxy.counter('requests') === 1);
          await disturb(context, proxy);
        }
        client.send(message.slice(at));
        await assertAnswered(client);
        assertBody(upstream.requests.at(-1), body);
      });
    }

    test(`${size} bytes to a server of HTTP/2`, async (context) => {
      const application = await startApplication(context);
      application.respond = (stream) => { stream.respond({':status': 200}, {endStream: true}); };
      const proxy = await ProxyHarness.start(context, {customers: [acme([application.port], {pool: {protocol: 'h2c'}})]});
      context.after(() => proxy.reload({customers: []}));
      const client = await proxy.connect(context), body = bodyOf(size);
      client.send(put(body, '/', 'x-mine: yes\r\n'));
      await disturb(context, proxy);
      await assertAnswered(client);
      assertBody(application.requests.find(({fields}) => fields['x-mine'] !== undefined), body);
    });

    test(`${size} bytes over HTTP/2, in two frames`, async (context) => {
      const {proxy, upstream} = await startStage(context);
      const client = await Http2Client.open(context, proxy), body = bodyOf(size), half = Math.floor(size / 2);
      client.send(upload(1, [...POST, ['content-length', String(size)]]));
      for (let at = 0; at < half; at += LIMITS.h2FrameBytesMax) client.send(data(1, body.slice(at, Math.min(half, at + LIMITS.h2FrameBytesMax))));
      await eventually('it waits', () => proxy.counter('requests') === 1);
      await disturb(context, proxy);
      for (let at = half; at < size; at += LIMITS.h2FrameBytesMax) client.send(data(1, body.slice(at, at + LIMITS.h2FrameBytesMax)));
      client.send(data(1, '', FLAG.END_STREAM));
      assert.equal((await client.response(1)).status, 200);
      assertBody(upstream.requests.at(-1), body);
    });
  }

  test('requests of one read have a body each', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
    const client = await proxy.connect(context), bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(4096));
    client.send(bodies.map((body) => put(body)).join(''));
    for (const body of bodies) {
      await assertAnswered(client);
      assertBody(await upstream.nextRequest(), body);
    }
  });
});

describe('while it waits', () => {
  const AUTH: ForwardAuthSnapshot = {type: 'forward', name: 'sso', pool: 'sso', path: '/', timeoutMs: 5_000, sentFields: [], identityFields: []};
  const GUARD: LoginGuardSnapshot = {
    name: 'shop', paths: ['/login'], methods: ['POST'], account: {type: 'form', field: 'user'}, failure: {statuses: [401], redirectPaths: [], cookie: null},
    windowMs: 600_000, pairFailures: 5, clientFailures: 100, accountFailures: 100, delayMaxMs: 4_000, ban: null, isEnforced: true,
  };

  for (const size of SIZES) {
    test(`for another attempt (${size} bytes)`, async (context) => {
      const upstream = await FakeUpstream.start(context);
      const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
      const client = await proxy.connect(context), body = bodyOf(size);
      client.send(put(body));
      await assertAnswered(client);
      upstream.respond = () => null;
      client.send(put(body));
      await eventually('it is on its way', () => upstream.requests.length === 2);
      upstream.respond = () => OK;
      await disturb(context, proxy);
      upstream.peers[0]?.socket.resetAndDestroy();
      await assertAnswered(client);
      assert.equal(proxy.counter('retries'), 1);
      assertBody(upstream.requests.at(-1), body);
    });

    test(`for who decides whether it may pass (${size} bytes)`, async (context) => {
      const upstream = await FakeUpstream.start(context), authority = await FakeUpstream.start(context);
      authority.respond = () => null;
      const proxy = await ProxyHarness.start(context, {customers: [customer('acme', {
        auth: [AUTH], pools: [pool('app', [upstream.port]), pool('sso', [authority.port])], sites: [site(['acme.test'], [route('/', {auth: 'sso'}), route('/open')])],
      })]});
      const client = await proxy.connect(context), body = bodyOf(size);
      client.send(put(body));
      const {peer} = await authority.nextRequest();
      await disturb(context, proxy, '/open');
      peer.send('HTTP/1.1 204 No Content\r\n\r\n');
      await assertAnswered(client);
      assertBody(upstream.requests.at(-1), body);
    });

    test(`for the time of an attempt to log in (${size} bytes)`, async (context) => {
      const upstream = await FakeUpstream.start(context);
      upstream.respond = ({startLine}) => (startLine.startsWith('POST') ? 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n' : OK);
      const proxy = await ProxyHarness.start(context, {customers: [{...acme([upstream.port]), loginGuards: [GUARD]}]});
      const client = await proxy.connect(context), body = `user=alice&password=${'0123456789'.repeat(size).slice(0, size)}`;
      const attempt = post(body, '/login', 'content-type: application/x-www-form-urlencoded\r\n');
      for (let i = 0; i < 3; i++) {
        client.send(attempt);
        assert.equal(statusOf(await client.response()), 401);
      }
      client.send(attempt);
      await eventually('it waits', () => proxy.counter('requests') === 4);
      await disturb(context, proxy);
      proxy.pass(3_000);
      assert.equal(statusOf(await client.response()), 401);
      assert.equal(upstream.requests.length, 4 + SIZES.length);
      assertBody(upstream.requests.at(-1), body);
    });
  }
});

describe('nothing is left of a body', () => {
  for (const size of SIZES.slice(1)) {
    for (const [what, end] of [
      ['whose client has gone', async (client: RawClient) => { client.destroy(); }],
      ['that took too long', async (client: RawClient, proxy: ProxyHarness) => {
        proxy.pass(ROUTE_TIMEOUTS.requestBodyIdleMs + 1_000);
        assert.equal(statusOf(await client.response()), 408);
      }],
    ] as const) {
      test(`${what} (${size} bytes)`, async (context) => {
        const upstream = await FakeUpstream.start(context);
        const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
        const client = await proxy.connect(context);
        client.send(put('secret'.repeat(size)).slice(0, size / 2));
        await eventually('it waits', () => proxy.counter('requests') === 1);
        await end(client, proxy);
        await eventually('it is over', () => Object.keys(proxy.faults()).length === 1);
        await disturb(context, proxy);
        assert.equal(upstream.requests.length, SIZES.length);
        for (const [at, request] of upstream.requests.entries()) assertBody(request, 'z'.repeat(SIZES[at] ?? 0));
      });
    }
  }
});
