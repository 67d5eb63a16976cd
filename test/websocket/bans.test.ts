/** A tunnel may last for days: who is banned meanwhile does not keep it. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {eventually, settle} from '#test/support/eventually.ts';
import type {UpstreamPeer} from '#test/support/fake-upstream.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {node} from '#test/support/snapshots.ts';
import {acceptance, handshake, startStage, type Stage} from '#test/websocket/handshakes.ts';

const HOUR_MS = 3_600_000;

async function openFrom(context: TestContext, {proxy, upstream}: Stage, address: string): Promise<{readonly client: RawClient; readonly peer: UpstreamPeer}> {
  const client = await proxy.connect(context, 'http', address);
  client.send(handshake());
  assert.equal(statusOf(await client.response()), 101);
  const {peer} = await upstream.nextRequest();
  peer.received = '';
  return {client, peer};
}

for (const [by, customer] of [['from the node', null], ['by its customer', 'acme']] as const) {
  test(`a client that is banned ${by} loses its tunnels, and nobody else does`, async (context) => {
    const stage = await startStage(context), {proxy} = stage;
    const banned = await openFrom(context, stage, '127.9.0.1'), other = await openFrom(context, stage, '127.8.0.1');
    proxy.pass(1_000);
    await settle();
    assert.equal(banned.client.end, 'none');
    proxy.ban('127.9.0.0/24', HOUR_MS, customer);
    proxy.pass(1_000);
    await banned.client.ended();
    await eventually('the application hears of it', () => !banned.peer.isOpen);
    other.client.send('still here');
    await eventually('the other one stands', () => other.peer.received === 'still here');
    assert.deepEqual([proxy.faults(), (await proxy.nextLogLine())['fault']], [{client_banned_here: 1}, 'client_banned_here']);
  });
}

test('a client that is banned while the application takes its time gets no tunnel', async (context) => {
  const stage = await startStage(context), {proxy, upstream} = stage;
  upstream.respond = () => null;
  const client = await proxy.connect(context, 'http', '127.9.0.1');
  client.send(handshake());
  const {peer} = await upstream.nextRequest();
  proxy.ban('127.9.0.1', HOUR_MS);
  proxy.pass(2_000);
  peer.send(acceptance());
  assert.equal(statusOf(await client.response()), 403);
  await client.ended();
  await eventually('the application hears of it', () => !peer.isOpen);
  assert.deepEqual(proxy.faults(), {client_banned_here: 1});
});

test('a client that could not be banned, and can be after a reload, loses its tunnels', async (context) => {
  const stage = await startStage(context), {proxy} = stage;
  await proxy.reload({node: node({bans: {allow: ['127.9.0.1']}})});
  proxy.ban('127.9.0.0/24', HOUR_MS);
  const {client} = await openFrom(context, stage, '127.9.0.1');
  proxy.pass(2_000);
  await settle();
  assert.equal(client.end, 'none');
  await proxy.reload({node: node()});
  proxy.pass(2_000);
  await client.ended();
  assert.deepEqual(proxy.faults(), {client_banned_here: 1});
});

test('a ban by another customer ends no tunnel, nor does one that is over', async (context) => {
  const stage = await startStage(context), {proxy} = stage;
  const {client, peer} = await openFrom(context, stage, '127.9.0.1');
  proxy.ban('127.9.0.1', HOUR_MS, 'globex');
  proxy.ban('127.9.0.1', 500);
  proxy.pass(1_000);
  await settle();
  client.send('still here');
  await eventually('it stands', () => peer.received === 'still here');
  assert.deepEqual(proxy.faults(), {});
});
