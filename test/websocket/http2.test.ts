/** WebSockets over HTTP/2 (RFC 8441): the same handshakes, policies and tunnels as over HTTP/1.1, in a stream. */
import assert from 'node:assert/strict';
import {suite, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG, FRAME, FRAME_HEADER_BYTES, ERROR} from '#src/http2/frames.ts';
import {computeAccept} from '#src/policy/websocket-handshake.ts';
import {data, frame, request as get, reset, windowUpdate} from '#test/http2/frames.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {fieldOf, fieldsOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS} from '#test/support/snapshots.ts';
import {KEY, WEBSOCKET, accept, acceptance} from '#test/websocket/handshakes.ts';
import {acmeOverTls, connect, openStream, startStage} from '#test/websocket/http2-handshakes.ts';

const MIB = 1024 * 1024;

test('the handshake is that of HTTP/1.1 for the application, with a key of Torwart\'s own', async (context) => {
  const {proxy, upstream} = await startStage(context);
  upstream.respond = (request) => acceptance({
    'sec-websocket-accept': computeAccept(fieldOf(request, 'sec-websocket-key') ?? ''), 'sec-websocket-protocol': 'chat', server: 'evil/1.0', 'set-cookie': 'a=1',
    connection: 'Upgrade, x-hop', 'x-hop': '1',
  });
  const client = await Http2Client.open(context, proxy);
  client.send(connect(1, {'sec-websocket-protocol': 'chat, mqtt', origin: 'https://acme.test', 'sec-websocket-key': KEY}), connect(3));
  const requests = [await upstream.nextRequest(), await upstream.nextRequest()];
  const [request] = requests;
  assert.ok(request !== undefined);
  assert.equal(request.startLine, 'GET /ws HTTP/1.1');
  assert.deepEqual([fieldsOf(request, 'connection'), fieldsOf(request, 'upgrade'), fieldsOf(request, 'sec-websocket-version')], [['Upgrade'], ['websocket'], ['13']]);
  assert.deepEqual([fieldOf(request, 'sec-websocket-protocol'), fieldOf(request, 'origin'), fieldOf(request, 'host')], ['chat, mqtt', 'https://acme.test', 'acme.test']);
  assert.deepEqual([fieldOf(request, 'content-length'), fieldOf(request, 'transfer-encoding')], [undefined, undefined]);
  const keys = requests.map((one) => fieldsOf(one, 'sec-websocket-key'));
  for (const [key, ...more] of keys) {
    assert.match(key ?? '', /^[A-Za-z0-9+/]{21}[AQgw]==$/);
    assert.deepEqual(more, []);
  }
  assert.notEqual(keys[0]?.[0], KEY, 'what the client says means nothing');
  assert.notDeepEqual(keys[0], keys[1], 'each has its own');

  await eventually('it is answered', () => client.peek(1).status !== 0);
  const {status, fields, isComplete} = client.peek(1);
  assert.deepEqual([status, isComplete], [200, false]);
  const valueOf = (name: string): string | undefined => fields.find(([known]) => known === name)?.[1];
  assert.deepEqual([valueOf('sec-websocket-protocol'), valueOf('set-cookie')], ['chat', 'a=1']);
  for (const name of ['sec-websocket-accept', 'connection', 'upgrade', 'x-hop', 'server', 'content-length', 'transfer-encoding']) assert.equal(valueOf(name), undefined, name);
});

test('clients are told that they may', async (context) => {
  const {proxy} = await startStage(context);
  const client = await Http2Client.open(context, proxy);
  const settings = client.frames.find(({type, flags}) => type === FRAME.SETTINGS && flags === 0)?.payload ?? Buffer.alloc(0);
  const values = new Map(Array.from({length: settings.length / 6}, (_, i) => [settings.readUInt16BE(6 * i), settings.readUInt32BE(6 * i + 2)]));
  assert.equal(values.get(8), 1);
});

test('bytes go both ways as they are, those right behind the answer first, beside other requests', async (context) => {
  const {proxy, upstream} = await startStage(context);
  const every = Buffer.from(Array.from({length: 256}, (_, byte) => byte)).toString('latin1');
  upstream.respond = (request) => (fieldOf(request, 'upgrade') === 'websocket' ? `${accept(request)}first${every}` : accept(request));
  const {client, peer, received, send} = await openStream(context, {proxy, upstream});
  await eventually('what came with the answer is here', () => received() === `first${every}`);
  send(every);
  await eventually('the application has it', () => peer.received === every);
  assert.equal((await client.ask(3, GET)).body, 'ok', 'the connection carries requests as well');
  const other = await openStream(context, {proxy, upstream}, 5, client);
  // Its own request, and that of the second tunnel.
  other.send('GET / HTTP/1.1\r\n\r\n');
  await eventually('a request is bytes like others', () => other.peer.received === 'GET / HTTP/1.1\r\n\r\n');
  peer.send('HTTP/1.1 200 OK\r\n\r\n');
  await eventually('and so is a response', () => received().endsWith('HTTP/1.1 200 OK\r\n\r\n'));
  assert.deepEqual(proxy.faults(), {});
});

/** What the message on a stream took on the wire: heads and content, with the frames around them. */
function bytesOfMessage({frames}: Http2Client, streamId: number): number {
  const own = frames.filter((frame) => frame.streamId === streamId && (frame.type === FRAME.HEADERS || frame.type === FRAME.DATA));
  return own.reduce((sum, {payload}) => sum + FRAME_HEADER_BYTES + payload.length, 0);
}

test('every byte of both ways is counted, with the frames around them', async (context) => {
  const {proxy, upstream} = await startStage(context);
  const {client, peer, received, send} = await openStream(context, {proxy, upstream});
  upstream.isParsing = false;
  const before = peer.bytesReceived;
  const pieces = [1, 1000, LIMITS.h2FrameBytesMax];
  for (const length of pieces) send(Buffer.alloc(length));
  peer.socket.write(Buffer.alloc(50_000));
  await eventually('all of it has come', () => peer.bytesReceived - before === pieces.reduce((sum, length) => sum + length, 0) && received().length === 50_000);
  send('', FLAG.END_STREAM);
  await client.response(1);
  const line = await proxy.nextLogLine();
  const expected = [connect(1).length + [...pieces, 0].reduce((sum, length) => sum + FRAME_HEADER_BYTES + length, 0), bytesOfMessage(client, 1)];
  assert.deepEqual([line['bytes_in'], line['bytes_out']], expected);
  assert.deepEqual([proxy.customerCounter('acme', 'bytesReceived'), proxy.customerCounter('acme', 'bytesSent')], expected);
});

suite('the end', () => {
  test('of the application\'s side ends the stream, after its last bytes; one line is logged', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    send('hello');
    await eventually('the application has it', () => peer.received === 'hello');
    assert.equal(proxy.readLogText(), '', 'nothing is logged while it is open');
    proxy.time.pass(7_000);
    peer.socket.end('goodbye');
    await eventually('the stream ends', () => client.peek(1).isComplete);
    assert.equal(client.peek(1).body, 'goodbye');
    await eventually('what the client would still send is not wanted', () => client.peek(1).reset === ERROR.NO_ERROR);
    const line = await proxy.nextLogLine();
    assert.deepEqual([line['status'], line['fault'], line['method'], line['path'], line['protocol'], line['duration_ms']], [101, null, 'GET', '/ws', 'HTTP/2', 7_000]);
    assert.deepEqual([line['bytes_in'], line['bytes_out']], [connect(1).length + data(1, 'hello').length, bytesOfMessage(client, 1)]);
    assert.deepEqual([proxy.customerCounter('acme', 'tunnelsOpened'), proxy.customerCounter('acme', 'tunnelsClosed')], [1, 1]);
    assert.equal((await client.ask(3)).status, 200, 'the connection goes on');
    assert.deepEqual(proxy.faults(), {});
  });

  test('of the client\'s side ends the application\'s, after its last bytes', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    send('goodbye', FLAG.END_STREAM);
    await eventually('the application\'s connection ends', () => !peer.isOpen);
    assert.equal(peer.received, 'goodbye');
    assert.equal((await client.response(1)).isComplete, true);
    assert.equal((await proxy.nextLogLine())['fault'], null);
    await eventually('it is no load any more', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
  });

  test('of the client\'s side does not overtake what an application has still to read', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    upstream.isParsing = false;
    peer.socket.pause();
    const before = peer.bytesReceived;
    const frames = LIMITS.h2StreamWindowBytes / LIMITS.h2FrameBytesMax;
    for (let i = 0; i < frames; i++) send(Buffer.alloc(LIMITS.h2FrameBytesMax), i === frames - 1 ? FLAG.END_STREAM : 0);
    await settle();
    peer.socket.resume();
    await client.response(1);
    assert.equal(peer.bytesReceived - before, LIMITS.h2StreamWindowBytes);
    assert.equal((await proxy.nextLogLine())['fault'], null);
  });

  test('of the client\'s side leaves the application its last words: browsers wait for its close frame', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    peer.socket.removeAllListeners('end');
    let hasEnded = false;
    peer.socket.on('end', () => { hasEnded = true; });
    send('close', FLAG.END_STREAM);
    await eventually('the application hears of the end', () => hasEnded);
    peer.send('close too');
    await eventually('the client hears the answer', () => client.peek(1).body === 'close too');
    assert.equal(client.peek(1).isComplete, false);
    peer.socket.end(', and goodbye');
    const {body, isComplete, reset: code} = await client.response(1);
    assert.deepEqual([body, isComplete, code], ['close too, and goodbye', true, null]);
    assert.equal((await proxy.nextLogLine())['fault'], null);
    assert.deepEqual(proxy.faults(), {});
  });

  test('of the client\'s side is the whole end where the application does not answer it', async (context) => {
    const {proxy, upstream} = await startStage(context, {websocket: {...WEBSOCKET, idleMs: 3_600_000}});
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    peer.socket.removeAllListeners('end');
    send('goodbye', FLAG.END_STREAM);
    await eventually('the application has it', () => peer.received === 'goodbye');
    await settle();
    proxy.passAlmost(LIMITS.tunnelFarewellMs);
    await settle();
    assert.equal(client.peek(1).isComplete, false);
    proxy.passRest();
    assert.equal((await client.response(1)).reset, null);
    proxy.pass(LIMITS.lingerMs + 2 * LIMITS.wheelTickMs);
    await eventually('the application\'s connection is gone', () => proxy.slot('acme', 'app', upstream.port).connections === 0);
    assert.deepEqual(proxy.faults(), {});
  });

  for (const [how, end] of [['a reset', (client: Http2Client) => client.send(reset(1))], ['the end of its connection', (client: Http2Client) => client.destroy()]] as const) {
    test(`by ${how} reaches the application`, async (context) => {
      const {proxy, upstream} = await startStage(context);
      const {client, peer} = await openStream(context, {proxy, upstream});
      end(client);
      await eventually('the application hears of it', () => !peer.isOpen);
      const line = await proxy.nextLogLine();
      assert.deepEqual([line['status'], line['fault']], [101, null]);
      assert.deepEqual(proxy.faults(), {});
    });
  }

  test('of a stream leaves the others of its connection alone', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const one = await openStream(context, {proxy, upstream});
    const other = await openStream(context, {proxy, upstream}, 3, one.client);
    one.peer.socket.resetAndDestroy();
    await eventually('it ends', () => one.client.peek(1).isComplete);
    other.send('still here');
    await eventually('the other one carries bytes', () => other.peer.received === 'still here');
  });

  test('by a violation on its connection is the violation\'s', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openStream(context, {proxy, upstream});
    client.send(data(99, 'x'));
    await client.ended();
    await eventually('the application\'s connection ends', () => !peer.isOpen);
    assert.equal((await proxy.nextLogLine())['fault'], 'h2_protocol');
    assert.deepEqual(proxy.faults(), {h2_protocol: 2});
  });

  test('by fields behind the handshake, which only requests have', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openStream(context, {proxy, upstream});
    client.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1));
    assert.equal((await client.response(1)).reset, ERROR.PROTOCOL_ERROR);
    await eventually('the application\'s connection ends', () => !peer.isOpen);
    assert.deepEqual(proxy.faults(), {h2_request_malformed: 1});
  });
});

suite('time', () => {
  test('without a byte ends a tunnel, and not its connection', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openStream(context, {proxy, upstream});
    proxy.passAlmost(WEBSOCKET.idleMs);
    await settle();
    assert.equal(client.peek(1).isComplete, false);
    proxy.passRest();
    await eventually('the stream ends', () => client.peek(1).isComplete);
    await eventually('the application\'s side ends too', () => !peer.isOpen);
    assert.equal((await proxy.nextLogLine())['fault'], 'websocket_idle');
    assert.equal((await client.ask(3)).status, 200);
    assert.deepEqual(proxy.faults(), {websocket_idle: 1});
  });

  test('begins anew with bytes of either side, and no timeout of bodies or sessions counts', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, received, send} = await openStream(context, {proxy, upstream});
    for (let round = 0; round < 4; round++) {
      proxy.passAlmost(WEBSOCKET.idleMs);
      if (round % 2 === 0) send('x');
      else peer.send('x');
      await eventually('it is there', () => (round % 2 === 0 ? peer.received : received()).length === Math.floor(round / 2) + 1);
    }
    assert.equal(client.peek(1).isComplete, false);
    assert.deepEqual(proxy.faults(), {});
  });

  test('is bounded for a client that does not open its window', async (context) => {
    const {proxy, upstream} = await startStage(context, {websocket: {...WEBSOCKET, idleMs: 3_600_000}});
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    peer.send('x'.repeat(200_000));
    await eventually('the window is full', () => client.peek(1).body.length === 65_535);
    send('x');
    await eventually('what it sends still arrives', () => peer.received === 'x');
    proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
    assert.equal((await client.response(1)).reset, ERROR.ENHANCE_YOUR_CALM);
    await eventually('the application\'s side ends', () => !peer.isOpen);
    assert.deepEqual(proxy.faults(), {h2_window_stalled: 1});
  });
});

suite('backpressure', () => {
  /** What the kernel's buffers of one connection may take, generously. */
  const KERNEL_BYTES = 16 * MIB;

  test('a client that lets nothing out stops the application, and gets everything in the end', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, received} = await openStream(context, {proxy, upstream});
    const total = 32 * MIB;
    const block = Buffer.alloc(64 * 1024, 'x');
    let written = 0;
    const write = (): void => {
      while (written < total) {
        written += block.length;
        if (!peer.socket.write(block)) break;
      }
    };
    peer.socket.on('drain', write);
    write();
    for (let before = -1; before !== written; await settle(50)) before = written;
    assert.ok(written < KERNEL_BYTES, `${written} bytes were taken from an application whose client does not read`);
    assert.equal(received().length, 65_535);
    client.send(windowUpdate(0, 0x7000_0000), windowUpdate(1, 0x7000_0000));
    await eventually('everything has arrived', () => received().length === total);
    assert.deepEqual(proxy.faults(), {});
  });

  test('an application that reads nothing gets no more than the window holds', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    upstream.isParsing = false;
    peer.socket.pause();
    const before = peer.bytesReceived;
    const block = Buffer.alloc(16 * 1024);
    const credit = (): number => client.frames.filter(({type, streamId}) => type === FRAME.WINDOW_UPDATE && streamId === 1).reduce((sum, {payload}) => sum + payload.readUInt32BE(0), 256 * 1024);
    let sent = 0;
    for (let stuck = 0; stuck < 20; stuck++) {
      for (; sent + block.length <= credit(); stuck = 0) {
        send(block);
        sent += block.length;
      }
      await settle(5);
    }
    assert.ok(sent < KERNEL_BYTES, `${sent} bytes were taken for an application that does not read`);
    upstream.isParsing = true;
    assert.equal((await client.ask(3)).status, 200, 'the connection\'s window is not the tunnel\'s alone');
    upstream.isParsing = false;
    peer.socket.resume();
    await eventually('everything has arrived', () => peer.bytesReceived - before === sent);
    assert.deepEqual(proxy.faults(), {});
  });
});

suite('the daemon', () => {
  test('ends tunnels whose route a reload takes away, and leaves others', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openStream(context, {proxy, upstream});
    await proxy.reload({customers: [acmeOverTls(upstream.port, {websocket: WEBSOCKET, maxBodyBytes: 1})]});
    client.send(data(1, 'still here'));
    await eventually('it carries bytes', () => peer.received === 'still here');
    await proxy.reload({customers: [acmeOverTls(upstream.port, {websocket: null})]});
    await eventually('the stream ends', () => client.peek(1).isComplete);
    await eventually('the application\'s side ends', () => !peer.isOpen);
    assert.deepEqual(proxy.faults(), {route_withdrawn: 1});
  });

  test('leaves them their time when it drains, then cuts them', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, send} = await openStream(context, {proxy, upstream});
    proxy.proxy.beginDrain();
    await eventually('the client is told', () => client.goAways.length > 0);
    send('still here');
    await eventually('it carries bytes', () => peer.received === 'still here');
    await proxy.proxy.finish();
    await client.tls.ended();
    await eventually('the application\'s side ends', () => !peer.isOpen);
    assert.deepEqual(proxy.faults(), {drain_expired: 1});
  });

  test('counts them against the caps of client and customer, with those of HTTP/1.1', async (context) => {
    const {proxy, upstream} = await startStage(context);
    await proxy.reload({customers: [{...acmeOverTls(upstream.port, {websocket: WEBSOCKET}), caps: {websocketsMax: 3, websocketsPerClientMax: 2, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}}]});
    const {client} = await openStream(context, {proxy, upstream});
    await openStream(context, {proxy, upstream}, 3, client);
    client.send(connect(5));
    assert.equal((await client.response(5)).status, 429);
    client.send(reset(1));
    await eventually('its place is free', () => proxy.customerCounter('acme', 'tunnelsClosed') === 1);
    await openStream(context, {proxy, upstream}, 7, client);
    assert.deepEqual(proxy.faults(), {websockets_per_client: 1});
  });
});

test('an answer that is no upgrade is a response like any other, and the connection goes on', async (context) => {
  const {proxy, upstream} = await startStage(context);
  upstream.respond = () => 'HTTP/1.1 403 Forbidden\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nno';
  const client = await Http2Client.open(context, proxy);
  client.send(connect(1));
  const answer = await client.response(1);
  assert.deepEqual([answer.status, answer.body, answer.fields.some(([name]) => name === 'upgrade')], [403, 'no', false]);
  assert.equal((await proxy.nextLogLine())['status'], 403);
  upstream.respond = accept;
  client.send(get(3, GET));
  assert.equal((await client.response(3)).body, 'ok');
  assert.equal(upstream.peers.length, 1, 'the application keeps its connection');
  assert.deepEqual(proxy.faults(), {});
});
