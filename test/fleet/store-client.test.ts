/** The connection to a store that is not what it should be. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import {describe, test, type TestContext} from 'node:test';
import {STORE_TIMINGS, StoreClient, type StoreClientOptions} from '#src/control/store-client.ts';
import {eventually, settle} from '#test/support/eventually.ts';

interface Fake {
  readonly port: number;
  readonly sockets: net.Socket[];
  received: string;
  /** What it says to whatever it hears. */
  answer: (heard: string) => string;
}

async function startFake(context: TestContext): Promise<Fake> {
  const fake: {-readonly [K in keyof Fake]: Fake[K]} = {port: 0, sockets: [], received: '', answer: (heard) => '+OK\r\n'.repeat(heard.split('*').length - 1)};
  const server = net.createServer((socket) => {
    fake.sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      fake.received += bytes.toString('latin1');
      const answer = fake.answer(bytes.toString('latin1'));
      if (answer !== '') socket.write(answer);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    for (const socket of fake.sockets) socket.destroy();
    server.close();
  });
  fake.port = (server.address() as net.AddressInfo).port;
  return fake;
}

interface Stage {
  readonly client: StoreClient;
  readonly reasons: string[];
  ready: number;
}

function start(context: TestContext, port: number, overrides: Partial<StoreClientOptions> = {}, login: {user: string | null; password: string | null} = {user: null, password: null}): Stage {
  const reasons: string[] = [];
  const stage = {reasons, ready: 0};
  const client = new StoreClient({
    store: {address: '127.0.0.1', port, ...login}, ownListeners: [], timings: {...STORE_TIMINGS, connectMs: 500, replyMs: 100, retryMs: 5, retryMsMax: 20},
    onReady: () => { stage.ready++; }, onLost: (reason) => void reasons.push(reason), ...overrides,
  });
  context.after(() => client.close());
  return Object.assign(stage, {client});
}

test('it proves who it is before anything else', async (context) => {
  const fake = await startFake(context);
  const stage = start(context, fake.port, {}, {user: 'torwart', password: 'pass\u00e4'});
  await eventually('it is ready', () => stage.client.isReady);
  assert.equal(fake.received, Buffer.from('*3\r\n$4\r\nAUTH\r\n$7\r\ntorwart\r\n$6\r\npass\u00e4\r\n*1\r\n$4\r\nPING\r\n').toString('latin1'));
});

test('one that says more than it was asked, in the same piece, is never ready', async (context) => {
  const fake = await startFake(context);
  fake.answer = () => '+PONG\r\n+more\r\n';
  const stage = start(context, fake.port);
  await eventually('it was tried again', () => stage.reasons.length >= 3);
  assert.deepEqual([stage.ready, new Set(stage.reasons)], [0, new Set(['an answer that nobody has asked for'])]);
});

test('answers belong to commands in their order', async (context) => {
  const fake = await startFake(context);
  const stage = start(context, fake.port);
  await eventually('it is ready', () => stage.client.isReady);
  fake.answer = (heard) => heard.split('*').slice(1).map((_, index) => `:${index}\r\n`).join('');
  const replies = await Promise.all([stage.client.command(['A']), stage.client.command(['B'])]);
  assert.deepEqual(replies.length, 2);
  fake.answer = () => '-ERR no\r\n+after\r\n';
  const refused = stage.client.command(['C']), after = stage.client.command(['D']);
  await assert.rejects(refused, /the store refuses: ERR no/);
  assert.equal(await after, 'after', 'a refusal costs no connection');
});

describe('what ends the connection, which comes back', () => {
  const CASES: readonly (readonly [what: string, answer: string, reason: RegExp])[] = [
    ['garbage', 'HTTP/1.1 400 Bad Request\r\n\r\n', /unknown type/],
    ['more answers than questions', '+a\r\n+b\r\n', /nobody has asked/],
    ['a line without an end', 'x'.repeat(100_000), /too long/],
    ['silence', '', /no answer in time/],
  ];
  for (const [what, answer, reason] of CASES) {
    test(what, async (context) => {
      const fake = await startFake(context);
      const stage = start(context, fake.port);
      await eventually('it is ready', () => stage.client.isReady);
      fake.answer = () => answer;
      const asked = stage.client.command(['PING']).then(() => null, (error: unknown) => error);
      await eventually('it is lost', () => stage.reasons.length > 0);
      assert.match(stage.reasons[0] ?? '', reason);
      if (answer !== '+a\r\n+b\r\n') assert.ok(await asked instanceof Error);
      fake.answer = () => '+PONG\r\n';
      await eventually('it is back', () => stage.client.isReady);
      assert.equal(await stage.client.command(['PING']), 'PONG');
    });
  }

  test('a wrong password', async (context) => {
    const fake = await startFake(context);
    fake.answer = () => '-WRONGPASS invalid\r\n';
    const stage = start(context, fake.port, {}, {user: null, password: 'wrong'});
    await eventually('it has tried again', () => fake.sockets.length > 2);
    assert.equal(stage.ready, 0);
    assert.match(stage.reasons[0] ?? '', /WRONGPASS/);
    assert.ok(!stage.reasons.join().includes('wrong,'), 'the password is in no message');
  });

  test('the end of the connection as the first answer', async (context) => {
    const fake = await startFake(context);
    fake.answer = () => {
      for (const socket of fake.sockets) socket.destroy();
      return '';
    };
    const stage = start(context, fake.port, {}, {user: null, password: 'right'});
    await eventually('it has tried again', () => fake.sockets.length > 3);
    assert.ok(stage.reasons.length <= fake.sockets.length, 'each attempt is lost once');
  });

  test('nobody there', async (context) => {
    const fake = await startFake(context);
    const free = net.createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const {port} = free.address() as net.AddressInfo;
    free.close();
    await once(free, 'close');
    const stage = start(context, port);
    await eventually('it has tried again', () => stage.reasons.length > 2);
    assert.deepEqual(new Set(stage.reasons), new Set(['ECONNREFUSED']));
    await assert.rejects(stage.client.command(['PING']), /away/);
    assert.equal(fake.sockets.length, 0);
  });
});

test('it dials neither itself nor what nobody may', async (context) => {
  const fake = await startFake(context);
  const loop = start(context, fake.port, {ownListeners: [{address: '0.0.0.0', port: fake.port}]});
  const clouds = start(context, 80, {store: {address: '169.254.169.254', port: 80, user: null, password: null}});
  await eventually('both are refused', () => loop.reasons.length > 1 && clouds.reasons.length > 1);
  assert.deepEqual([new Set(loop.reasons), new Set(clouds.reasons)], [
    new Set(['not dialled: a listener of Torwart itself']), new Set(['not dialled: an unspecified, link-local, multicast or reserved address']),
  ]);
  assert.equal(fake.sockets.length, 0);
});

test('more commands than may wait are refused at once', async (context) => {
  const fake = await startFake(context);
  const stage = start(context, fake.port);
  await eventually('it is ready', () => stage.client.isReady);
  fake.answer = () => '';
  const outcomes = await Promise.allSettled(Array.from({length: 80}, () => stage.client.command(['PING'])));
  const reasons = outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : ''));
  assert.equal(reasons.filter((reason) => reason.includes('too many commands')).length, 16);
});

test('closed, it stays so', async (context) => {
  const fake = await startFake(context);
  const stage = start(context, fake.port);
  await eventually('it is ready', () => stage.client.isReady);
  stage.client.close();
  await assert.rejects(stage.client.command(['PING']));
  await settle();
  assert.deepEqual([fake.sockets.length, stage.reasons], [1, []]);
});
