/** A client that asks for a very large response and reads it at a trickle. */
import net from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {hostName} from '../harness/sites.ts';

const READ_BYTES = 16 * 1024, PAUSE_MS = 20;

/** Reads for `seconds`, calling `look` after every piece; resolves with the number of bytes that were read. */
export async function readSlowly(port: number, path: string, seconds: number, look: () => void): Promise<number> {
  const socket = net.connect(port, '127.0.0.1');
  const failed = new Promise<never>((_resolve, reject) => {
    socket.once('error', reject);
    socket.once('end', () => reject(new Error('the response ended early')));
  });
  const read = async (): Promise<number> => {
    // With a listener of its own the socket fills its buffer and then waits to be read.
    socket.on('readable', () => {});
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostName(0)}\r\n\r\n`);
    let bytes = 0;
    for (const started = performance.now(); performance.now() - started < seconds * 1_000;) {
      bytes += (socket.read(READ_BYTES) as Buffer | null)?.length ?? 0;
      look();
      await sleep(PAUSE_MS);
    }
    return bytes;
  };
  try {
    return await Promise.race([read(), failed]);
  } finally {
    socket.destroy();
  }
}
