/**
 * A listening socket of one proxy thread. All threads bind the same address (SO_REUSEPORT), and the kernel spreads the connections.
 * What can be refused is refused before TLS: that costs the most.
 */
import {constants} from 'node:crypto';
import {createServer, type OnReadOpts, type Server, type Socket} from 'node:net';
import {createSecureContext, type SecureContext, type TLSSocket} from 'node:tls';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {parseIp} from '#src/core/ip.ts';
import {LIMITS} from '#src/core/limits.ts';
import {TLS_CIPHERS, TLS_GROUPS} from '#src/core/tls-parameters.ts';
import {identifyClient, type ClientIdentity} from '#src/policy/client-identity.ts';
import {openCleartextSocket, openSecureSocket, peerAddress, resetConnection, takeConnections, type AcceptedHandle, type ServerNameAnswer} from '#src/edge/accepted-sockets.ts';
import type {Certificates} from '#src/edge/certificates.ts';
import {ClientConnection} from '#src/edge/client-connection.ts';
import {ConnectionPlace} from '#src/edge/connection-place.ts';
import type {Edge} from '#src/edge/edge.ts';
import {Handshake} from '#src/edge/handshake.ts';
import {Http2Connection} from '#src/edge/http2-connection.ts';
import {RecordWatch} from '#src/edge/record-watch.ts';
import type {TlsFacts} from '#src/edge/request-handler.ts';

const BACKLOG = 4096;

/** As RFC 7301 §3.1 has them: each behind its length. */
const ALPN_HTTP1 = Buffer.from('\x08http/1.1', 'latin1'), ALPN_HTTP2 = Buffer.from('\x02h2\x08http/1.1', 'latin1');

/** How OpenSSL says that it has no certificate to show, in TLS 1.3 and 1.2. */
const WITHOUT_CERTIFICATE: ReadonlySet<string> = new Set(['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', 'ERR_SSL_NO_SHARED_CIPHER']);

/** Sessions are resumed by any listener and thread with the same keys (`SSL_CTX_set_session_id_context`, which OpenSSL asks servers for). */
const SESSION_ID_CONTEXT = 'torwart';

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
  /** What handshakes begin under; null in cleartext. */
  #secureContext: SecureContext | null;
  #isClosed = false;

  constructor(parts: ListenerParts) {
    this.snapshot = parts.snapshot;
    this.#edge = parts.edge;
    this.#certificates = parts.certificates;
    this.#server = createServer();
    this.#server.on('error', (error: NodeJS.ErrnoException) => this.#onServerError(error));
    this.#secureContext = parts.snapshot.protocol === 'https' ? createListenerContext(parts.ticketKeys) : null;
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
    takeConnections(this.#server, (handle) => this.#accept(handle));
    const bound = this.#server.address();
    this.port = typeof bound === 'object' && bound !== null ? bound.port : port;
  }

  /** Stops accepting. Connections of HTTP/1.1 that are open go on; those of HTTP/2 could for ever, and end after their requests. */
  close(): void {
    this.#isClosed = true;
    this.#server.close();
    this.#edge.endHttp2(this.snapshot);
  }

  setTicketKeys(keys: Buffer): void {
    if (this.#secureContext !== null) this.#secureContext = createListenerContext(keys);
  }

  /** Takes over what a reload may have changed without needing a new socket. */
  reconfigure(snapshot: ListenerSnapshot): void {
    if (this.snapshot.http2 && !snapshot.http2) this.#edge.endHttp2(snapshot);
    this.snapshot = snapshot;
  }

  #onServerError(error: NodeJS.ErrnoException): void {
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#edge.countFault('descriptors_exhausted');
  }

  #accept(handle: AcceptedHandle): void {
    const edge = this.#edge;
    edge.clock.refresh();
    try {
      this.#open(handle);
    } catch (error) {
      edge.reportBug(error);
      resetConnection(handle);
    }
  }

  #open(handle: AcceptedHandle): void {
    const edge = this.#edge;
    const address = peerAddress(handle);
    const ip = address === undefined ? null : parseIp(address);
    if (ip === null) {
      resetConnection(handle);
      return;
    }
    const peer = identifyClient(ip, this.snapshot.protocol, edge.hash);
    const verdict = edge.admitConnection(peer);
    if (verdict !== null) {
      edge.countFault(verdict);
      resetConnection(handle);
      return;
    }
    try {
      handle.setNoDelay(true);
      if (this.#secureContext === null) this.#openCleartext(handle, peer);
      else this.#openSecure(handle, peer, this.#secureContext);
    } catch (error) {
      edge.releaseUnopened(peer);
      throw error;
    }
  }

  /** The callback reaches the connection through what it is put into: the socket exists first. */
  #readInto(reader: Reader): OnReadOpts {
    const edge = this.#edge;
    return {
      buffer: edge.readBuffer,
      callback: (length) => {
        if (reader.connection !== null) readLent(edge, reader.connection, length);
        return true;
      },
    };
  }

  #openCleartext(handle: AcceptedHandle, peer: ClientIdentity): void {
    const edge = this.#edge;
    const reader: Reader = {connection: null};
    const socket = openCleartextSocket(handle, this.#readInto(reader));
    socket.once('close', () => edge.releaseConnection(peer));
    this.#begin(socket, () => {
      const connection = new ClientConnection(edge, socket, {peer, listener: this.snapshot, tls: null, place: new ConnectionPlace(edge.places.connections), time: edge.timeMeter.strangers});
      reader.connection = connection;
      attach(edge, socket, connection);
    });
  }

  /** An exception is a bug. Now that there is a socket, that is what ends the connection: its close gives the places back. */
  #begin(socket: Socket, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#edge.reportBug(error);
      socket.on('error', ignoreError);
      socket.destroy();
    }
  }

  // TLS.

  #openSecure(handle: AcceptedHandle, peer: ClientIdentity, secureContext: SecureContext): void {
    const reader: Reader = {connection: null};
    const handshake = new Handshake(this.#edge, peer);
    const socket = openSecureSocket(handle, {
      secureContext,
      onread: this.#readInto(reader),
      ALPNProtocols: this.snapshot.http2 ? ALPN_HTTP2 : ALPN_HTTP1,
      SNICallback: (serverName, done) => this.#onServerName(handshake, serverName, done),
    });
    socket.once('close', () => handshake.onClose());
    this.#begin(socket, () => handshake.begin(socket, {
      onSecure: () => { reader.connection = this.#onSecure(socket, peer, handshake); },
      explainFailure: (code) => this.#explainFailure(socket, code),
    }));
  }

  /** The client's hello has asked for a name. A session that is resumed needs no certificate, and does not come here. */
  #onServerName(handshake: Handshake, serverName: string, done: ServerNameAnswer): void {
    const certificate = this.#certificates.find(serverName.toLowerCase());
    const accounts = certificate === undefined ? undefined : this.#edge.findAccounts(certificate.customer);
    const fault = accounts === undefined ? null : handshake.assign(accounts);
    const time = certificate === undefined ? undefined : this.#edge.findCustomerTime(certificate.customer);
    if (fault !== null) done(new Error(fault));
    else if (time === undefined) done(null, certificate?.context);
    else handshake.sign(time, () => done(null, certificate?.context));
  }

  #onSecure(socket: TLSSocket, peer: ClientIdentity, handshake: Handshake): ClientConnection | Http2Connection | null {
    const edge = this.#edge;
    const serverName = typeof socket.servername === 'string' ? socket.servername.toLowerCase() : '';
    const certificate = this.#certificates.find(serverName);
    edge.count('tlsHandshakes');
    if (socket.isSessionReused()) edge.count('tlsResumed');
    // OpenSSL forgets the name of a session that is resumed over TLS 1.2. The session was made here, for a name that was served.
    const isNameForgotten = serverName === '' && socket.isSessionReused() && socket.getProtocol() === 'TLSv1.2';
    // A resumed session shows no certificate, so the name is checked here as well.
    if (certificate === undefined && !isNameForgotten) {
      handshake.lose('sni_unknown');
      return null;
    }
    const facts: TlsFacts = {serverName, customer: certificate?.customer ?? '', version: socket.getProtocol() ?? '', cipher: socket.getCipher().standardName};
    const accounts = edge.findAccounts(facts.customer);
    const fault = accounts === undefined ? null : handshake.place.take(accounts);
    if (fault !== null) {
      handshake.lose(fault);
      return null;
    }
    const Connection = socket.alpnProtocol === 'h2' ? Http2Connection : ClientConnection;
    const time = edge.findCustomerTime(facts.customer) ?? edge.timeMeter.strangers;
    if (socket.isSessionReused()) edge.timeMeter.chargeFixed(time, LIMITS.resumptionMs);
    const connection = new Connection(edge, socket, {peer, listener: this.snapshot, tls: facts, place: handshake.place, time});
    attach(edge, socket, connection);
    new RecordWatch(edge, socket, peer).begin();
    // Its handshake was under way when the others were told.
    if (connection instanceof Http2Connection && (this.#isClosed || !this.snapshot.http2)) connection.endIfIdle();
    return connection;
  }

  #explainFailure({servername}: TLSSocket, code: string): FaultCode {
    const serverName = typeof servername === 'string' ? servername : '';
    const isUnknown = WITHOUT_CERTIFICATE.has(code) && this.#certificates.find(serverName.toLowerCase()) === undefined;
    return isUnknown ? 'sni_unknown' : 'tls_failed';
  }
}

interface Reader {
  connection: ClientConnection | Http2Connection | null;
}

function createListenerContext(ticketKeys: Buffer): SecureContext {
  return createSecureContext({
    // It has no certificate: a handshake without a name that is served ends with an alert.
    ciphers: TLS_CIPHERS,
    ecdhCurve: TLS_GROUPS,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    honorCipherOrder: false,
    // Each renegotiation costs the server far more than the client (CVE-2011-1473), and nobody needs one: TLS 1.3 has none.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: SESSION_ID_CONTEXT,
    ticketKeys,
  });
}

function ignoreError(): void {
  // The close event follows and does what there is to do.
}

/** `edge.run` without its closure: this event is the hot one. */
function readLent(edge: Edge, connection: ClientConnection | Http2Connection, length: number): void {
  edge.clock.refresh();
  try {
    connection.onLentData(length);
  } catch (error) {
    giveUp(connection, error, edge.reportBug);
  }
  edge.timeMeter.chargeEvent(connection.memo.time, length);
}

/** Brings the socket's other events to the connection. */
function attach(edge: Edge, socket: Socket, connection: ClientConnection | Http2Connection): void {
  socket.on('drain', () => edge.run(connection, () => connection.onDrain()));
  socket.on('end', () => edge.run(connection, () => connection.onEnd()));
  socket.on('error', ignoreError);
  socket.on('close', () => {
    edge.run(connection, () => connection.onClose());
    connection.memo.place.free();
    edge.timeMeter.chargeFixed(connection.memo.time, LIMITS.connectionMs);
  });
}
