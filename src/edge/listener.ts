/**
 * A listening socket of one proxy thread. All threads bind the same address (SO_REUSEPORT), and the kernel spreads the connections.
 * What can be refused is refused before TLS: that costs the most.
 */
import {constants} from 'node:crypto';
import {createServer, type Server, type Socket} from 'node:net';
import {createServer as createTlsServer, type SecureContext, type Server as TlsServer, type TLSSocket} from 'node:tls';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {parseIp} from '#src/core/ip.ts';
import {TLS_CIPHERS, TLS_GROUPS} from '#src/core/tls-parameters.ts';
import {identifyClient, type ClientIdentity} from '#src/policy/client-identity.ts';
import {adoptSocket} from '#src/edge/adopt-socket.ts';
import type {Certificates} from '#src/edge/certificates.ts';
import {ClientConnection} from '#src/edge/client-connection.ts';
import {ConnectionPlace} from '#src/edge/connection-place.ts';
import type {Edge} from '#src/edge/edge.ts';
import {Handshake} from '#src/edge/handshake.ts';
import {Http2Connection} from '#src/edge/http2-connection.ts';
import type {TlsFacts} from '#src/edge/request-handler.ts';

const BACKLOG = 4096;

/** How OpenSSL says that it has no certificate to show, in TLS 1.3 and 1.2. */
const WITHOUT_CERTIFICATE: ReadonlySet<string> = new Set(['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', 'ERR_SSL_NO_SHARED_CIPHER']);

export interface ListenerParts {
  readonly edge: Edge;
  readonly certificates: Certificates;
  readonly snapshot: ListenerSnapshot;
  readonly ticketKeys: Buffer;
}

export class Listener {
  /** A reload may change what does not need a new socket. Connections keep the one that they were accepted under. */
  snapshot: ListenerSnapshot;
  /** The bound port, once it listens. */
  port = 0;
  readonly #edge: Edge;
  readonly #certificates: Certificates;
  readonly #server: Server;
  /** Accepted sockets with a TLS handshake in flight. */
  readonly #handshaking = new Map<Socket, Handshake>();
  /** Handshakes go through it; the sockets are `#server`'s. */
  #tlsServer: TlsServer | null;
  #ticketKeys: Buffer;
  #handshakeMs: number;
  #isHttp2Offered: boolean;

  constructor(parts: ListenerParts) {
    this.snapshot = parts.snapshot;
    this.#edge = parts.edge;
    this.#certificates = parts.certificates;
    const isCleartext = parts.snapshot.protocol === 'http';
    this.#server = createServer({noDelay: true, allowHalfOpen: false, pauseOnConnect: isCleartext}, (socket) => this.#accept(socket));
    this.#server.on('error', (error: NodeJS.ErrnoException) => this.#onServerError(error));
    this.#ticketKeys = parts.ticketKeys;
    this.#handshakeMs = parts.edge.timeouts.tlsHandshakeMs;
    this.#isHttp2Offered = parts.snapshot.http2;
    this.#tlsServer = parts.snapshot.protocol === 'https' ? this.#createTls() : null;
  }

  async listen(): Promise<void> {
    const {address, port} = this.snapshot;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // A dual-stack "::" would collide with "0.0.0.0" and show IPv4 peers as IPv6: each family has its own listener.
      this.#server.listen({host: address, port, backlog: BACKLOG, reusePort: port !== 0, ipv6Only: true}, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
    const bound = this.#server.address();
    this.port = typeof bound === 'object' && bound !== null ? bound.port : port;
  }

  /** Stops accepting. Connections of HTTP/1.1 that are open go on; those of HTTP/2 could for ever, and end after their requests. */
  close(): void {
    this.#server.close();
    this.#edge.endHttp2(this.snapshot);
  }

  setTicketKeys(keys: Buffer): void {
    this.#ticketKeys = keys;
    this.#tlsServer?.setTicketKeys(keys);
  }

  /** Takes over what a reload may have changed without needing a new socket. */
  reconfigure(snapshot: ListenerSnapshot): void {
    this.snapshot = snapshot;
    const {tlsHandshakeMs} = this.#edge.timeouts;
    if (this.#tlsServer === null || (tlsHandshakeMs === this.#handshakeMs && snapshot.http2 === this.#isHttp2Offered)) return;
    if (this.#isHttp2Offered && !snapshot.http2) this.#edge.endHttp2(snapshot);
    this.#handshakeMs = tlsHandshakeMs;
    this.#isHttp2Offered = snapshot.http2;
    this.#tlsServer = this.#createTls();
  }

  #onServerError(error: NodeJS.ErrnoException): void {
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#edge.countFault('descriptors_exhausted');
  }

  #accept(socket: Socket): void {
    const edge = this.#edge;
    edge.clock.refresh();
    const ip = socket.remoteAddress === undefined ? null : parseIp(socket.remoteAddress);
    if (ip === null) {
      socket.destroy();
      return;
    }
    const peer = identifyClient(ip, this.snapshot.protocol, edge.hash);
    const verdict = edge.admitConnection(peer);
    if (verdict !== null) {
      edge.countFault(verdict);
      socket.resetAndDestroy();
      return;
    }
    if (this.#tlsServer === null) this.#openCleartext(socket, peer);
    else {
      this.#handshaking.set(socket, new Handshake(edge.places, peer));
      socket.once('close', () => {
        this.#endHandshake(socket)?.place.free();
        edge.releaseConnection(peer);
      });
      socket.on('error', ignoreError);
      this.#tlsServer.emit('connection', socket);
    }
  }

  #openCleartext(accepted: Socket, peer: ClientIdentity): void {
    const edge = this.#edge;
    // The callback reaches the connection through this variable: the socket exists first.
    let connection: ClientConnection | null = null;
    const socket = adoptSocket(accepted, {
      buffer: edge.readBuffer,
      callback: (length) => {
        if (connection !== null) readLent(edge, connection, length);
        return true;
      },
    });
    socket.once('close', () => edge.releaseConnection(peer));
    connection = new ClientConnection(edge, socket, {peer, listener: this.snapshot, tls: null, place: new ConnectionPlace(edge.places.connections)});
    attach(edge, socket, connection);
  }

  // TLS.

  #createTls(): TlsServer {
    const server = createTlsServer({
      // The default context has no certificate: a handshake without a name that is served ends with an alert.
      ciphers: TLS_CIPHERS,
      ecdhCurve: TLS_GROUPS,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      honorCipherOrder: false,
      // Each renegotiation costs the server far more than the client (CVE-2011-1473), and nobody needs one: TLS 1.3 has none.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ALPNProtocols: this.#isHttp2Offered ? ['h2', 'http/1.1'] : ['http/1.1'],
      handshakeTimeout: this.#handshakeMs,
      ticketKeys: this.#ticketKeys,
      SNICallback: withAcceptedSocket((accepted, serverName, done) => this.#onServerName(accepted, serverName, done)),
    });
    server.on('secureConnection', (socket) => this.#onSecure(socket));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => this.#onTlsError(error, socket));
    return server;
  }

  /** The client's hello has asked for a name. A session that is resumed needs no certificate, and does not come here. */
  #onServerName(accepted: Socket, serverName: string, done: ServerNameAnswer): void {
    const certificate = this.#certificates.find(serverName.toLowerCase());
    const accounts = certificate === undefined ? undefined : this.#edge.findAccounts(certificate.customer);
    const fault = accounts === undefined ? null : this.#handshaking.get(accepted)?.assign(accounts) ?? null;
    if (fault === null) done(null, certificate?.context);
    else done(new Error(fault));
  }

  /** Once for each; a handshake that fails ends with its socket. */
  #endHandshake(accepted: Socket): Handshake | undefined {
    const handshake = this.#handshaking.get(accepted);
    if (handshake === undefined) return undefined;
    this.#handshaking.delete(accepted);
    handshake.end();
    return handshake;
  }

  #onSecure(socket: TLSSocket): void {
    const edge = this.#edge;
    edge.clock.refresh();
    const place = this.#endHandshake(acceptedSocketOf(socket))?.place ?? new ConnectionPlace(edge.places.connections);
    const serverName = typeof socket.servername === 'string' ? socket.servername.toLowerCase() : '';
    const certificate = this.#certificates.find(serverName);
    const ip = socket.remoteAddress === undefined ? null : parseIp(socket.remoteAddress);
    edge.count('tlsHandshakes');
    if (socket.isSessionReused()) edge.count('tlsResumed');
    // OpenSSL forgets the name of a session that is resumed over TLS 1.2. The session was made here, for a name that was served.
    const isNameForgotten = serverName === '' && socket.isSessionReused() && socket.getProtocol() === 'TLSv1.2';
    // A resumed session shows no certificate, so the name is checked here as well.
    if ((certificate === undefined && !isNameForgotten) || ip === null) {
      this.#refuse(socket, place, 'sni_unknown');
      return;
    }
    const facts: TlsFacts = {serverName, customer: certificate?.customer ?? '', version: socket.getProtocol() ?? '', cipher: socket.getCipher().standardName};
    const accounts = edge.findAccounts(facts.customer);
    const fault = accounts === undefined ? null : place.take(accounts.connections);
    if (fault !== null) {
      this.#refuse(socket, place, fault);
      return;
    }
    const peer = identifyClient(ip, 'https', edge.hash);
    const Connection = socket.alpnProtocol === 'h2' ? Http2Connection : ClientConnection;
    const connection = new Connection(edge, socket, {peer, listener: this.snapshot, tls: facts, place});
    attachSecure(edge, socket, connection);
  }

  #refuse(socket: TLSSocket, place: ConnectionPlace, fault: FaultCode): void {
    this.#edge.countFault(fault);
    place.free();
    socket.destroy();
  }

  #onTlsError(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const serverName = typeof socket.servername === 'string' ? socket.servername : '';
    const isUnknown = WITHOUT_CERTIFICATE.has(error.code ?? '') && this.#certificates.find(serverName.toLowerCase()) === undefined;
    const fault = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'tls_timeout' : isUnknown ? 'sni_unknown' : 'tls_failed';
    this.#edge.countFault(this.#handshaking.get(acceptedSocketOf(socket))?.fault ?? fault);
    socket.destroy();
  }
}

type ServerNameAnswer = (error: Error | null, context?: SecureContext) => void;

/** Node calls it as a method of the `TLSSocket` of the handshake, without documenting it: the tests of the caps see whether it does. */
function withAcceptedSocket(act: (accepted: Socket, serverName: string, done: ServerNameAnswer) => void) {
  return function onServerName(this: TLSSocket, serverName: string, done: ServerNameAnswer): void {
    act(acceptedSocketOf(this), serverName, done);
  };
}

function ignoreError(): void {
  // The close event follows and does what there is to do.
}

/** What `TLSSocket` of Node keeps the socket as that it was made of, without documenting it. */
interface Wrapping {
  readonly _parent: Socket;
}

/** Were it another one, each handshake would keep its place until its connection ends: the tests of the caps see that. */
function acceptedSocketOf(socket: TLSSocket): Socket {
  return (socket as unknown as Wrapping)._parent;
}

/** `edge.run` without its closure: this event is the hot one. */
function readLent(edge: Edge, connection: ClientConnection, length: number): void {
  edge.clock.refresh();
  try {
    connection.onLentData(length);
  } catch (error) {
    giveUp(connection, error, edge.reportBug);
  }
}

/** The same where a read brings bytes of its own. */
function read(edge: Edge, connection: ClientConnection | Http2Connection, chunk: Buffer): void {
  edge.clock.refresh();
  try {
    connection.onData(chunk);
  } catch (error) {
    giveUp(connection, error, edge.reportBug);
  }
}

function attachSecure(edge: Edge, socket: TLSSocket, connection: ClientConnection | Http2Connection): void {
  socket.on('data', (chunk: Buffer) => read(edge, connection, chunk));
  attach(edge, socket, connection);
}

/** Brings the socket's other events to the connection. */
function attach(edge: Edge, socket: Socket, connection: ClientConnection | Http2Connection): void {
  socket.on('drain', () => edge.run(connection, () => connection.onDrain()));
  socket.on('end', () => edge.run(connection, () => connection.onEnd()));
  socket.on('error', ignoreError);
  socket.on('close', () => {
    edge.run(connection, () => connection.onClose());
    connection.memo.place.free();
  });
}
