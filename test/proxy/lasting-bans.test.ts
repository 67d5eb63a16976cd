/** What may last for as long as its client likes: who is banned meanwhile does not keep it. WebSockets are in `websocket/bans.test.ts`. */
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, type UpstreamPeer} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {acme} from '#test/support/snapshots.ts';
import {call, connect, start} from '#test/upstream/grpc-stage.ts';

const BANNED = '127.9.0.1', OTHER = '127.8.0.1';
const HOUR_MS = 3_600_000;
const LOOK_MS = 2_000;

function head(type: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`;
}

interface Asked {
  readonly client: RawClient;
  readonly peer: UpstreamPeer;
}

async function startStage(context: TestContext): Promise<{readonly proxy: ProxyHarness; readonly ask: (address: string) => Promise<Asked>}> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => null;
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const ask = async (address: string): Promise<Asked> => {
    const client = await proxy.connect(context, 'http', address);
    client.send('GET /events HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    return {client, peer: (await upstream.nextRequest()).peer};
  };
  return {proxy, ask};
}

async function answer({client, peer}: Asked, type = 'text/event-stream'): Promise<void> {
  peer.send(head(type));
  await eventually('the head is there', () => client.received.endsWith('\r\n\r\n'));
}

async function assertGoesOn({client, peer}: Asked): Promise<void> {
  peer.send('2\r\nhi\r\n');
  await eventually('more of it comes', () => client.received.endsWith('2\r\nhi\r\n'));
}

suite('an event stream', () => {
  for (const [by, customer] of [['from the node', null], ['by its customer', 'acme']] as const) {
    test(`ends for a client that is banned ${by}, and for nobody else`, async (context) => {
      const {proxy, ask} = await startStage(context);
      const banned = await ask(BANNED), other = await ask(OTHER);
      await answer(banned);
      await answer(other);
      proxy.pass(LOOK_MS);
      proxy.ban(BANNED, HOUR_MS, customer);
      proxy.pass(LOOK_MS);
      await banned.client.ended();
      await eventually('the application hears of it', () => !banned.peer.isOpen);
      await assertGoesOn(other);
      assert.deepEqual([proxy.faults(), (await proxy.nextLogLine())['fault']], [{client_banned_here: 1}, 'client_banned_here']);
    });
  }

  test('of a client that was banned before it began', async (context) => {
    const {proxy, ask} = await startStage(context);
    const banned = await ask(BANNED);
    proxy.ban(BANNED, HOUR_MS);
    proxy.pass(LOOK_MS);
    await answer(banned);
    proxy.pass(LOOK_MS);
    await banned.client.ended();
    assert.deepEqual(proxy.faults(), {client_banned_here: 1});
  });

  test('any other response is finished', async (context) => {
    const {proxy, ask} = await startStage(context);
    const banned = await ask(BANNED);
    await answer(banned, 'text/plain');
    proxy.ban(BANNED, HOUR_MS);
    proxy.pass(LOOK_MS);
    await settle();
    await assertGoesOn(banned);
    assert.deepEqual(proxy.faults(), {});
  });
});

test('a call of gRPC ends with a status, whether it is answered or not', async (context) => {
  const {proxy, application, session} = await start(context);
  application.respond = () => undefined;
  const banned = connect(context, proxy, BANNED);
  const [begun, waiting, other] = [call(banned), call(banned), call(session)];
  for (const [index, {stream}] of [begun, waiting, other].entries()) stream.write(String(index));
  await eventually('all are there', () => application.requests.filter(({body}) => body !== '').length === 3);
  application.requests.find(({body}) => body === '0')?.stream.respond({':status': 200, 'content-type': 'application/grpc'});
  await eventually('the first is answered', () => begun.head[':status'] !== undefined);
  proxy.ban(BANNED, HOUR_MS);
  proxy.pass(LOOK_MS);
  await eventually('both are over', () => begun.isOver && waiting.isOver);
  await eventually('the application hears of it', () => application.requests.filter(({stream}) => stream.destroyed).length === 2);
  assert.deepEqual([begun.trailers['grpc-status'], waiting.head['grpc-status'], other.isOver], ['7', '7', false]);
  assert.deepEqual(proxy.faults(), {client_banned_here: 2});
});
