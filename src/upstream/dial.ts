/** How a proxy thread connects to the servers of customers. */
import {connect, type NetConnectOpts, type OnReadOpts, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {refuseDial} from '#src/core/dial-guard.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {PoolTls} from '#src/upstream/pool-tls.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

/** A socket that connects, or why there is none. With TLS, what is written leaves when it is known who has answered. */
export function dial(upstream: Upstream, endpoint: UpstreamEndpoint, onread: OnReadOpts): Socket | FaultCode {
  if (refuseDial(endpoint, {networks: endpoint.networks, ownListeners: upstream.ownListeners}) !== null) return 'endpoint_forbidden';
  const {address: host, port, sourceAddress, tls} = endpoint;
  const options = {host, port, noDelay: true, onread, ...(sourceAddress === null ? {} : {localAddress: sourceAddress})};
  if (tls === null) return connect(options);
  try {
    return dialTls(upstream, endpoint, tls, options);
  } catch (error) {
    // OpenSSL does not take what the configuration has.
    upstream.reportTlsFailure(endpoint, error);
    return 'upstream_tls_failed';
  }
}

function dialTls({clock}: Upstream, {address, pool, sessions}: UpstreamEndpoint, tls: PoolTls, options: NetConnectOpts): Socket {
  const session = sessions.find(clock.nowMs);
  const socket = connectTls({...options, ...tls.optionsFor(address, pool.protocol), ...(session === undefined ? {} : {session})});
  socket.setNoDelay(true);
  // OpenSSL would send what is waiting as soon as it has the keys, before the certificate has been looked at.
  socket.cork();
  socket.once('secureConnect', () => {
    sessions.onHandshake(socket.isSessionReused(), clock.nowMs);
    socket.uncork();
  });
  socket.on('session', (fresh) => sessions.keep(fresh));
  return socket;
}

/** Whether TLS is the reason why a connection of a pool with TLS ends. */
function isTlsFailure(error: NodeJS.ErrnoException, isConnected: boolean): boolean {
  // In TLS 1.3 a server refuses a client's certificate when the client has long begun to send.
  return isConnected ? error.code?.startsWith('ERR_SSL_') === true : error.syscall !== 'connect';
}

/** EACCES is not among them: ICMPv6 "administratively prohibited" of a firewall on the way gives it as well. */
const LOCAL_CODES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL', 'EADDRINUSE', 'EPERM']);

/** Whether this machine is the reason why there is no connection, whatever the server does. */
function isLocalFailure(error: NodeJS.ErrnoException): boolean {
  return LOCAL_CODES.has(error.code);
}

/** What a socket's error says besides that the connection has ended; null where that is all. The operator is told of TLS. */
export function explainFailure(upstream: Upstream, endpoint: UpstreamEndpoint, error: NodeJS.ErrnoException, isConnected: boolean): FaultCode | null {
  if (error.code === 'EMFILE' || error.code === 'ENFILE') upstream.countFault('descriptors_exhausted');
  if (!isConnected && isLocalFailure(error)) return 'connect_unavailable';
  if (endpoint.tls === null || !isTlsFailure(error, isConnected)) return null;
  upstream.reportTlsFailure(endpoint, error);
  return 'upstream_tls_failed';
}
