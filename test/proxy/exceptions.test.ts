/**
 * An exception anywhere is a bug. Whatever it was in the way of: its client is not left waiting, nothing stays counted, and the thread goes on
 * with everybody else's requests.
 */
import assert from 'node:assert/strict';
import {Socket, connect} from 'node:net';
import {describe, mock, test, type TestContext} from 'node:test';
import {TLSSocket} from 'node:tls';
import {Clock} from '#src/core/clock.ts';
import {DeadlineWheel} from '#src/core/deadline-wheel.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ClientConnection} from '#src/edge/client-connection.ts';
import {Handshake} from '#src/edge/handshake.ts';
import {Http2Stream} from '#src/edge/http2-stream.ts';
import {ResponseWriter} from '#src/edge/response-writer.ts';
import {OutputBuffer} from '#src/http2/output-buffer.ts';
import {ServerSession} from '#src/http2/server-session.ts';
import {AuthRequest} from '#src/proxy/auth-request.ts';
import {Gateway} from '#src/proxy/gateway.ts';
import {RequestBody} from '#src/proxy/request-body.ts';
import {RequestRecord} from '#src/proxy/request-record.ts';
import {Tunnels} from '#src/proxy/tunnels.ts';
import {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {UpstreamPool} from '#src/upstream/pool.ts';
import {UpstreamConnection} from '#src/upstream/upstream-connection.ts';
import {request} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK, type Script} from '#test/support/fake-upstream.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, acme, customer, pool, route, site} from '#test/support/snapshots.ts';
import {WEBSOCKET, accept, handshake} from '#test/websocket/handshakes.ts';

/** A class, one of its methods, and which call of it fails. */
type Victim = readonly [owner: {readonly prototype: object; readonly name: string}, method: string, call: number];

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

/** Returns how to end it. */
function sabotage([{prototype}, method, call]: Victim): () => void {
  const original = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
  const count = {calls: 0};
  const sabotaged = mock.method(prototype as Record<string, () => unknown>, method, function fail(this: unknown, ...args: unknown[]): unknown {
    if (++count.calls === call) throw new Error('sabotage');
    return original.apply(this, args);
  });
  return () => { sabotaged.mock.restore(); };
}

/** Nothing is left of the request, and the next client is served. */
async function assertUnharmed(context: TestContext, {proxy, upstream}: Stage): Promise<void> {
  assert.ok(proxy.reports.length > 0 && proxy.reports.every((report) => report.includes('Error: sabotage')), proxy.reports.join('\n'));
  upstream.respond = () => OK;
  await eventually('nothing of it is under way', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
  const next = await proxy.connect(context);
  next.send(PROBE);
  assert.equal(statusOf(await next.response()), 200, 'the next client is served');
}

/** An application that decides, and an application. */
function guarded(port: number, authorityPort: number): Parameters<typeof ProxyHarness.start>[1] {
  return {customers: [customer('acme', {
    auth: [{type: 'forward', name: 'sso', pool: 'sso', path: '/verify', timeoutMs: 5_000, sentFields: [], identityFields: ['remote-user']}],
    pools: [pool('app', [port]), pool('sso', [authorityPort])], sites: [site(['acme.test'], [route('/', {auth: 'sso'}), route('/probe')])],
  })]};
}

const reset: Script = ({peer}) => {
  peer.socket.resetAndDestroy();
  return null;
};

interface Scene {
  readonly bytes?: string;
  readonly respond?: Script;
  readonly start?: (context: TestContext, upstream: FakeUpstream) => Promise<ProxyHarness>;
  readonly proceed?: (stage: Stage) => Promise<void>;
  readonly victims: readonly Victim[];
}

const SCENES: Readonly<Record<string, Scene>> = {
  'an answer that is complete': {victims: [
    [ClientConnection, 'endResponse', 1], [ResponseWriter, 'end', 1], [ResponseWriter, 'flush', 1], [RequestRecord, 'complete', 1], [UpstreamConnection, 'begin', 1],
    [ClientConnection, 'beginResponse', 1], [UpstreamPool, 'pick', 1], [RequestBody, 'sendRequest', 1],
  ]},
  'a server that resets': {respond: reset, victims: [
    [UpstreamEndpoint, 'recordFailure', 1], [UpstreamPool, 'pick', 2], [UpstreamConnection, 'begin', 2], [RequestBody, 'sendRequest', 2], [Gateway, 'countFault', 1],
    [Clock, 'httpDate', 1], [ClientConnection, 'abandonResponse', 1], [ClientConnection, 'beginResponse', 1], [RequestRecord, 'complete', 1],
  ]},
  'an answer that is invalid': {respond: () => 'evil\r\n\r\n', victims: [[UpstreamEndpoint, 'recordFailure', 1], [ResponseWriter, 'begin', 1], [ClientConnection, 'writeBodyText', 1]]},
  'no answer in time': {
    respond: () => null,
    proceed: async ({proxy, upstream}) => {
      await upstream.nextRequest();
      proxy.pass(61_000);
    },
    victims: [[UpstreamEndpoint, 'recordFailure', 1], [Clock, 'httpDate', 1], [ClientConnection, 'endResponse', 1]],
  },
  'a question to another application': {
    start: async (context, upstream) => {
      const authority = await FakeUpstream.start(context);
      authority.respond = () => 'HTTP/1.1 204 No Content\r\nremote-user: x\r\n\r\n';
      return ProxyHarness.start(context, guarded(upstream.port, authority.port));
    },
    bytes: 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello',
    victims: [[UpstreamPool, 'pick', 2], [RequestBody, 'sendRequest', 1], [AuthRequest, 'onResponse', 1], [ClientConnection, 'endResponse', 1]],
  },
  'a WebSocket': {
    bytes: handshake(), respond: accept,
    proceed: async ({upstream}) => { (await upstream.nextRequest()).peer.socket.end(); },
    victims: [[Tunnels, 'add', 1], [ClientConnection, 'beginTunnel', 1], [ClientConnection, 'completeExchange', 1], [RequestRecord, 'complete', 1]],
  },
};

for (const [what, {bytes = PROBE, respond = () => OK, start, proceed, victims}] of Object.entries(SCENES)) {
  describe(what, () => {
    for (const victim of victims) {
      test(`${victim[0].name}.${victim[1]} fails`, async (context) => {
        const upstream = await FakeUpstream.start(context);
        const proxy = await start?.(context, upstream) ?? await ProxyHarness.start(context, {customers: [acme([upstream.port, upstream.port], {route: {websocket: WEBSOCKET}})]});
        upstream.respond = respond;
        const client = await proxy.connect(context);
        const restore = sabotage(victim);
        context.after(restore);
        client.send(bytes);
        await proceed?.({proxy, upstream});
        await eventually('the exception has happened', () => proxy.reports.length > 0);
        await eventually('the client is not left waiting', () => client.end !== 'none' || statusOf({startLine: client.received}) === 503);
        restore();
        await assertUnharmed(context, {proxy, upstream});
      });
    }
  });
}

describe('HTTP/2', () => {
  const VICTIMS: readonly Victim[] = [
    [Http2Stream, 'endResponse', 1], [Http2Stream, 'abandonResponse', 1], [ServerSession, 'sendHead', 1], [Clock, 'httpDate', 1],
    [OutputBuffer, 'onWritten', 1], [RequestRecord, 'complete', 1],
  ];
  for (const victim of VICTIMS) {
    test(`${victim[0].name}.${victim[1]} fails`, async (context) => {
      const stage = await startStage(context);
      const client = await Http2Client.open(context, stage.proxy);
      stage.upstream.respond = reset;
      const restore = sabotage(victim);
      context.after(restore);
      client.send(request(1, GET));
      await eventually('the exception has happened', () => stage.proxy.reports.length > 0);
      await eventually('the client is not left waiting', () => client.isEnded || client.peek(1).reset !== null || client.peek(1).isComplete);
      restore();
      await assertUnharmed(context, stage);
    });
  }
});

test('a log line that fails half way gives the place of its request back once', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const restore = sabotage([Gateway, 'timeFragment', 1]);
  context.after(restore);
  const client = await proxy.connect(context);
  client.send(PROBE);
  await client.ended();
  restore();
  await assertUnharmed(context, {proxy, upstream});
  assert.deepEqual([proxy.placesOf('requests'), proxy.placesOf('requests', 'acme'), proxy.placeOfClient('requests')], [0, 0, 0]);
});

test('a log line that always fails costs its connections, in whatever way they end, and never the thread', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const always = mock.method(RequestRecord.prototype, 'complete', () => { throw new Error('sabotage'); });
  context.after(() => { always.mock.restore(); });
  upstream.respond = () => null;
  const [served, gone, late, invalid] = [await proxy.connect(context), await proxy.connect(context), await proxy.connect(context), await proxy.connect(context)];
  for (const client of [served, gone, late]) client.send(PROBE);
  await eventually('all are asked', () => upstream.requests.length === 3);
  upstream.requests[0]?.peer.send(OK);
  invalid.send('\0');
  await served.ended();
  await invalid.ended();
  gone.destroy();
  await eventually('the application hears of it', () => upstream.openConnections === 2);
  proxy.pass(61_000 + LIMITS.wheelTickMs);
  await late.ended();
  always.mock.restore();
  await assertUnharmed(context, {proxy, upstream});
});

/** What Node does while it makes the socket of an accepted connection, and what follows. */
const OPENING: readonly (readonly [listener: string, victim: Victim])[] = [
  ['http', [Socket, 'read', 1]], ['https', [TLSSocket, '_init', 1]], ['https', [TLSSocket, '_wrapHandle', 1]],
  ['http', [DeadlineWheel, 'arm', 1]], ['https', [Handshake, 'begin', 1]],
];
for (const [name, victim] of OPENING) {
  test(`of a connection that could not be opened (${name}, ${victim[1]}) no place stays taken`, async (context) => {
    const proxy = await ProxyHarness.start(context, {node: {listeners: [HTTP, HTTPS]}});
    const restore = sabotage(victim);
    context.after(restore);
    // Paused, so that it is not the victim itself.
    const client = connect({port: proxy.ports[name] ?? 0, host: '127.0.0.1'}).pause();
    client.on('error', () => undefined);
    context.after(() => { client.destroy(); });
    await eventually('the exception has happened', () => proxy.reports.length === 1);
    restore();
    await eventually('the places are free', () => proxy.placesOf('connections') === 0 && proxy.placesOf('handshakes') === 0);
    assert.equal(proxy.proxy.openConnections, 0);
  });
}
