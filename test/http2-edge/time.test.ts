/** Clients that take their time: what they may take, and what becomes of their requests and of the upstream's. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME, PREFACE} from '#src/http2/frames.ts';
import {data, frame, opening, request, settings, upload, windowUpdate} from '#test/http2/frames.ts';
import {startStage, type Stage} from '#test/http2-edge/stage.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import type {UpstreamRequest} from '#test/support/fake-upstream.ts';
import {attackHttp2} from '#test/support/http2-attack.ts';
import {GET, POST, Http2Client} from '#test/support/http2-client.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import {ROUTE_TIMEOUTS, TIMEOUTS} from '#test/support/snapshots.ts';

/** What the client has sent has been read. */
async function settleBytes(client: Http2Client): Promise<void> {
  await eventually('everything is written', () => client.tls.socket.writableLength === 0);
  await settle();
}

/** Waits until the number does not change any more. */
async function standstill(value: () => number): Promise<void> {
  for (let before = -1; before !== value();) {
    before = value();
    await settle(50);
  }
}

/** Time passes until the upstream request has ended. */
async function passUntilGone(proxy: ProxyHarness, {peer}: Pick<UpstreamRequest, 'peer'>): Promise<void> {
  await eventually('the upstream request ends', () => {
    proxy.pass(LIMITS.wheelTickMs);
    return !peer.isOpen;
  });
}

describe('connections that do not get on', () => {
  const ROWS: readonly (readonly [what: string, bytes: Buffer, fault: FaultCode, code: number])[] = [
    ['no preface', Buffer.alloc(0), 'request_head_timeout', ERROR.SETTINGS_TIMEOUT],
    ['no settings', PREFACE, 'request_head_timeout', ERROR.SETTINGS_TIMEOUT],
    ['settings that are not acknowledged', Buffer.concat([PREFACE, settings()]), 'h2_settings_timeout', ERROR.SETTINGS_TIMEOUT],
    ['a frame that is not completed', Buffer.concat([opening(), request(1, GET).subarray(0, -1)]), 'request_head_timeout', ERROR.ENHANCE_YOUR_CALM],
    ['a block of fields that is not completed', Buffer.concat([opening(), frame(FRAME.HEADERS, 0, 1)]), 'request_head_timeout', ERROR.ENHANCE_YOUR_CALM],
  ];
  for (const [what, bytes, fault, code] of ROWS) {
    test(`${fault}: ${what}`, async (context) => {
      const stage = await startStage(context);
      await attackHttp2(context, stage, {fault, act: async (client) => {
        if (bytes.length > 0) client.send(bytes);
        await settleBytes(client);
        stage.proxy.passAlmost(TIMEOUTS.requestHeadMs);
        await settle();
        assert.deepEqual([client.goAways, client.isEnded], [[], false], 'not before its time');
        stage.proxy.passRest();
        assert.equal(await client.ended(), code);
      }});
    });
  }

  test('client_idle: nothing is asked', async (context) => {
    const stage = await startStage(context), {proxy} = stage;
    await attackHttp2(context, stage, {fault: 'client_idle', requestsMax: 2, act: async (client) => {
      client.send(opening());
      assert.equal((await client.ask(1)).status, 200);
      proxy.passAlmost(TIMEOUTS.keepAliveMs);
      assert.equal((await client.ask(3)).status, 200);
      proxy.passAlmost(TIMEOUTS.keepAliveMs);
      assert.deepEqual([client.goAways, client.isEnded], [[], false], 'not before its time');
      proxy.passRest();
      assert.equal(await client.ended(), ERROR.NO_ERROR, 'and that is no error');
    }});
  });
});

describe('requests that do not get on', () => {
  test('request_body_timeout: 408 to the stream, and the connection goes on', async (context) => {
    const stage = await startStage(context);
    await attackHttp2(context, stage, {fault: 'request_body_timeout', requestsMax: 1, act: async (client) => {
      client.send(opening(), upload(1, POST), data(1, 'begin'));
      await settleBytes(client);
      stage.proxy.passAlmost(ROUTE_TIMEOUTS.requestBodyIdleMs);
      stage.proxy.passRest();
      assert.equal((await client.response(1)).status, 408);
      assert.equal((await client.ask(3)).status, 200, 'only this one reaches the upstream');
    }});
  });

  for (const isComplete of [true, false]) {
    const from = isComplete ? 'a response that the upstream has finished' : 'a response that the upstream goes on with';
    const answer = (stage: Stage): void => {
      stage.upstream.respond = ({peer}) => {
        const length = isComplete ? 5000 : 1_000_000;
        peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(length)}`);
        return null;
      };
    };

    test(`h2_window_stalled: a window of zero holds back ${from}`, async (context) => {
      const stage = await startStage(context);
      await attackHttp2(context, stage, {fault: 'h2_window_stalled', requestsMax: 2, act: async (client) => {
        answer(stage);
        client.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1, GET));
        await eventually('the head is here', () => client.peek(1).status === 200);
        stage.proxy.passAlmost(ROUTE_TIMEOUTS.responseIdleMs);
        await settle();
        assert.equal(client.peek(1).reset, null);
        stage.proxy.passRest();
        const response = await client.response(1);
        assert.deepEqual([response.body, response.isComplete, response.reset], ['', false, ERROR.ENHANCE_YOUR_CALM]);
        stage.upstream.respond = () => 'HTTP/1.1 204 No Content\r\n\r\n';
        assert.equal((await client.ask(3)).status, 204, 'the connection goes on');
      }});
    });

    test(`h2_trickle: drops of a window let out ${from}`, async (context) => {
      const stage = await startStage(context);
      await attackHttp2(context, stage, {fault: 'h2_trickle', requestsMax: 1, act: async (client) => {
        answer(stage);
        client.send(opening({INITIAL_WINDOW_SIZE: 0}), request(1, GET));
        await eventually('the head is here', () => client.peek(1).status === 200);
        const drops = 3;
        for (let drop = 1; drop <= drops; drop++) {
          stage.proxy.pass(ROUTE_TIMEOUTS.responseIdleMs / (drops + 1));
          client.send(windowUpdate(1, 10));
          await eventually('the drop is here', () => client.peek(1).body.length === 10 * drop);
        }
        stage.proxy.pass(ROUTE_TIMEOUTS.responseIdleMs / (drops + 1) + LIMITS.wheelTickMs);
        assert.equal((await client.response(1)).reset, ERROR.ENHANCE_YOUR_CALM);
      }});
    });
  }

  test('client_stalled: a client opens its windows and does not read its socket', async (context) => {
    const stage = await startStage(context);
    const megabyte = 'x'.repeat(1024 * 1024);
    // Its request has ended long before the connection does.
    await attackHttp2(context, stage, {fault: 'client_stalled', besides: {client_idle: 1}, requestsMax: 1, act: async (client) => {
      stage.upstream.respond = ({peer}) => {
        peer.send('HTTP/1.1 200 OK\r\n\r\n');
        for (let i = 0; i < 32; i++) peer.send(megabyte);
        return null;
      };
      client.tls.socket.pause();
      client.send(opening({INITIAL_WINDOW_SIZE: 0x7fff_ffff}), windowUpdate(0, 0x7000_0000), request(1, GET));
      const {peer} = await stage.upstream.nextRequest();
      await standstill(() => peer.socket.writableLength);
      await passUntilGone(stage.proxy, {peer});
      stage.proxy.pass(TIMEOUTS.keepAliveMs);
      stage.proxy.pass(TIMEOUTS.responseIdleMs + LIMITS.wheelTickMs);
      client.tls.socket.resume();
      await client.tls.ended();
    }});
  });

  test('a slow client gets all of a response that it lets out', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n${'x'.repeat(20_000)}`;
    const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0});
    client.send(request(1, GET));
    await eventually('the head is here', () => client.peek(1).status === 200);
    for (let got = 0; got < 20_000; got += 2000) {
      proxy.pass(3000);
      client.send(windowUpdate(1, 2000));
      await eventually('the next piece is here', () => client.peek(1).body.length === got + 2000);
    }
    assert.deepEqual([client.peek(1).isComplete, proxy.faults()], [true, {}]);
  });
});

describe('the end of a connection', () => {
  test('what waits for the socket when the session ends is not lost', async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => null;
    const client = await Http2Client.open(context, proxy, {INITIAL_WINDOW_SIZE: 0x7fff_ffff});
    client.tls.socket.pause();
    client.send(windowUpdate(0, 0x7000_0000), request(1, GET));
    const large = await upstream.nextRequest();
    client.send(request(3, GET));
    const small = await upstream.nextRequest();
    large.peer.send(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(32 * 1024 * 1024)}`);
    await standstill(() => large.peer.socket.writableLength);
    small.peer.send('HTTP/1.1 204 No Content\r\n\r\n');
    await eventually('the second response is behind the first', () => proxy.slot('acme', 'app', upstream.port).requests === 1);
    proxy.proxy.beginDrain();
    proxy.pass(LIMITS.h2DrainGraceMs);
    // The first is given up, so that nothing is left to be done.
    await passUntilGone(proxy, large);
    client.tls.socket.resume();
    assert.equal((await client.response(1)).reset, ERROR.ENHANCE_YOUR_CALM);
    assert.equal((await client.response(3)).status, 204);
    assert.equal(await client.ended(), ERROR.NO_ERROR);
    assert.deepEqual(proxy.faults(), {client_stalled: 1});
  });

  test('a client that goes on sending after its GOAWAY is not read for ever', async (context) => {
    const {proxy} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    client.send(data(1, 'x'));
    await eventually('GOAWAY is here', () => client.goAways.length === 1);
    const noise = Buffer.alloc(64 * 1024);
    let sent = 0;
    const pump = (): void => {
      while (!client.tls.socket.destroyed && client.tls.socket.write(noise)) sent += noise.length;
    };
    client.tls.socket.on('drain', pump);
    pump();
    await eventually('the connection is gone', () => client.tls.socket.destroyed || client.tls.end === 'reset');
    assert.ok(sent < 64 * 1024 * 1024);
    assert.deepEqual(proxy.faults(), {h2_protocol: 1});
  });

  test('drain in two steps: requests under way are served, later ones are refused so that they are tried elsewhere', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    upstream.respond = () => null;
    client.send(request(1, GET));
    const first = await upstream.nextRequest();
    proxy.proxy.beginDrain();
    await eventually('GOAWAY is here', () => client.goAways.length === 1);
    client.send(request(3, GET));
    const second = await upstream.nextRequest();
    const drainPing = client.frames.findLast(({type}) => type === FRAME.PING);
    assert.ok(drainPing !== undefined);
    client.send(frame(FRAME.PING, FLAG.ACK, 0, drainPing.payload), request(5, GET));
    assert.equal((await client.response(5)).reset, ERROR.REFUSED_STREAM);
    const lastIds = client.frames.filter(({type}) => type === FRAME.GOAWAY).map(({payload}) => payload.readUInt32BE(0));
    assert.deepEqual(lastIds, [0x7fff_ffff, 3]);
    for (const {peer} of [first, second]) peer.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    assert.equal((await client.response(1)).body, 'ok');
    assert.equal((await client.response(3)).body, 'ok');
    assert.equal(await client.ended(), ERROR.NO_ERROR);
    assert.deepEqual(proxy.faults(), {});
  });

  test('an idle connection ends at once when the proxy drains, if its client answers', async (context) => {
    const {proxy} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    proxy.proxy.beginDrain();
    await eventually('the ping is here', () => client.frames.some(({type}) => type === FRAME.PING));
    const drainPing = client.frames.findLast(({type}) => type === FRAME.PING);
    client.send(frame(FRAME.PING, FLAG.ACK, 0, drainPing?.payload));
    assert.equal(await client.ended(), ERROR.NO_ERROR);
  });

  test('a connection whose handshake was under way when the proxy began to drain takes no requests', async (context) => {
    const {proxy} = await startStage(context);
    const {socket} = await proxy.connect(context, 'https');
    await eventually('the connection is accepted', () => proxy.placesOf('handshakes') === 1);
    proxy.proxy.beginDrain();
    const client = await Http2Client.connect(context, proxy, {socket});
    client.send(opening(), request(1, GET));
    assert.equal(await client.ended(), ERROR.NO_ERROR);
    assert.deepEqual(client.frames.filter(({type}) => type === FRAME.GOAWAY).map(({payload}) => payload.readUInt32BE(0)), [0]);
    assert.deepEqual(proxy.faults(), {});
  });

  test('drain_expired: requests that are not done by then are cut', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    upstream.respond = () => null;
    client.send(request(1, GET), request(3, GET));
    await upstream.nextRequest();
    await upstream.nextRequest();
    proxy.proxy.beginDrain();
    await proxy.proxy.finish();
    await client.tls.ended();
    assert.deepEqual(proxy.faults(), {drain_expired: 2});
  });
});
