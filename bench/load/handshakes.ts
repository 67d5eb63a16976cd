/**
 * TLS connections that are opened, carry one request and are closed.
 *
 * Neither `openssl s_time` nor wrk says which of its handshakes were resumed: the first reuses a session under TLS 1.3 only if it
 * happens to have read a ticket, the second may resume although nobody asked for it. Node tells for every connection.
 */
import {connect, type ConnectionOptions, type TLSSocket} from 'node:tls';
import {hostName} from '../harness/sites.ts';

export interface HandshakeTarget {
  readonly port: number;
  readonly certPem: string;
}

export interface HandshakeResult {
  readonly requests: number;
  readonly resumed: number;
  readonly seconds: number;
  /** Of each connection, from the first packet to the end of the answer. */
  readonly latenciesUs: readonly number[];
}

const CONNECTIONS_AT_ONCE = 16, CONNECTION_TIMEOUT_MS = 10_000;
/** The best group that all contestants have: a newer OpenSSL would add a post-quantum exchange to the handshakes of some of them. */
const GROUP = 'X25519';
const REQUEST = `GET / HTTP/1.1\r\nhost: ${hostName(0)}\r\nconnection: close\r\n\r\n`;

interface Visit {
  readonly resumed: boolean;
  /** The newest ticket that the server sent. */
  readonly session: Buffer | undefined;
}

/** One connection with one request. Rejects unless it is answered with 200 over TLS 1.3. */
function visit(target: HandshakeTarget, session: Buffer | undefined): Promise<Visit> {
  const options: ConnectionOptions = {
    host: '127.0.0.1', port: target.port, servername: hostName(0), ca: target.certPem, minVersion: 'TLSv1.3', ecdhCurve: GROUP, ...(session === undefined ? {} : {session}),
  };
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(options, () => socket.write(REQUEST));
    let answer = '', resumed = false, ticket: Buffer | undefined;
    socket.setEncoding('latin1').setTimeout(CONNECTION_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once('secureConnect', () => { resumed = socket.isSessionReused(); });
    socket.on('session', newest => { ticket = newest; });
    socket.on('data', (text: string) => { answer += text; });
    socket.once('error', reject);
    socket.once('close', () => {
      if (answer.startsWith('HTTP/1.1 200 ')) resolve({resumed, session: ticket});
      else reject(new Error(`unexpected answer: ${answer.slice(0, 40)}`));
    });
  });
}

/** Connections one after the other in `CONNECTIONS_AT_ONCE` lanes; with `resume`, each lane uses the ticket of the one before. */
export async function runHandshakes(target: HandshakeTarget, resume: boolean, seconds: number): Promise<HandshakeResult> {
  const started = performance.now(), latenciesUs: number[] = [];
  let resumed = 0;
  const lane = async (): Promise<void> => {
    let session: Buffer | undefined = resume ? (await visit(target, undefined)).session : undefined;
    do {
      const begun = performance.now();
      const seen = await visit(target, session);
      latenciesUs.push((performance.now() - begun) * 1_000);
      if (seen.resumed) resumed++;
      if (resume) session = seen.session ?? session;
    } while (performance.now() - started < seconds * 1_000);
  };
  await Promise.all(Array.from({length: CONNECTIONS_AT_ONCE}, lane));
  return {requests: latenciesUs.length, resumed, seconds: (performance.now() - started) / 1_000, latenciesUs};
}
