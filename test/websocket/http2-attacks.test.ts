/** Extended CONNECT (RFC 8441) in the hands of an attacker: nothing reaches an application that is no handshake, and no answer becomes a tunnel that is none. */
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {ERROR, FLAG, PREFACE} from '#src/http2/frames.ts';
import {data, opening, settings, upload, SETTINGS_ACK} from '#test/http2/frames.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {Http2Client, type Http2Response} from '#test/support/http2-client.ts';
import {attackHttp2} from '#test/support/http2-attack.ts';
import {accept, acceptance} from '#test/websocket/handshakes.ts';
import {connect, connectFields, startStage, type Stage} from '#test/websocket/http2-handshakes.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nhost: acme.test\r\n\r\n';

/** A handshake, and bytes behind it that an application must not take for a request. Returns the answer. */
async function attackBy(context: TestContext, stage: Stage, handshake: Buffer, fault: FaultCode): Promise<Http2Response> {
  let answer: Http2Response | null = null;
  const {upstream} = stage;
  await attackHttp2(context, stage, {fault, requestsMax: 0, act: async (client) => {
    const bytes = upstream.bytesReceived;
    client.send(opening(), handshake);
    answer = await client.response(1);
    assert.equal(answer.status, FAULTS[fault].status);
    client.send(data(1, SMUGGLED));
    client.send(upload(3, connectFields({':path': '/../', 'sec-websocket-version': null})));
    await client.response(3);
    assert.equal(upstream.bytesReceived, bytes, 'nothing reached the upstream');
  }, besides: {path_ambiguous: 1}});
  assert.ok(answer !== null);
  return answer;
}

suite('refused before an application hears of it', () => {
  const REFUSED: readonly (readonly [why: string, changes: Readonly<Record<string, string | null>>, fault: FaultCode])[] = [
    ['another protocol', {':protocol': 'connect-udp'}, 'method_refused'],
    ['another spelling', {':protocol': 'WebSocket'}, 'method_refused'],
    ['no version', {'sec-websocket-version': null}, 'websocket_invalid'],
    ['version 8', {'sec-websocket-version': '8'}, 'websocket_version'],
    ['a length', {'content-length': '5'}, 'websocket_invalid'],
    ['a length of nothing', {'content-length': '0'}, 'websocket_invalid'],
    ['an expectation', {expect: '100-continue'}, 'websocket_invalid'],
    ['a subprotocol that is no token', {'sec-websocket-protocol': 'a b'}, 'websocket_invalid'],
    ['an extension that is none', {'sec-websocket-extensions': 'a; b c'}, 'websocket_invalid'],
    ['another page', {origin: 'https://evil.test'}, 'websocket_origin_refused'],
    ['the page of the cleartext host', {origin: 'http://acme.test'}, 'websocket_origin_refused'],
    ['another scheme', {':scheme': 'http'}, 'target_invalid'],
    ['a host that is not served', {':authority': 'unknown.test'}, 'host_unknown'],
  ];
  for (const [why, changes, fault] of REFUSED) {
    test(why, async (context) => {
      const answer = await attackBy(context, await startStage(context), connect(1, changes), fault);
      const version = answer.fields.find(([name]) => name === 'sec-websocket-version')?.[1];
      assert.equal(version, fault === 'websocket_version' ? '13' : undefined);
      assert.ok(!answer.fields.some(([name]) => name === 'upgrade' || name === 'connection'), 'no field of HTTP/1.1');
    });
  }

  test('a route without WebSockets: there is no request that it could be instead', async (context) => {
    await attackBy(context, await startStage(context, {websocket: null}), connect(1), 'websocket_not_served');
  });

  test('a method that the route does not have', async (context) => {
    const {proxy, upstream} = await startStage(context, {methods: ['POST']});
    const client = await Http2Client.open(context, proxy);
    client.send(connect(1), data(1, SMUGGLED));
    assert.equal((await client.response(1)).status, 405);
    assert.deepEqual([proxy.faults(), upstream.bytesReceived], [{method_not_allowed: 1}, 0]);
  });

  test('a client that has ended its side', async (context) => {
    const handshake = connect(1);
    handshake[4] = FLAG.END_HEADERS | FLAG.END_STREAM;
    const stage = await startStage(context);
    await attackHttp2(context, stage, {fault: 'websocket_invalid', act: async (client) => {
      client.send(opening(), handshake);
      assert.equal((await client.response(1)).status, 400);
    }});
  });

  for (const [why, changes] of [
    [':protocol with another method', {':method': 'GET'}], ['no path', {':path': null}], ['no scheme', {':scheme': null}], ['fields of HTTP/1.1', {upgrade: 'websocket'}],
    ['chunks', {'transfer-encoding': 'chunked'}], ['a second request in the protocol', {':protocol': 'websocket\r\n\r\nGET /evil'}],
  ] as const) {
    test(`no request at all: ${why}`, async (context) => {
      await attackHttp2(context, await startStage(context), {fault: 'h2_request_malformed', act: async (client) => {
        client.send(opening(), connect(1, changes), data(1, SMUGGLED));
        assert.equal((await client.response(1)).reset, ERROR.PROTOCOL_ERROR);
      }});
    });
  }

  test('a client that has not heard of it yet', async (context) => {
    await attackHttp2(context, await startStage(context), {fault: 'h2_request_malformed', act: async (client) => {
      client.send(PREFACE, settings(), connect(1), SETTINGS_ACK);
      assert.equal((await client.response(1)).reset, ERROR.PROTOCOL_ERROR);
    }});
  });
});

suite('bytes before the answer', () => {
  const EARLY: readonly (readonly [what: string, bytes: Buffer])[] = [
    ['a request', data(1, SMUGGLED)], ['the end of the stream', data(1, '', FLAG.END_STREAM)], ['a request and the end', data(1, SMUGGLED, FLAG.END_STREAM)],
  ];
  for (const [what, bytes] of EARLY) {
    for (const isTogether of [true, false]) {
      test(`reach nobody: ${what}, ${isTogether ? 'with the handshake' : 'while the application thinks'}`, async (context) => {
        const stage = await startStage(context);
        const {upstream} = stage;
        await attackHttp2(context, stage, {fault: 'websocket_invalid', requestsMax: 1, act: async (client) => {
          const before = upstream.requests.length;
          upstream.respond = () => null;
          client.send(opening(), connect(1), isTogether ? bytes : Buffer.alloc(0));
          if (!isTogether) {
            await eventually('the handshake is there', () => upstream.requests.length === before + 1);
            client.send(bytes);
          }
          assert.equal((await client.response(1)).status, 400);
          const peer = upstream.requests[before]?.peer;
          await eventually('the application\'s connection ends', () => peer?.isOpen !== true);
          assert.ok(peer?.received.includes('smuggled') !== true);
          upstream.respond = () => OK;
        }});
      });
    }
  }
});

suite('an application that only pretends', () => {
  const PRETENCES: readonly (readonly [why: string, answer: string, fault: FaultCode])[] = [
    ['200: over HTTP/2 a client would take it for a WebSocket', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil', 'websocket_declined'],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', 'websocket_declined'],
    ['200 without an end', 'HTTP/1.1 200 OK\r\n\r\nevil', 'websocket_declined'],
    ['101 with the proof for another key', `${acceptance()}evil`, 'upstream_upgrade_invalid'],
    ['101 without proof', `${acceptance({'sec-websocket-accept': null})}evil`, 'upstream_upgrade_invalid'],
    ['101 with a length', `${acceptance({'content-length': '4'})}evil`, 'upstream_upgrade_invalid'],
  ];
  for (const [why, answer, fault] of PRETENCES) {
    test(why, async (context) => {
      const stage = await startStage(context);
      const {upstream} = stage;
      await attackHttp2(context, stage, {fault, requestsMax: 1, act: async (client) => {
        const before = upstream.requests.length;
        upstream.respond = () => answer;
        client.send(opening(), connect(1));
        const {status, body, isComplete} = await client.response(1);
        assert.deepEqual([status, isComplete, body.includes('evil')], [502, true, false]);
        client.send(data(1, SMUGGLED));
        const peer = upstream.requests[before]?.peer;
        await eventually('its connection ends', () => peer?.isOpen === false);
        assert.ok(peer?.received.includes('smuggled') === false);
        upstream.respond = () => OK;
      }});
    });
  }

  test('an upgrade to a request that asks for none', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => `${acceptance()}evil`;
    const client = await Http2Client.open(context, proxy);
    assert.equal((await client.ask(1)).status, 502);
    assert.equal(proxy.fault('upstream_upgrade_unasked'), 1);
    upstream.respond = accept;
    assert.equal((await client.ask(3)).status, 200);
  });
});
