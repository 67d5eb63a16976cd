/** Requests in flight of one client network, whatever they come over. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import type {NodeSnapshot} from '#src/config/snapshot.ts';
import {startStage, type Stage} from '#test/http2-edge/stage.ts';
import {request} from '#test/http2/frames.ts';
import {PROBE, assertServes} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {node as makeNode} from '#test/support/snapshots.ts';

const MAX = 3;

async function start(context: TestContext, node: Partial<NodeSnapshot> = {}): Promise<Stage> {
  return startStage(context, {node: {caps: {...makeNode().caps, requestsPerClientMax: MAX}, ...node}});
}

/** So many requests that the application does not answer. */
async function hold(context: TestContext, {proxy, upstream}: Stage, count: number): Promise<readonly RawClient[]> {
  upstream.respond = () => null;
  const before = upstream.requests.length;
  const clients = await Promise.all(Array.from({length: count}, () => proxy.connect(context)));
  for (const client of clients) client.send(PROBE);
  await eventually('all are in flight', () => upstream.requests.length === before + count);
  upstream.respond = () => OK;
  return clients;
}

async function statusFrom(context: TestContext, {proxy}: Stage, address: string): Promise<number> {
  const client = await proxy.connect(context, 'http', address);
  client.send(PROBE);
  return statusOf(await client.response());
}

/** Everything has been given back, in every count. */
async function assertNothingLeft({proxy}: Stage): Promise<void> {
  await eventually('all places are free', () => proxy.placesOf('requests') === 0);
  assert.deepEqual([proxy.placesOf('requests', 'acme'), proxy.placeOfClient('requests')], [0, 0]);
}

test('requests_per_client: one more than the cap gets 429, reaches nobody, and is nobody else\'s matter', async (context) => {
  const stage = await start(context), {proxy, upstream} = stage;
  const held = await hold(context, stage, MAX);
  assert.equal(proxy.placeOfClient('requests'), MAX);
  const before = upstream.bytesReceived;
  const client = await proxy.connect(context);
  client.send(PROBE);
  const refusal = await client.response();
  assert.deepEqual([statusOf(refusal), fieldOf(refusal, 'retry-after'), fieldOf(refusal, 'connection')], [429, '5', undefined]);
  assert.equal(upstream.bytesReceived, before, 'nothing reached the application');
  assert.equal(await statusFrom(context, stage, '127.0.0.2'), 200, 'another client is served');
  assert.deepEqual(proxy.faults(), {requests_per_client: 1});
  for (const {peer} of upstream.requests.slice(0, MAX)) peer.send(OK);
  for (const each of held) assert.equal(statusOf(await each.response()), 200);
  client.send(PROBE);
  assert.equal(statusOf(await client.response()), 200, 'its connection goes on');
  await assertNothingLeft(stage);
  await assertServes(context, stage);
});

test('requests_per_client: streams of one connection count like requests of many', async (context) => {
  const stage = await start(context), {proxy, upstream} = stage;
  const client = await Http2Client.open(context, proxy);
  upstream.respond = () => null;
  client.send(...[1, 3, 5, 7].map((id) => request(id, GET)));
  assert.equal((await client.response(7)).status, 429);
  await eventually('the others are in flight', () => upstream.requests.length === MAX);
  assert.deepEqual(proxy.faults(), {requests_per_client: 1});
  for (const {peer} of upstream.requests) peer.send(OK);
  for (const id of [1, 3, 5]) assert.equal((await client.response(id)).status, 200);
  upstream.respond = () => OK;
  assert.equal((await client.ask(9)).status, 200);
  await assertNothingLeft(stage);
  await assertServes(context, stage);
});

describe('a place is free again', () => {
  test('when the clients go away', async (context) => {
    const stage = await start(context);
    for (const client of await hold(context, stage, MAX)) client.destroy();
    await assertNothingLeft(stage);
    assert.equal(await statusFrom(context, stage, '127.0.0.1'), 200);
  });

  test('when the connection of many requests goes away', async (context) => {
    const stage = await start(context), {proxy, upstream} = stage;
    const client = await Http2Client.open(context, proxy);
    upstream.respond = () => null;
    client.send(...[1, 3, 5].map((id) => request(id, GET)));
    await eventually('they are in flight', () => upstream.requests.length === MAX);
    client.destroy();
    await assertNothingLeft(stage);
  });

  test('when the application breaks off', async (context) => {
    const stage = await start(context), {upstream} = stage;
    const clients = await hold(context, stage, MAX);
    upstream.respond = () => 'nonsense\r\n\r\n';
    for (const {peer} of upstream.requests) peer.send('nonsense\r\n\r\n');
    for (const client of clients) assert.equal(statusOf(await client.response()), 502);
    await assertNothingLeft(stage);
  });

  test('when the customer or the node has no place for the request', async (context) => {
    const stage = await start(context, {caps: {...makeNode().caps, requestsMax: 1, requestsPerClientMax: MAX, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30}});
    await hold(context, stage, 1);
    assert.equal(await statusFrom(context, stage, '127.0.0.1'), 503);
    assert.deepEqual([stage.proxy.placesOf('requests'), stage.proxy.placeOfClient('requests')], [1, 1]);
    assert.deepEqual(stage.proxy.faults(), {requests_total: 1});
  });
});

test('behind a trusted proxy each client counts for itself, and who is not trusted cannot count for another', async (context) => {
  const stage = await start(context, {trustedProxies: ['127.0.0.1/32']}), {proxy, upstream} = stage;
  const ask = async (address: string, forwarded: string): Promise<RawClient> => {
    const client = await proxy.connect(context, 'http', address);
    client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\nx-forwarded-for: ${forwarded}\r\n\r\n`);
    return client;
  };
  upstream.respond = () => null;
  for (let i = 0; i < MAX; i++) await ask('127.0.0.1', '192.0.2.7');
  await eventually('they are in flight', () => proxy.placeOfClient('requests', '192.0.2.7') === MAX);
  assert.equal(proxy.placeOfClient('requests'), 0, 'none is the proxy\'s own');
  assert.equal(statusOf(await (await ask('127.0.0.1', '192.0.2.7')).response()), 429);
  upstream.respond = () => OK;
  assert.equal(statusOf(await (await ask('127.0.0.1', '192.0.2.8')).response()), 200);
  assert.equal(statusOf(await (await ask('127.0.0.2', '192.0.2.7')).response()), 200, 'it is itself');
});

test('a cap that a reload changes counts those in flight', async (context) => {
  const stage = await start(context), {proxy} = stage;
  await hold(context, stage, MAX);
  await proxy.reload({node: {...proxy.node, caps: {...proxy.node.caps, requestsPerClientMax: MAX + 1}}});
  await hold(context, stage, 1);
  assert.equal(await statusFrom(context, stage, '127.0.0.1'), 429);
});
