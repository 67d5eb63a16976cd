/**
 * Accepted connections without what Node builds around them first. A server of Node makes a socket of each, and over TLS a second one on
 * top of it; both read by an allocation of 64 KiB, its shrinking and an event of a stream for each read. Sockets that Node *connects* can
 * read into a buffer of ours (`onread`, documented), and have TLS on the connection itself. Here accepted ones get the same.
 *
 * This depends on two things that Node does not document: `_handle` of a server and of a socket, and `_wrapHandle` of a TLS socket. Where
 * they are not what they were, the tests of every listener fail.
 */
import {Socket, type OnReadOpts, type Server} from 'node:net';
import {TLSSocket, type SecureContext} from 'node:tls';

/** A connection as the event loop hands it over. */
export interface AcceptedHandle {
  readonly bytesRead: number;
  /** Fills in the peer's address; other than 0: there is none any more. */
  getpeername(peer: {address?: string}): number;
  setNoDelay(isOn: boolean): number;
  /** Ends the connection with a reset. */
  reset(onClosed: () => void): number;
}

type OnConnection = (this: object, status: number, handle: AcceptedHandle) => void;

interface ListeningHandle {
  onconnection: OnConnection;
}

/** Brings the connections of a server that listens to `accept`, and its failures to the server's `error` event as before. */
export function takeConnections(server: Server, accept: (handle: AcceptedHandle) => void): void {
  const {_handle: listening} = server as unknown as {readonly _handle: ListeningHandle | null};
  if (typeof listening?.onconnection !== 'function') throw new Error('the listening server has no handle that accepts connections');
  const {onconnection} = listening;
  listening.onconnection = function onConnection(status, handle) {
    if (status === 0) accept(handle);
    else onconnection.call(this, status, handle);
  };
}

/** Text of the peer's address; undefined where the connection has ended already. */
export function peerAddress(handle: AcceptedHandle): string | undefined {
  const peer: {address?: string} = {};
  return handle.getpeername(peer) === 0 ? peer.address : undefined;
}

interface Connected {
  readonly _handle: AcceptedHandle | null;
}

/**
 * The client has reset the connection. A socket that is neither read nor written does not hear of that, but a connection that was reset has no
 * peer any more (Linux: ENOTCONN).
 */
export function isReset(socket: Socket): boolean {
  const {_handle: handle} = socket as unknown as Connected;
  return handle?.getpeername({}) !== 0;
}

/** Ends a connection of which no socket was made. */
export function resetConnection(handle: AcceptedHandle): void {
  handle.reset(() => undefined);
}

/** The connection in cleartext. It is read at once. */
export function openCleartextSocket(handle: AcceptedHandle, onread: OnReadOpts): Socket {
  const options: object = {handle, onread, readable: true, writable: true, allowHalfOpen: false};
  return new Socket(options);
}

/** An error ends the handshake. */
export type ServerNameAnswer = (error: Error | null, context?: SecureContext) => void;

export interface SecureSocketOptions {
  readonly onread: OnReadOpts;
  /** Of handshakes that name no server. */
  readonly secureContext: SecureContext;
  readonly SNICallback: (serverName: string, done: ServerNameAnswer) => void;
  /** The protocols as they are sent (RFC 7301 §3.1). */
  readonly ALPNProtocols: Uint8Array;
}

interface HandleWrapping {
  _wrapHandle(this: TLSSocket, wrapped: null, handle: AcceptedHandle, hasActiveWrite: boolean): object;
}

interface Acceptance {
  readonly _tlsOptions: {readonly handle: AcceptedHandle};
}

/**
 * The connection with TLS, on its handle like that of a client: the server's side of the handshake begins with the first read. Emits
 * `secure` at its end, `_tlsError` for what is wrong with it and with TLS afterwards, and `close`.
 */
class SecureSocket extends TLSSocket {
  constructor(handle: AcceptedHandle, options: SecureSocketOptions) {
    const parts: object = {...options, handle, isServer: true, allowHalfOpen: false};
    super(undefined as unknown as Socket, parts);
    // A TLS socket without another one below it is taken for one that will connect.
    Object.assign(this, {connecting: false});
  }

  _wrapHandle(): object {
    const {_tlsOptions: {handle}} = this as unknown as Acceptance;
    return (TLSSocket.prototype as unknown as HandleWrapping)._wrapHandle.call(this, null, handle, false);
  }
}

/** What has come over the wire; `bytesRead` of the socket is the content of that. */
export function receivedBytes(socket: TLSSocket): number {
  const {_tlsOptions: {handle}} = socket as unknown as Acceptance;
  return handle.bytesRead;
}

export function openSecureSocket(handle: AcceptedHandle, options: SecureSocketOptions): TLSSocket {
  return new SecureSocket(handle, options);
}
