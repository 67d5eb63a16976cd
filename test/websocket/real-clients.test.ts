/** With the clients and servers that applications use (`ws`): what they agree on between them passes. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {connect, type IncomingHttpHeaders, type IncomingHttpStatusHeader} from 'node:http2';
import type {AddressInfo} from 'node:net';
import {test, type TestContext} from 'node:test';
import {WebSocket, WebSocketServer, type ClientOptions, type ServerOptions} from 'ws';
import {eventually} from '#test/support/eventually.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTP, HTTPS, acme, certificate, node} from '#test/support/snapshots.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {WEBSOCKET} from '#test/websocket/handshakes.ts';

const TUNNELS = 1000;

/** An application that sends back what it gets. */
async function startEcho(context: TestContext, options: ServerOptions = {}): Promise<number> {
  const server = new WebSocketServer({host: '127.0.0.1', port: 0, ...options});
  await once(server, 'listening');
  context.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
  });
  return (server.address() as AddressInfo).port;
}

function dial(context: TestContext, url: string, options: ClientOptions = {}, protocols: readonly string[] = []): WebSocket {
  const socket = new WebSocket(url, [...protocols], {headers: {host: 'acme.test'}, ...options});
  context.after(() => { socket.terminate(); });
  return socket;
}

async function nextMessage(socket: WebSocket): Promise<Buffer> {
  const [data] = await once(socket, 'message') as [Buffer];
  return data;
}

test('text, binary, fragments, compression, ping and close', async (context) => {
  const proxy = await ProxyHarness.start(context, {customers: [acme([await startEcho(context, {perMessageDeflate: {threshold: 0}})], {route: {websocket: WEBSOCKET}})]});
  const socket = dial(context, `ws://127.0.0.1:${proxy.ports['http']}/ws`, {origin: 'http://acme.test', perMessageDeflate: {threshold: 0}});
  await once(socket, 'open');
  assert.match(socket.extensions, /permessage-deflate/);
  socket.send('grüße');
  assert.equal((await nextMessage(socket)).toString(), 'grüße');
  const large = Buffer.from(Array.from({length: 3_000_000}, (_, i) => (i * 7919) & 0xff));
  socket.send(large);
  assert.ok((await nextMessage(socket)).equals(large));
  socket.send('one ', {fin: false});
  socket.send('two', {fin: true});
  assert.equal((await nextMessage(socket)).toString(), 'one two');
  socket.ping('are you there');
  assert.equal(String((await once(socket, 'pong'))[0]), 'are you there');
  socket.close(4001, 'enough');
  const [code] = await once(socket, 'close') as [number];
  assert.equal(code, 4001, 'the application has answered the close');
  const line = await proxy.nextLogLine();
  assert.deepEqual([line['status'], line['fault'], line['protocol']], [101, null, 'HTTP/1.1']);
  assert.ok(Number(line['bytes_in']) > 3_000 && Number(line['bytes_out']) > 3_000);
});

test('subprotocols, and over TLS', async (context) => {
  const port = await startEcho(context, {handleProtocols: (offered) => (offered.has('chat.v2') ? 'chat.v2' : false)});
  const pair = await makeCertificate(['acme.test']);
  const customer = {...acme([port], {route: {websocket: WEBSOCKET}}), certificates: [certificate(pair, ['acme.test'])]};
  const proxy = await ProxyHarness.start(context, {node: node({listeners: [HTTP, HTTPS]}), customers: [customer]});
  const options = {origin: 'https://acme.test', servername: 'acme.test', rejectUnauthorized: false};
  const socket = dial(context, `wss://127.0.0.1:${proxy.ports['https']}/ws`, options, ['chat', 'chat.v2']);
  await once(socket, 'open');
  assert.equal(socket.protocol, 'chat.v2');
  socket.send('hello');
  assert.equal((await nextMessage(socket)).toString(), 'hello');
});

/** RFC 6455 §5: a text of less than 126 bytes, as a client sends it, with a mask of zeros. */
function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.of(0x81, 0x80 | text.length, 0, 0, 0, 0), Buffer.from(text)]);
}

test('over HTTP/2, with node:http2 as the client', async (context) => {
  const pair = await makeCertificate(['acme.test']);
  const customer = {...acme([await startEcho(context)], {route: {websocket: WEBSOCKET}}), certificates: [certificate(pair, ['acme.test'])]};
  const proxy = await ProxyHarness.start(context, {node: {listeners: [HTTP, HTTPS]}, customers: [customer]});
  const session = connect(`https://127.0.0.1:${proxy.ports['https']}`, {servername: 'acme.test', rejectUnauthorized: false});
  context.after(() => { session.destroy(); });
  await once(session, 'remoteSettings');
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':authority': 'acme.test', ':path': '/ws', 'sec-websocket-version': '13'});
  const [headers] = await once(stream, 'response') as [IncomingHttpHeaders & IncomingHttpStatusHeader];
  assert.equal(headers[':status'], 200);
  stream.write(textFrame('hello'));
  const [echo] = await once(stream, 'data') as [Buffer];
  assert.deepEqual(echo, Buffer.concat([Buffer.of(0x81, 5), Buffer.from('hello')]));
  // A close with the status 1000: the application answers it, and ends.
  const ended = once(stream, 'close');
  stream.end(Buffer.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8));
  const [close] = await once(stream, 'data') as [Buffer];
  assert.deepEqual(close, Buffer.of(0x88, 0x02, 0x03, 0xe8));
  await ended;
  assert.equal(stream.rstCode, 0);
  const line = await proxy.nextLogLine();
  assert.deepEqual([line['status'], line['fault'], line['protocol']], [101, null, 'HTTP/2']);
  assert.deepEqual(proxy.faults(), {});
});

test('a page that may not is told so', async (context) => {
  const proxy = await ProxyHarness.start(context, {customers: [acme([await startEcho(context)], {route: {websocket: WEBSOCKET}})]});
  const socket = dial(context, `ws://127.0.0.1:${proxy.ports['http']}/ws`, {origin: 'https://evil.test'});
  const [error] = await once(socket, 'error') as [Error];
  assert.match(error.message, /403/);
});

test(`${TUNNELS} at once, each with answers of its own`, async (context) => {
  const port = await startEcho(context, {perMessageDeflate: false});
  const customer = acme([port], {route: {websocket: WEBSOCKET}, pool: {connectionsMax: TUNNELS}});
  const caps = {connectionsMax: TUNNELS, connectionsPerClientMax: TUNNELS, handshakesMax: 1000, handshakesPerClientMax: 1000, requestsMax: 1000, requestsPerClientMax: 1000, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30};
  const proxy = await ProxyHarness.start(context, {node: node({caps}), customers: [customer]});
  const sockets = Array.from({length: TUNNELS}, () => dial(context, `ws://127.0.0.1:${proxy.ports['http']}/ws`, {perMessageDeflate: false}));
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  assert.equal(proxy.customerCounter('acme', 'tunnelsOpened'), TUNNELS);
  await Promise.all(sockets.map(async (socket, index) => {
    for (let round = 0; round < 3; round++) {
      const text = `${index}.${round} `.repeat(20);
      socket.send(text);
      assert.equal((await nextMessage(socket)).toString(), text);
    }
  }));
  for (const socket of sockets) socket.close();
  await eventually('all have ended', () => proxy.customerCounter('acme', 'tunnelsClosed') === TUNNELS && proxy.proxy.openConnections === 0);
  await eventually('they are no load any more', () => proxy.slot('acme', 'app', port).requests === 0);
  assert.deepEqual(proxy.faults(), {});
});
