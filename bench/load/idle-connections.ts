/** Keep-alive connections that ask once and then stay open. */
import net from 'node:net';
import tls from 'node:tls';
import {hostName} from '../harness/sites.ts';
import type {Proxy} from '../peers/peer.ts';
import type {Workplace} from '../harness/workplace.ts';

const OPENED_AT_ONCE = 32, ANSWER_TIMEOUT_MS = 30_000;
const REQUEST = `GET / HTTP/1.1\r\nhost: ${hostName(0)}\r\n\r\n`;

/** Resolves when the answer has begun: all of it, as it fits into one segment. */
function openOne(work: Workplace, proxy: Proxy, secure: boolean, isOver: () => boolean): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = secure
      ? tls.connect({host: '127.0.0.1', port: proxy.httpsPort, servername: hostName(0), ca: work.certificate.certPem})
      : net.connect(proxy.httpPort, '127.0.0.1');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(REQUEST));
    socket.once('data', data => {
      socket.setTimeout(0);
      if (data.toString('latin1').startsWith('HTTP/1.1 200 ')) resolve(socket);
      else reject(new Error('unexpected answer'));
    });
    socket.on('error', reject);
    socket.once('close', () => {
      if (!isOver()) reject(new Error('the proxy closed an idle connection'));
    });
    socket.resume();
  });
}

/** Opens `count` connections, calls `whileOpen`, closes them. */
export async function holdConnections<T>(work: Workplace, proxy: Proxy, secure: boolean, count: number, whileOpen: () => Promise<T>): Promise<T> {
  const sockets: net.Socket[] = [];
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (sockets.length < count) sockets.push(await openOne(work, proxy, secure, () => isOver));
  };
  try {
    await Promise.all(Array.from({length: Math.min(OPENED_AT_ONCE, count)}, lane));
    const result = await whileOpen();
    if (sockets.some(socket => socket.destroyed)) throw new Error('the proxy closed idle connections');
    return result;
  } finally {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  }
}
