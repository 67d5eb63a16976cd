/**
 * Bytes both ways between a client and the backend, over sockets as Torwart has them, and nothing else: no byte is looked at, but for the frames
 * of HTTP/2. What this costs is what a proxy on this runtime costs before it does anything, so the distance to it is all that Torwart's own code
 * can ever save.
 */
import {readFileSync} from 'node:fs';
import {connect, createServer, type OnReadOpts, type Socket} from 'node:net';
import {createSecureContext} from 'node:tls';
import {openCleartextSocket, openSecureSocket, takeConnections, type AcceptedHandle} from '#src/edge/accepted-sockets.ts';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';
import {hostName} from '../harness/sites.ts';
import {Http2Relay, type RelayPlace} from './http2-relay.ts';

const {HTTP_PORT, HTTPS_PORT, BACKEND_PORT, CERT, KEY} = process.env;

const buffer = Buffer.allocUnsafeSlow(128 * 1024), pool = new BufferPool(buffer.length, 32);

interface Side {
  writer: SocketWriter | null;
}

function pass(length: number, {writer}: Side): true {
  writer?.addLent(buffer, 0, length);
  writer?.flush();
  return true;
}

/** What is read of one socket is written to the other side's. */
function readInto(other: Side): OnReadOpts {
  return {buffer, callback: (length) => pass(length, other)};
}

function open(side: Side, socket: Socket, isCleartext: boolean): void {
  side.writer = new SocketWriter(socket, isCleartext, pool);
}

function endTogether(first: Socket, second: Socket): void {
  for (const [one, other] of [[first, second], [second, first]] as const) {
    one.on('error', () => undefined);
    one.once('close', () => other.end());
    one.once('end', () => other.end());
  }
}

/** Opens the application's side of a client's connection. */
function relay(downstream: Socket, isCleartext: boolean): Side {
  const client: Side = {writer: null}, application: Side = {writer: null};
  const upstream = connect({host: '127.0.0.1', port: Number(BACKEND_PORT), noDelay: true, onread: readInto(client)});
  open(application, upstream, true);
  open(client, downstream, isCleartext);
  endTogether(upstream, downstream);
  return application;
}

function listen(port: string, accept: (handle: AcceptedHandle) => void): void {
  const server = createServer().listen({port: Number(port), host: '127.0.0.1', backlog: 4096}, () => takeConnections(server, (handle) => {
    handle.setNoDelay(true);
    accept(handle);
  }));
}

listen(HTTP_PORT ?? '', (handle) => {
  const side: Side = {writer: null};
  side.writer = relay(openCleartextSocket(handle, readInto(side)), true).writer;
});
if (HTTPS_PORT !== undefined && CERT !== undefined && KEY !== undefined) {
  const secureContext = createSecureContext({cert: readFileSync(CERT), key: readFileSync(KEY)});
  const ALPNProtocols = Buffer.from('\x02h2\x08http/1.1', 'latin1');
  const place: RelayPlace = {backendPort: Number(BACKEND_PORT), request: `GET / HTTP/1.1\r\nhost: ${hostName(0)}\r\n\r\n`, buffer, pool};
  listen(HTTPS_PORT, (handle) => {
    const side: Side = {writer: null};
    let http2: Http2Relay | null = null;
    const onread: OnReadOpts = {buffer, callback: (length) => http2?.read(buffer.subarray(0, length)) ?? pass(length, side)};
    const socket = openSecureSocket(handle, {onread, secureContext, ALPNProtocols, SNICallback: (_, done) => done(null, secureContext)});
    socket.once('secure', () => {
      if (socket.alpnProtocol === 'h2') http2 = new Http2Relay(socket.on('error', () => undefined), place);
      else side.writer = relay(socket, false).writer;
    });
  });
}
