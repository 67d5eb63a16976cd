/** What the process holds in memory for clients: what is counted, when it is too much, and that nothing is left. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {CapsSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {data, frame, literals, request, upload} from '#test/http2/frames.ts';
import {startStage, type Stage, type StageOptions} from '#test/http2-edge/stage.ts';
import {PROBE, assertServes} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {OK, type FakeUpstream} from '#test/support/fake-upstream.ts';
import {GET, Http2Client, POST} from '#test/support/http2-client.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {customer, node as makeNode, pool, route, site} from '#test/support/snapshots.ts';
import {WEBSOCKET, accept, handshake} from '#test/websocket/handshakes.ts';

const BLOCK = LIMITS.heldBlockBytes;
const MIB = 1024 * 1024;

async function start(context: TestContext, caps: Partial<CapsSnapshot> = {}, options: StageOptions = {}): Promise<Stage> {
  return startStage(context, {node: {caps: {...makeNode().caps, ...caps}}, ...options});
}

/** Blocks of the node, of the client network and of the customer. */
function blocksOf(proxy: ProxyHarness): readonly number[] {
  return [proxy.placesOf('buffers'), proxy.placeOfClient('buffers'), proxy.placesOf('buffers', 'acme')];
}

/** What is held now, once nothing changes any more. */
async function measure(proxy: ProxyHarness): Promise<number> {
  let before = -1;
  for (;;) {
    await settle();
    proxy.proxy.tick();
    const [blocks = 0, ...others] = blocksOf(proxy);
    assert.deepEqual(others, [blocks, blocks], 'the three agree');
    if (blocks === before) return blocks;
    before = blocks;
  }
}

async function assertNothingHeld(proxy: ProxyHarness): Promise<void> {
  await eventually('nothing is held', () => {
    proxy.proxy.tick();
    return blocksOf(proxy).every((blocks) => blocks === 0);
  });
}

/** A body that has begun, of so many blocks of its length. */
async function collect(context: TestContext, {proxy}: Stage, blocks: number, host = 'acme.test', length = 65_536): Promise<RawClient> {
  const before = proxy.placesOf('buffers');
  const client = await proxy.connect(context);
  client.send(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(blocks * BLOCK)}`);
  await eventually('it is held', () => proxy.placesOf('buffers') === before + blocks || client.received !== '');
  return client;
}

/** So many blocks behind a request that is not answered. */
async function pipeline(context: TestContext, {proxy, upstream}: Stage, blocks: number): Promise<RawClient> {
  const before = proxy.placesOf('buffers'), requests = upstream.requests.length;
  const client = await proxy.connect(context);
  upstream.respond = () => null;
  client.send(PROBE + 'x'.repeat(blocks * BLOCK));
  await eventually('it is held', () => {
    proxy.proxy.tick();
    return proxy.placesOf('buffers') === before + blocks && upstream.requests.length > requests;
  });
  upstream.respond = () => OK;
  return client;
}

async function ask(context: TestContext, {proxy}: Stage, host = 'acme.test', address?: string): Promise<number> {
  const client = await proxy.connect(context, 'http', address);
  client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  const status = statusOf(await client.response());
  client.destroy();
  return status;
}

function globex({port}: FakeUpstream): readonly CustomerSnapshot[] {
  return [customer('globex', {pools: [pool('app', [port])], sites: [site(['globex.test'], [route('/')])]})];
}

/** A response that the client asks for and does not read. */
async function stall(context: TestContext, {proxy, upstream}: Stage): Promise<RawClient> {
  const client = await proxy.connect(context);
  client.socket.pause();
  upstream.respond = ({peer}) => {
    peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${32 * MIB}\r\n\r\n`);
    for (let i = 0; i < 32; i++) peer.send('x'.repeat(MIB));
    return null;
  };
  client.send(PROBE);
  await upstream.nextRequest();
  upstream.respond = () => OK;
  return client;
}

describe('what counts', () => {
  test('a response that its client does not read, until it does', async (context) => {
    const stage = await start(context), {proxy} = stage;
    const client = await stall(context, stage);
    assert.ok(await measure(proxy) >= 64 * 1024 / BLOCK);
    client.socket.resume();
    await eventually('all of it has come', () => client.received.length > 32 * MIB);
    await assertNothingHeld(proxy);
    assert.deepEqual(proxy.faults(), {});
  });

  test('responses over HTTP/2 whose windows are shut, also when their requests are answered', async (context) => {
    const stage = await start(context), {proxy, upstream} = stage;
    upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n${'x'.repeat(90_000)}`;
    const client = await Http2Client.open(context, proxy);
    client.send(...[1, 3, 5, 7].map((id) => request(id, GET)));
    await eventually('all are on their way', () => upstream.requests.length === 4);
    const blocks = await measure(proxy);
    // Of 360,000 bytes the first 65,535 have left.
    assert.ok(blocks >= 200_000 / BLOCK && blocks <= 300_000 / BLOCK, `${blocks} blocks`);
    client.destroy();
    await assertNothingHeld(proxy);
  });

  test('a body that is collected, at once and by its blocks', async (context) => {
    const stage = await start(context), {proxy} = stage;
    const client = await collect(context, stage, 3);
    assert.deepEqual(blocksOf(proxy), [3, 3, 3]);
    client.send('x'.repeat(BLOCK));
    await eventually('a block more', () => proxy.placesOf('buffers') === 4);
    client.destroy();
    await assertNothingHeld(proxy);
  });

  test('a body that is kept for another attempt, until its answer', async (context) => {
    const stage = await start(context), {proxy, upstream} = stage;
    upstream.respond = () => null;
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${5 * BLOCK}\r\n\r\n${'x'.repeat(5 * BLOCK)}`);
    const {peer} = await upstream.nextRequest();
    assert.equal(await measure(proxy), 5);
    peer.send(OK);
    assert.equal(statusOf(await client.response()), 200);
    assert.deepEqual(blocksOf(proxy), [0, 0, 0]);
  });

  test('a body that the application does not take', async (context) => {
    const stage = await start(context, {}, {acme: {route: {maxBodyBytes: 64 * MIB}}}), {proxy, upstream} = stage;
    upstream.onPeer = ({socket}) => { socket.pause(); };
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${32 * MIB}\r\n\r\n`);
    for (let i = 0; i < 32; i++) client.send('x'.repeat(MIB));
    assert.ok(await measure(proxy) >= 64 * 1024 / BLOCK);
    upstream.peers[0]?.socket.destroy();
    await assertNothingHeld(proxy);
  });

  test('bodies over HTTP/2 that the application does not take', async (context) => {
    const stage = await start(context, {}, {acme: {route: {maxBodyBytes: 64 * MIB}}}), {proxy, upstream} = stage;
    upstream.onPeer = ({socket}) => { socket.pause(); };
    const client = await Http2Client.open(context, proxy);
    client.send(upload(1, POST));
    const granted = (streamId: number): number => client.frames.filter((each) => each.type === FRAME.WINDOW_UPDATE && each.streamId === streamId).reduce((sum, {payload}) => sum + payload.readUInt32BE(0), 0);
    const piece = 'x'.repeat(LIMITS.h2FrameBytesMax);
    for (let sent = 0, idle = 0; idle < 10;) {
      const window = Math.min(65_535 + granted(0), LIMITS.h2StreamWindowBytes + granted(1)) - sent;
      idle = window < piece.length ? idle + 1 : 0;
      if (idle > 0) await settle();
      else {
        client.send(data(1, piece));
        sent += piece.length;
      }
    }
    assert.ok(await measure(proxy) >= 64 * 1024 / BLOCK);
    client.destroy();
    await assertNothingHeld(proxy);
  });

  test('requests behind the one that is being answered, and a head that does not end', async (context) => {
    const stage = await start(context), {proxy, upstream} = stage;
    upstream.respond = () => null;
    const client = await proxy.connect(context);
    client.send(PROBE + PROBE.repeat(Math.ceil(2.5 * BLOCK / PROBE.length)));
    await eventually('one is asked', () => upstream.requests.length === 1);
    assert.equal(await measure(proxy), 2);
    const other = await proxy.connect(context);
    other.send(`GET / HTTP/1.1\r\nhost: acme.test\r\nx-a: ${'a'.repeat(3 * BLOCK)}`);
    await eventually('it is held for nobody yet', () => {
      proxy.proxy.tick();
      return proxy.placesOf('buffers') === 5;
    });
    assert.deepEqual(blocksOf(proxy), [5, 5, 2]);
    for (const each of [client, other]) each.destroy();
    await assertNothingHeld(proxy);
  });

  test('fields over HTTP/2 that do not end', async (context) => {
    const {proxy} = await start(context);
    const client = await Http2Client.open(context, proxy);
    client.send(frame(FRAME.HEADERS, FLAG.END_STREAM, 1, literals([...GET, ['x-a', 'a'.repeat(2 * BLOCK)]])));
    assert.equal(await measure(proxy), 2);
    client.destroy();
    await assertNothingHeld(proxy);
  });

  test('what goes through a WebSocket, in either direction', async (context) => {
    const stage = await start(context, {}, {acme: {route: {websocket: WEBSOCKET}}}), {proxy, upstream} = stage;
    upstream.respond = accept;
    const client = await proxy.connect(context);
    client.send(handshake());
    await client.response();
    const {peer} = await upstream.nextRequest();
    peer.socket.pause();
    for (let i = 0; i < 32; i++) client.send('x'.repeat(MIB));
    assert.ok(await measure(proxy) >= 64 * 1024 / BLOCK, 'the application does not read');
    const before = proxy.placesOf('buffers');
    client.socket.pause();
    for (let i = 0; i < 32; i++) peer.send('x'.repeat(MIB));
    assert.ok(await measure(proxy) >= before + 64 * 1024 / BLOCK, 'nor the client');
    client.destroy();
    await assertNothingHeld(proxy);
  });

  test('not what passes through, however large it is', async (context) => {
    const stage = await start(context), {proxy, upstream} = stage;
    upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: ${4 * MIB}\r\n\r\n${'x'.repeat(4 * MIB)}`;
    for (const client of [await proxy.connect(context), await proxy.connectTls(context, {servername: 'acme.test'})]) {
      client.send(PROBE);
      await eventually('all of it has come', () => client.received.length > 4 * MIB);
    }
    assert.deepEqual(blocksOf(proxy), [0, 0, 0]);
    await assertNothingHeld(proxy);
  });
});

describe('when it is too much', () => {
  const CAP = 8;
  const SCOPES = [
    {fault: 'buffers_total', status: 503, caps: {bufferedBytesMax: CAP * BLOCK}, acme: {}, asked: [['acme.test', '127.0.0.1', false], ['acme.test', '127.0.0.2', false]]},
    {fault: 'buffers_per_client', status: 429, caps: {bufferedBytesPerClientMax: CAP * BLOCK}, acme: {}, asked: [['acme.test', '127.0.0.1', false], ['globex.test', '127.0.0.1', false], ['acme.test', '127.0.0.2', true]]},
    {fault: 'buffers_per_customer', status: 503, caps: {}, acme: {bufferedBytesMax: CAP * BLOCK}, asked: [['acme.test', '127.0.0.1', false], ['globex.test', '127.0.0.1', true], ['acme.test', '127.0.0.2', false]]},
  ] as const;
  for (const {fault, status, caps, acme: acmeCaps, asked} of SCOPES) {
    test(`${fault}: at the cap new requests are refused and reach nobody, and whoever is not meant is served`, async (context) => {
      // With another customer there would be shares.
      const stage = await start(context, caps, fault === 'buffers_total' ? {} : {customers: globex}), {proxy, upstream} = stage;
      await proxy.reload({customers: proxy.customers.map((each) => (each.name === 'acme' ? {...each, caps: {...each.caps, ...acmeCaps}} : each))});
      const first = await collect(context, stage, CAP / 2), second = await collect(context, stage, CAP / 2 - 1, 'acme.test', CAP / 2 * BLOCK + 1);
      assert.equal(await ask(context, stage), 200, 'there is a block left');
      second.send('x'.repeat(BLOCK));
      await eventually('there is none', () => proxy.placesOf('buffers') === CAP);

      const before = upstream.bytesReceived;
      const client = await proxy.connect(context);
      client.send(PROBE);
      const refusal = await client.response();
      assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after'), fieldOf(refusal, 'connection')], [status, '5', undefined]);
      assert.equal(upstream.bytesReceived, before, 'nothing reached the application');
      for (const [host, address, isServed] of asked) assert.equal(await ask(context, stage, host, address), isServed ? 200 : status);
      const refused = 1 + asked.filter(([,, isServed]) => !isServed).length;
      assert.deepEqual(proxy.faults(), {[fault]: refused});

      first.send('x'.repeat(BLOCK));
      assert.equal(statusOf(await first.response()), status, 'a body that would be more is refused in its middle');
      first.destroy();
      assert.deepEqual(proxy.faults(), {[fault]: refused + 1});
      client.send(PROBE);
      assert.equal(statusOf(await client.response()), 200, 'what it held is free');
      second.send('x');
      assert.equal(statusOf(await second.response()), 200, 'who was there before goes on');
      await assertNothingHeld(proxy);
      await assertServes(context, stage);
    });
  }

  test('buffers_per_client: clients that do not read their responses are bounded together, whatever they come over', async (context) => {
    const stage = await start(context, {bufferedBytesPerClientMax: 64 * 1024}), {proxy} = stage;
    const stalled = await stall(context, stage);
    await measure(proxy);
    assert.deepEqual([await ask(context, stage), await ask(context, stage, 'acme.test', '127.0.0.2')], [429, 200]);
    const client = await Http2Client.open(context, proxy);
    assert.equal((await client.ask(1)).status, 429);
    stalled.destroy();
    await eventually('it is gone', () => proxy.placesOf('buffers') === 0);
    assert.equal((await client.ask(3)).status, 200);
    assert.deepEqual(proxy.faults(), {buffers_per_client: 2, client_gone: 1});
    await assertServes(context, stage);
  });

  for (const [fault, status, caps] of [['buffers_total', 503, {bufferedBytesMax: 3 * BLOCK}], ['buffers_per_client', 429, {bufferedBytesPerClientMax: 3 * BLOCK}]] as const) {
    test(`${fault}: heads that do not end are refused before they are more than the cap, whoever they are for`, async (context) => {
      const stage = await start(context, caps), {proxy, upstream} = stage;
      const clients = await Promise.all([0, 1, 2].map(() => proxy.connect(context)));
      for (const [index, client] of clients.entries()) {
        client.send(`GET / HTTP/1.1\r\nx-a: ${'a'.repeat(BLOCK)}`);
        await eventually('it is held', () => proxy.placesOf('buffers') === index + 1);
      }
      assert.deepEqual(clients.map(({received}) => received), ['', '', '']);
      const [client = assert.fail(), ...others] = clients;
      client.send('a'.repeat(BLOCK));
      const refusal = await client.response();
      assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after'), fieldOf(refusal, 'connection')], [status, '5', 'close']);
      assert.deepEqual([await client.ended(), upstream.bytesReceived, proxy.faults()], ['orderly', 0, {[fault]: 1}]);
      proxy.proxy.tick();
      for (const other of others) {
        other.send('\r\nhost: acme.test\r\n\r\n');
        assert.equal(statusOf(await other.response()), 200, 'there is room again, and others go on');
      }
      await assertNothingHeld(proxy);
      await assertServes(context, stage);
    });
  }

  test('buffer_share_exceeded: one borrows what is idle and is refused in the reserve, and the other one is served whenever it comes', async (context) => {
    const stage = await start(context, {bufferedBytesMax: 40 * BLOCK}, {customers: globex}), {proxy, upstream} = stage;
    await collect(context, stage, 15);
    await collect(context, stage, 15);
    assert.equal(await ask(context, stage), 200, 'it has what is shared freely');
    await pipeline(context, stage, 2);
    proxy.pass(LIMITS.shareLevelMs);
    assert.equal(await ask(context, stage), 503);
    const before = upstream.bytesReceived;
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 4096\r\n\r\n${'x'.repeat(BLOCK)}`);
    const refusal = await client.response();
    assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after')], [503, '5']);
    assert.equal(upstream.bytesReceived, before, 'nothing reached the application');
    assert.equal(await ask(context, stage, 'globex.test'), 200);
    const other = await collect(context, stage, 8, 'globex.test');
    assert.deepEqual([other.received, proxy.placesOf('buffers', 'globex')], ['', 8]);
    assert.deepEqual(proxy.faults(), {buffer_share_exceeded: 2});
  });

  test('further requests that come with one and are more than the cap: no more is read until it is answered', async (context) => {
    const stage = await start(context, {bufferedBytesPerClientMax: 2 * BLOCK}), {proxy, upstream} = stage;
    const client = await pipeline(context, stage, 3);
    client.send('x'.repeat(BLOCK));
    assert.equal(await measure(proxy), 3);
    upstream.requests[0]?.peer.send(OK);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(statusOf(await client.response()), 400, 'the bytes behind it are read');
    await assertNothingHeld(proxy);
  });

  test('a connection that goes on with another customer takes what it holds along', async (context) => {
    const stage = await start(context, {}, {customers: globex}), {proxy, upstream} = stage;
    upstream.respond = () => null;
    const client = await proxy.connect(context);
    client.send(PROBE + 'GET / HTTP/1.1\r\nhost: globex.test\r\n\r\n' + PROBE.repeat(Math.ceil(3.5 * BLOCK / PROBE.length)));
    await eventually('one is asked', () => upstream.requests.length === 1);
    proxy.proxy.tick();
    assert.deepEqual([proxy.placesOf('buffers', 'acme'), proxy.placesOf('buffers', 'globex')], [3, 0]);
    upstream.requests[0]?.peer.send(OK);
    await eventually('the other one is asked', () => upstream.requests.length === 2);
    proxy.proxy.tick();
    assert.deepEqual([proxy.placesOf('buffers', 'acme'), proxy.placesOf('buffers', 'globex')], [0, 3]);
    client.destroy();
    await assertNothingHeld(proxy);
    assert.equal(proxy.placesOf('buffers', 'globex'), 0);
  });

  test('a body over HTTP/2 that would be more is refused in its middle, and its connection goes on', async (context) => {
    const stage = await start(context, {bufferedBytesMax: 4 * BLOCK}), {proxy, upstream} = stage;
    const client = await Http2Client.open(context, proxy);
    const before = upstream.bytesReceived;
    client.send(upload(1, POST), data(1, 'x'.repeat(4 * BLOCK)));
    await eventually('it is held', () => proxy.placesOf('buffers') === 4);
    client.send(data(1, 'x'.repeat(BLOCK)));
    assert.equal((await client.response(1)).status, 503);
    assert.equal(upstream.bytesReceived, before, 'nothing reached the application');
    assert.deepEqual(blocksOf(proxy), [0, 0, 0]);
    assert.equal((await client.ask(3)).status, 200);
    assert.deepEqual(proxy.faults(), {buffers_total: 1});
    await assertServes(context, stage);
  });
});
