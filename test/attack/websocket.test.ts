/** A fake upgrade opens no tunnel and puts nothing out of step, whichever side tries it. */
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {PROBE, assertServes, attack} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {fieldOf, fieldsOf, statusOf} from '#test/support/raw-message.ts';
import {WEBSOCKET, acceptance, handshake, openTunnel, startStage, type Changes, type Stage} from '#test/websocket/handshakes.ts';

suite('refused before an application hears of it', () => {
  const REFUSED: readonly (readonly [why: string, bytes: string, fault: FaultCode])[] = [
    ['no key', handshake({'sec-websocket-key': null}), 'websocket_invalid'],
    ['a short key', handshake({'sec-websocket-key': 'dGhl'}), 'websocket_invalid'],
    ['POST', handshake({'content-length': '0'}, 'POST /ws HTTP/1.1'), 'websocket_invalid'],
    ['HTTP/1.0', handshake({}, 'GET /ws HTTP/1.0'), 'websocket_invalid'],
    ['a body', `${handshake({'content-length': '5'})}hello`, 'websocket_invalid'],
    ['a chunked body that hides a request', `${handshake({'transfer-encoding': 'chunked'})}0\r\n\r\nGET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n`, 'websocket_invalid'],
    ['no Connection', handshake({connection: null}), 'websocket_invalid'],
    ['two protocols', handshake({upgrade: 'websocket, h2c'}), 'websocket_invalid'],
    ['a request behind it', `${handshake({'sec-websocket-version': null})}${PROBE}`, 'websocket_invalid'],
    ['version 8', handshake({'sec-websocket-version': '8'}), 'websocket_version'],
    ['another page', handshake({origin: 'https://evil.test'}), 'websocket_origin_refused'],
    ['an opaque origin', handshake({origin: 'null'}), 'websocket_origin_refused'],
    ['two origins', handshake({origin: ['http://acme.test', 'https://evil.test']}), 'field_invalid'],
  ];
  for (const [why, bytes, fault] of REFUSED) {
    test(why, async (context) => {
      await attack(context, await startStage(context), bytes, fault);
    });
  }

  test('a client of another version learns which one is served, and may try again', async (context) => {
    const {proxy} = await startStage(context);
    const client = await proxy.connect(context);
    client.send(handshake({'sec-websocket-version': '8'}));
    const refusal = await client.response();
    assert.deepEqual([fieldOf(refusal, 'sec-websocket-version'), fieldOf(refusal, 'upgrade'), fieldOf(refusal, 'connection')], ['13', 'websocket', 'Upgrade']);
    client.send(handshake());
    assert.equal(statusOf(await client.response()), 101);
  });

  test('no origin, where it must be there', async (context) => {
    await attack(context, await startStage(context, {websocket: {...WEBSOCKET, isMissingOriginAllowed: false}}), handshake(), 'websocket_origin_refused');
  });
});

test('pages of the host itself, listed ones, and programs are let in', async (context) => {
  const stage = await startStage(context);
  for (const origin of ['http://acme.test', 'https://app.test', null]) assert.equal(statusOf((await openTunnel(context, stage, handshake({origin}))).answer), 101);
});

test('where the route has no WebSockets, the wish is dropped and the request answered', async (context) => {
  const {proxy, upstream} = await startStage(context, {websocket: null});
  const client = await proxy.connect(context);
  client.send(handshake());
  assert.equal((await client.response()).body, 'ok');
  const request = await upstream.nextRequest();
  assert.deepEqual([fieldOf(request, 'upgrade'), fieldOf(request, 'connection')], [undefined, undefined]);
});

test('the wish for another protocol is dropped, on a route with WebSockets too', async (context) => {
  const {proxy, upstream} = await startStage(context);
  const client = await proxy.connect(context);
  client.send(handshake({upgrade: 'h2c', 'http2-settings': 'AAMAAABk'}));
  assert.equal((await client.response()).body, 'ok');
  assert.equal(fieldOf(await upstream.nextRequest(), 'upgrade'), undefined);
  client.send(PROBE);
  assert.equal(statusOf(await client.response()), 200);
});

/** The application answers a good handshake with these bytes: the client reads 502, and neither side reaches the other. */
async function attackWithAnswer(context: TestContext, stage: Stage, bytes: string, fault: FaultCode): Promise<void> {
  const {proxy, upstream} = stage;
  const before = proxy.fault(fault);
  upstream.respond = () => bytes;
  const client = await proxy.connect(context);
  client.send(handshake());
  const answer = await client.response();
  assert.equal(statusOf(answer), FAULTS[fault].status);
  assert.ok(!/evil/.test(answer.raw), 'nothing of the upstream is in the answer');
  const {peer} = await upstream.nextRequest();
  client.send('GET /smuggled HTTP/1.1\r\nhost: acme.test\r\n\r\n');
  assert.equal(await client.ended(), 'orderly');
  assert.equal(client.received, '', 'one answer and not a byte more');
  await eventually('the upstream connection is destroyed', () => !peer.isOpen);
  assert.ok(!peer.received.includes('smuggled'), 'nothing reached the upstream');
  assert.equal(proxy.fault(fault), before + 1);
  upstream.respond = () => OK;
  await proxy.forgetLog();
  await assertServes(context, stage);
  assert.deepEqual(proxy.reports, []);
}

suite('an application that only pretends', () => {
  const PRETENCES: readonly (readonly [why: string, changes: Changes, startLine?: string])[] = [
    ['a wrong proof', {'sec-websocket-accept': 'evilevilevilevilevilevileve='}],
    ['no proof', {'sec-websocket-accept': null}],
    ['another protocol', {upgrade: 'evil'}],
    ['no Connection', {connection: null}],
    ['a length', {'content-length': '4'}],
    ['an extension that was not offered', {'sec-websocket-extensions': 'x-evil'}],
    ['a subprotocol that was not offered', {'sec-websocket-protocol': 'evil'}],
    ['HTTP/1.0', {}, 'HTTP/1.0 101 Switching Protocols'],
  ];
  for (const [why, changes, startLine] of PRETENCES) {
    test(`101 with ${why}`, async (context) => {
      await attackWithAnswer(context, await startStage(context), `${acceptance(changes, startLine)}evil`, 'upstream_upgrade_invalid');
    });
  }

  test('101 to a request that asks for nothing', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => `${acceptance()}evil`;
    const client = await proxy.connect(context);
    client.send(PROBE);
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(proxy.fault('upstream_upgrade_unasked'), 1);
  });

  test('no upgrade, and bytes behind the answer', async (context) => {
    await attackWithAnswer(context, await startStage(context), 'HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\nevil', 'upstream_surplus');
  });
});

suite('an answer that is no upgrade', () => {
  test('is a response like any other, and the last one', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => 'HTTP/1.1 403 Forbidden\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nno';
    const client = await proxy.connect(context);
    client.send(handshake());
    const answer = await client.response();
    assert.deepEqual([statusOf(answer), answer.body, fieldOf(answer, 'connection'), fieldOf(answer, 'upgrade')], [403, 'no', 'close', undefined]);
    assert.equal((await proxy.nextLogLine())['status'], 403);
    const {peer} = await upstream.nextRequest();
    client.send('GET /smuggled HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(await client.ended(), 'orderly');
    assert.ok(!peer.received.includes('smuggled'));
    assert.equal(upstream.requests.length, 1);
  });

  test('leaves the application its connection', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => OK;
    const client = await proxy.connect(context);
    client.send(handshake());
    assert.equal(statusOf(await client.response()), 200);
    await assertServes(context, {proxy, upstream});
    assert.equal(upstream.peers.length, 1);
  });

  test('ends the connection when it is Torwart\'s own', async (context) => {
    const {proxy, upstream} = await startStage(context);
    await upstream.stop();
    const client = await proxy.connect(context);
    client.send(handshake() + PROBE);
    const answer = await client.response();
    assert.equal(statusOf(answer), 502);
    assert.ok(fieldsOf(answer, 'connection').includes('close'));
    assert.equal(await client.ended(), 'orderly');
    assert.equal(client.received, '');
  });
});

suite('bytes before the answer', () => {
  for (const [why, early] of [['in one read with the handshake', true], ['while the application thinks', false]] as const) {
    test(`reach nobody: ${why}`, async (context) => {
      const {proxy, upstream} = await startStage(context);
      upstream.respond = () => null;
      const client = await proxy.connect(context);
      client.send(early ? handshake() + PROBE : handshake());
      const {peer} = await upstream.nextRequest();
      if (!early) client.send(PROBE);
      await settle();
      peer.send(acceptance());
      const answer = await client.response();
      assert.equal(statusOf(answer), 400);
      assert.equal(await client.ended(), 'orderly');
      await eventually('the upstream connection is destroyed', () => !peer.isOpen);
      assert.ok(!peer.received.includes('/probe'));
      assert.deepEqual(proxy.faults(), {websocket_invalid: 1});
    });
  }
});
