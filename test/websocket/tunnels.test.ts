/** What becomes of a WebSocket once it is open. */
import assert from 'node:assert/strict';
import {suite, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {PROBE} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {fieldOf, fieldsOf, statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS} from '#test/support/snapshots.ts';
import {ACCEPT, KEY, WEBSOCKET, acceptance, handshake, openTunnel, startStage} from '#test/websocket/handshakes.ts';

const MIB = 1024 * 1024;

test('the handshake is written anew on both sides', async (context) => {
  const {proxy, upstream} = await startStage(context);
  upstream.respond = () => acceptance({'sec-websocket-protocol': 'chat', server: 'evil/1.0', 'set-cookie': 'a=1', connection: 'Upgrade, x-hop', 'x-hop': '1'});
  const client = await proxy.connect(context);
  client.send(handshake({connection: 'keep-alive, Upgrade, x-hop', 'x-hop': '1', upgrade: 'WebSocket', 'sec-websocket-protocol': 'chat, mqtt', origin: 'http://acme.test'}));
  const answer = await client.response();
  const request = await upstream.nextRequest();
  assert.equal(request.startLine, 'GET /ws HTTP/1.1');
  assert.deepEqual([fieldsOf(request, 'connection'), fieldsOf(request, 'upgrade'), fieldOf(request, 'x-hop')], [['Upgrade'], ['websocket'], undefined]);
  assert.deepEqual([fieldOf(request, 'sec-websocket-key'), fieldOf(request, 'sec-websocket-protocol'), fieldOf(request, 'origin')], [KEY, 'chat, mqtt', 'http://acme.test']);
  assert.equal(fieldOf(request, 'x-forwarded-for'), '127.0.0.1');
  assert.equal(answer.startLine, 'HTTP/1.1 101 Switching Protocols');
  assert.deepEqual([fieldsOf(answer, 'connection'), fieldsOf(answer, 'upgrade'), fieldOf(answer, 'x-hop'), fieldOf(answer, 'server')], [['Upgrade'], ['websocket'], undefined, undefined]);
  assert.deepEqual([fieldOf(answer, 'sec-websocket-accept'), fieldOf(answer, 'sec-websocket-protocol'), fieldOf(answer, 'set-cookie')], [ACCEPT, 'chat', 'a=1']);
  assert.deepEqual([fieldOf(answer, 'content-length'), fieldOf(answer, 'transfer-encoding')], [undefined, undefined]);
});

test('bytes go both ways as they are, those right behind the answer first', async (context) => {
  const {proxy, upstream} = await startStage(context);
  const every = Buffer.from(Array.from({length: 256}, (_, byte) => byte)).toString('latin1');
  upstream.respond = () => `${acceptance()}first${every}`;
  const client = await proxy.connect(context);
  client.send(handshake());
  await client.response();
  const {peer} = await upstream.nextRequest();
  await eventually('what came with the answer is here', () => client.received === `first${every}`);
  peer.received = '';
  client.send(every);
  await eventually('the application has it', () => peer.received === every);
  client.send(PROBE);
  await eventually('a request is bytes like others', () => peer.received === every + PROBE);
  peer.send('HTTP/1.1 200 OK\r\n\r\n');
  await eventually('and so is a response', () => client.received.endsWith('HTTP/1.1 200 OK\r\n\r\n'));
});

test('every byte of both ways is counted, those of the handshake as well', async (context) => {
  const {proxy, upstream} = await startStage(context);
  upstream.respond = () => `${acceptance()}first`;
  const {client, peer, answer} = await openTunnel(context, {proxy, upstream});
  upstream.isParsing = false;
  const [there, back] = [300_000, 200_000];
  const before = peer.bytesReceived;
  client.socket.write(Buffer.alloc(there));
  peer.socket.write(Buffer.alloc(back));
  await eventually('all of it has come', () => peer.bytesReceived - before === there && client.received.length === 'first'.length + back);
  client.destroy();
  const line = await proxy.nextLogLine();
  const expected = [handshake().length + there, answer.raw.length + 'first'.length + back];
  assert.deepEqual([line['bytes_in'], line['bytes_out']], expected);
  assert.deepEqual([proxy.customerCounter('acme', 'bytesReceived'), proxy.customerCounter('acme', 'bytesSent')], expected);
});

suite('the end', () => {
  test('of the application\'s side ends the client\'s, after its last bytes; one line is logged', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer, answer} = await openTunnel(context, {proxy, upstream}, handshake({'user-agent': 'tester'}));
    client.send('hello');
    await eventually('the application has it', () => peer.received === 'hello');
    assert.equal(proxy.readLogText(), '', 'nothing is logged while it is open');
    proxy.time.pass(7_000);
    peer.socket.end('goodbye');
    assert.equal(await client.ended(), 'orderly');
    assert.equal(client.received, 'goodbye');
    const line = await proxy.nextLogLine();
    assert.deepEqual([line['status'], line['fault'], line['customer'], line['pool'], line['user_agent'], line['duration_ms']], [101, null, 'acme', 'app', 'tester', 7_000]);
    assert.equal(line['upstream'], `127.0.0.1:${upstream.port}`);
    assert.equal(line['bytes_in'], handshake({'user-agent': 'tester'}).length + 'hello'.length);
    assert.equal(line['bytes_out'], answer.raw.length + 'goodbye'.length);
    assert.deepEqual(proxy.faults(), {});
    client.socket.end();
    await eventually('nothing is left', () => proxy.proxy.openConnections === 0 && upstream.openConnections === 0);
    // Both ends of a connection learn of its end, and not in the same turn.
    await eventually('nor in the counts', () => proxy.slot('acme', 'app', upstream.port).requests === 0 && proxy.slot('acme', 'app', upstream.port).connections === 0);
  });

  test('of the client\'s side ends the application\'s, after its last bytes', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    assert.equal(proxy.slot('acme', 'app', upstream.port).requests, 1, 'an open tunnel is load');
    client.socket.end('goodbye');
    await eventually('the application\'s connection ends', () => !peer.isOpen);
    assert.equal(peer.received, 'goodbye');
    const line = await proxy.nextLogLine();
    assert.deepEqual([line['status'], line['fault']], [101, null]);
    await eventually('it is no load any more', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
  });

  test('by a reset is an end like others', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const one = await openTunnel(context, {proxy, upstream});
    one.client.socket.resetAndDestroy();
    await eventually('the application hears of it', () => !one.peer.isOpen);
    const other = await openTunnel(context, {proxy, upstream});
    other.peer.socket.resetAndDestroy();
    await other.client.ended();
    for (let i = 0; i < 2; i++) assert.equal((await proxy.nextLogLine())['status'], 101);
    assert.deepEqual(proxy.faults(), {});
  });

  test('leaves no connection for others', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    peer.socket.end();
    await client.ended();
    await proxy.forgetLog();
    const next = await proxy.connect(context);
    next.send(PROBE);
    assert.equal(statusOf(await next.response()), 200);
    assert.equal(upstream.peers.length, 2);
  });

  test('comes to an application that does not answer the end', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    peer.socket.removeAllListeners('end');
    client.destroy();
    await eventually('the tunnel has ended', () => proxy.proxy.openConnections === 0);
    proxy.pass(LIMITS.lingerMs + 2 * LIMITS.wheelTickMs);
    await eventually('and its connections', () => proxy.slot('acme', 'app', upstream.port).connections === 0);
  });
});

suite('time', () => {
  test('without a byte ends a tunnel', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    proxy.passAlmost(WEBSOCKET.idleMs);
    await settle();
    assert.equal(client.end, 'none');
    proxy.passRest();
    assert.equal(await client.ended(), 'orderly');
    await eventually('the application\'s side ends too', () => !peer.isOpen);
    const line = await proxy.nextLogLine();
    assert.deepEqual([line['status'], line['fault']], [101, 'websocket_idle']);
    assert.deepEqual(proxy.faults(), {websocket_idle: 1});
  });

  test('begins anew with bytes of either side, and no other timeout counts', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    for (let round = 0; round < 3; round++) {
      proxy.passAlmost(WEBSOCKET.idleMs);
      if (round % 2 === 0) client.send('x');
      else peer.send('x');
      await eventually('it is there', () => (round % 2 === 0 ? peer.received : client.received).length === Math.floor(round / 2) + 1);
    }
    assert.ok(3 * WEBSOCKET.idleMs > ROUTE_TIMEOUTS.responseIdleMs);
    assert.equal(client.end, 'none');
    assert.deepEqual(proxy.faults(), {});
  });

  test('is bounded for a client that does not read, though it sends', async (context) => {
    const {proxy, upstream} = await startStage(context, {websocket: {...WEBSOCKET, idleMs: 3_600_000}});
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    client.socket.pause();
    peer.socket.write(Buffer.alloc(32 * MIB));
    await settle(100);
    client.send('x');
    await eventually('what it sends still arrives', () => peer.received === 'x');
    proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
    await eventually('it is cut', () => proxy.proxy.openConnections === 0);
    assert.deepEqual(proxy.faults(), {client_stalled: 1});
  });

  test('is bounded for an application that does not read, though it sends', async (context) => {
    const {proxy, upstream} = await startStage(context, {websocket: {...WEBSOCKET, idleMs: 3_600_000}});
    const {client, peer} = await openTunnel(context, {proxy, upstream});
    peer.socket.pause();
    client.socket.write(Buffer.alloc(32 * MIB));
    await settle(100);
    peer.send('x');
    await eventually('what it sends still arrives', () => client.received === 'x');
    proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
    await eventually('it is cut', () => proxy.proxy.openConnections === 0);
    assert.deepEqual(proxy.faults(), {response_head_timeout: 1});
  });
});

suite('backpressure', () => {
  const TOTAL = 48 * MIB;
  /** What the kernel's buffers of two connections may take, generously; the proxy's own share is far smaller. */
  const KERNEL_BYTES = 24 * MIB;

  for (const [slow, towardsClient] of [['client', true], ['application', false]] as const) {
    test(`a ${slow} that reads slowly slows the other side down, and gets everything`, async (context) => {
      const {proxy, upstream} = await startStage(context);
      const {client, peer} = await openTunnel(context, {proxy, upstream});
      upstream.isParsing = false;
      const [reader, writer] = towardsClient ? [client.socket, peer.socket] : [peer.socket, client.socket];
      reader.removeAllListeners('data');
      reader.pause();
      const block = Buffer.alloc(64 * 1024, 'x');
      let written = 0, read = 0;
      const write = (): void => {
        while (written < TOTAL) {
          written += block.length;
          if (!writer.write(block)) break;
        }
      };
      writer.on('drain', write);
      write();
      for (let before = -1; before !== written; await settle(50)) before = written;
      assert.ok(written < KERNEL_BYTES, `${written} bytes were taken from a side whose other side does not read`);
      reader.on('data', (chunk: Buffer) => { read += chunk.length; });
      reader.resume();
      await eventually('everything has arrived', () => read === TOTAL);
      assert.deepEqual(proxy.faults(), {});
    });
  }
});
