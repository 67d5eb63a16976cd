/**
 * Bytes both ways between a client and the backend, over sockets as Torwart has them, and nothing else: no byte is looked at. What this costs
 * is what a proxy on this runtime costs before it does anything, so the distance to it is all that Torwart's own code can ever save.
 */
import {readFileSync} from 'node:fs';
import {connect, createServer, type OnReadOpts, type Socket} from 'node:net';
import {createSecureContext} from 'node:tls';
import {openCleartextSocket, openSecureSocket, takeConnections, type AcceptedHandle} from '#src/edge/accepted-sockets.ts';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';

const {HTTP_PORT, HTTPS_PORT, BACKEND_PORT, CERT, KEY} = process.env;

const buffer = Buffer.allocUnsafeSlow(128 * 1024), pool = new BufferPool(buffer.length, 32);

interface Side {
  writer: SocketWriter | null;
}

/** What is read of one socket is written to the other side's. */
function readInto(other: Side): OnReadOpts {
  return {
    buffer,
    callback: (length) => {
      other.writer?.addLent(buffer, 0, length);
      other.writer?.flush();
      return true;
    },
  };
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

function relay(openClient: (onread: OnReadOpts) => Socket, isCleartext: boolean): void {
  const client: Side = {writer: null}, application: Side = {writer: null};
  const upstream = connect({host: '127.0.0.1', port: Number(BACKEND_PORT), noDelay: true, onread: readInto(client)});
  const downstream = openClient(readInto(application));
  open(application, upstream, true);
  open(client, downstream, isCleartext);
  endTogether(upstream, downstream);
}

function listen(port: string, accept: (handle: AcceptedHandle) => void): void {
  const server = createServer().listen({port: Number(port), host: '127.0.0.1', backlog: 4096}, () => takeConnections(server, (handle) => {
    handle.setNoDelay(true);
    accept(handle);
  }));
}

listen(HTTP_PORT ?? '', (handle) => relay((onread) => openCleartextSocket(handle, onread), true));
if (HTTPS_PORT !== undefined && CERT !== undefined && KEY !== undefined) {
  const secureContext = createSecureContext({cert: readFileSync(CERT), key: readFileSync(KEY)});
  const ALPNProtocols = Buffer.from('\x08http/1.1', 'latin1');
  listen(HTTPS_PORT, (handle) => relay((onread) => openSecureSocket(handle, {onread, secureContext, ALPNProtocols, SNICallback: (_, done) => done(null, secureContext)}), false));
}
