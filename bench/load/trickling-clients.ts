/** Clients that send the body of a request a byte at a time, and never get to its end. */
import net from 'node:net';
import {hostName} from '../harness/sites.ts';

/** Below the size up to which bodies are collected before the application is asked. */
const BODY_BYTES = 60_000, BYTE_EVERY_MS = 500, OPENED_AT_ONCE = 32, CONNECT_TIMEOUT_MS = 10_000;
const HEAD = `POST / HTTP/1.1\r\nhost: ${hostName(0)}\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`;

function openOne(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('no connection in time')));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.write(HEAD);
      resolve(socket);
    });
    // Whether an answer comes early is not looked at; that the connection stays is.
    socket.resume();
  });
}

/** Calls `meanwhile` while `count` clients trickle. Throws where the proxy cut one of them off. */
export async function besideTrickle<T>(port: number, count: number, meanwhile: () => Promise<T>): Promise<T> {
  const sockets: net.Socket[] = [];
  const lane = async (): Promise<void> => {
    while (sockets.length < count) sockets.push(await openOne(port));
  };
  let timer: NodeJS.Timeout | undefined;
  try {
    await Promise.all(Array.from({length: Math.min(OPENED_AT_ONCE, count)}, lane));
    timer = setInterval(() => {
      for (const socket of sockets) socket.write('x');
    }, BYTE_EVERY_MS);
    const result = await meanwhile();
    const cut = sockets.filter(socket => socket.destroyed || socket.readableEnded).length;
    if (cut > 0) throw new Error(`${cut} of ${sockets.length} trickling clients were cut off`);
    return result;
  } finally {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  }
}
