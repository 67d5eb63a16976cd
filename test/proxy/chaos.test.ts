/**
 * Clients and applications that do anything at any time. Whatever it is: no exception, no response to the wrong client, and when all are
 * gone, nothing of them is left: no socket, no count, no deadline that still fires.
 */
import assert from 'node:assert/strict';
import {after, type TestContext} from 'node:test';
import * as fc from 'fast-check';
import {PLACE_KINDS} from '#src/shared/place-kinds.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK, type UpstreamPeer} from '#test/support/fake-upstream.ts';
import {testAsyncProperty} from '#test/support/property.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {acme} from '#test/support/snapshots.ts';

const REQUEST = 'GET /<id> HTTP/1.1\r\nhost: acme.test\r\n\r\n';
const LARGE = 'x'.repeat(20_000);

/** `<id>` becomes the client's own number. */
const CLIENT_BYTES = [
  REQUEST, REQUEST, REQUEST.repeat(3), REQUEST.slice(0, 20), REQUEST.slice(20), 'POST /<id> HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello',
  'POST /<id> HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\n', 'hello', `POST /<id> HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${LARGE.length}\r\n\r\n${LARGE}`,
  `POST /<id> HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n4e20\r\n${LARGE}\r\n`, '0\r\n\r\n', '1\r\nx\r\n',
  'POST /<id> HTTP/1.1\r\nhost: acme.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n', 'HEAD /<id> HTTP/1.0\r\nhost: acme.test\r\nconnection: keep-alive\r\n\r\n',
  'GET /<id> HTTP/1.1\r\nhost: unknown.test\r\n\r\n', '\r\n', '\x00', LARGE,
] as const;

/** `<id>` becomes what the request said. */
const UPSTREAM_BYTES = [
  'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<id>', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n', '<id>', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n<id>\r\n', '0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'HTTP/1.0 200 OK\r\n\r\n<id>', `HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n${LARGE}`, 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n', '\r\n', LARGE,
] as const;

const STEP = fc.oneof(
  fc.record({who: fc.constant('client' as const), index: fc.nat(2), act: fc.constantFrom(...CLIENT_BYTES)}),
  fc.record({who: fc.constant('upstream' as const), index: fc.nat(3), act: fc.constantFrom(...UPSTREAM_BYTES)}),
  fc.record({who: fc.constantFrom('client' as const, 'upstream' as const), index: fc.nat(2), act: fc.constantFrom('<end>', '<reset>', '<pause>', '<resume>')}),
  fc.record({who: fc.constant('time' as const), index: fc.constantFrom(100, 5_000, 31_000, 61_000, 80_000), act: fc.constant('')}),
  fc.record({who: fc.constant('reload' as const), index: fc.nat(2), act: fc.constant('')}),
);

const upstream = await FakeUpstream.start({after});
upstream.isParsing = false;

function act(socket: RawClient['socket'], what: string): void {
  if (what === '<end>') socket.end();
  else if (what === '<reset>') socket.resetAndDestroy();
  else if (what === '<pause>') socket.pause();
  else if (what === '<resume>') socket.resume();
  else if (socket.writable) socket.write(what, 'latin1');
}

interface Actors {
  readonly proxy: ProxyHarness;
  readonly clients: RawClient[];
  readonly hooks: (() => void | Promise<void>)[];
}

async function perform({proxy, clients, hooks}: Actors, {who, index, act: what}: {readonly who: string; readonly index: number; readonly act: string}): Promise<void> {
  const context = {after: (hook: () => void) => { hooks.push(hook); }} as unknown as TestContext;
  if (who === 'client') {
    if (clients[index] === undefined || clients[index].end !== 'none') {
      clients[index]?.destroy();
      clients[index] = await proxy.connect(context);
    }
    act(clients[index].socket, what.replaceAll('<id>', `c${index}`));
  } else if (who === 'upstream') {
    const open = upstream.peers.filter((peer) => peer.isOpen);
    const peer = open[index % Math.max(open.length, 1)];
    if (peer !== undefined) act(peer.socket, what.replaceAll('<id>', idOf(peer)));
  } else if (who === 'time') proxy.pass(index);
  else await proxy.reload({customers: [acme([upstream.port], {route: {requestBufferBytes: 10_000}, pool: {connectionsMax: 2 + index}})]});
  await settle(1);
}

/** Four letters that name the client whose request came last over this connection. */
function idOf(peer: UpstreamPeer): string {
  return `=${/\/(c[0-9]) HTTP[^]*$/.exec(peer.received)?.[1] ?? 'c?'}=`;
}

testAsyncProperty('nothing that clients and applications do leaves anything behind', fc.asyncProperty(fc.array(STEP, {minLength: 3, maxLength: 25}), async (steps) => {
  const hooks: (() => void | Promise<void>)[] = [];
  const scope = {after: (hook: () => void | Promise<void>) => { hooks.push(hook); }};
  upstream.peers.length = 0;
  upstream.onPeer = (peer) => { peer.socket.on('data', (chunk: Buffer) => { peer.read(chunk.toString('latin1')); }); };
  const proxy = await ProxyHarness.start(scope, {customers: [acme([upstream.port], {route: {requestBufferBytes: 10_000}, pool: {connectionsMax: 3}})]});
  const actors: Actors = {proxy, clients: [], hooks};
  try {
    for (const step of steps) await perform(actors, step);
    assert.deepEqual(proxy.reports, []);
    for (const [index, client] of actors.clients.entries()) {
      const strangers = [...(client?.received ?? '').matchAll(/=(c[0-9])=/g)].map(([, id]) => id).filter((id) => id !== `c${index}`);
      assert.deepEqual(strangers, [], 'no response of another client');
    }
    for (const client of actors.clients) client?.destroy();
    for (const peer of upstream.peers) peer.socket.resume();
    await eventually('no client is left', () => proxy.proxy.openConnections === 0 && proxy.counter('connectionsOpened') === proxy.counter('connectionsClosed'));
    await eventually('no request is left', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
    proxy.pass(600_000);
    for (const kind of PLACE_KINDS) assert.deepEqual([kind, proxy.placesOf(kind), proxy.placesOf(kind, 'acme'), proxy.placeOfClient(kind)], [kind, 0, 0, 0]);
    await eventually('no upstream connection is left', () => proxy.slot('acme', 'app', upstream.port).connections === 0);
    assert.equal(proxy.counter('upstreamConnectionsOpened'), proxy.counter('upstreamConnectionsClosed'));
    assert.deepEqual(proxy.reports, []);
    upstream.onPeer = (peer) => { peer.socket.once('data', () => { peer.send(OK); }); };
    const last = await proxy.connect({after: (hook: () => void) => { hooks.push(hook); }} as unknown as TestContext);
    last.send(PROBE);
    assert.equal((await last.response()).body, 'ok', 'the next client is served');
  } finally {
    for (const peer of upstream.peers) peer.socket.destroy();
    for (const hook of hooks.reverse()) await hook();
  }
}), 40);
