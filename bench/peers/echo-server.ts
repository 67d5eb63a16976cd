/** The application behind WebSockets: it sends every message back. Plain requests are answered with 200. Arguments: port, addresses. */
import {createServer, type Socket} from 'node:net';
import {acceptKey, clientFrameBytes, echoFrame} from '../load/websocket-frames.ts';

const [port = '0', ...addresses] = process.argv.slice(2);
const HEAD_END = '\r\n\r\n', HEAD_BYTES_MAX = 16_384;
const PLAIN_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Returns what is left over: the begin of a frame. */
function echo(socket: Socket, bytes: Buffer): Buffer {
  let at = 0;
  for (let length = clientFrameBytes(bytes, 0); length > 0; length = clientFrameBytes(bytes, at)) {
    socket.write(echoFrame(bytes, at, at + length));
    at += length;
  }
  return bytes.subarray(at);
}

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0), isOpen = false;
  const answerHead = (): void => {
    const end = rest.indexOf(HEAD_END);
    if (end < 0) {
      if (rest.length > HEAD_BYTES_MAX) socket.destroy();
      return;
    }
    const key = /^sec-websocket-key: *(\S+)/im.exec(rest.toString('latin1', 0, end))?.[1];
    rest = rest.subarray(end + HEAD_END.length);
    isOpen = key !== undefined;
    socket.write(key === undefined ? PLAIN_ANSWER
      : `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}${HEAD_END}`);
  };
  socket.setNoDelay(true).on('error', () => { socket.destroy(); });
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!isOpen) answerHead();
    if (isOpen) rest = echo(socket, rest);
  });
}

for (const address of addresses) createServer(serve).listen({host: address, port: Number(port), backlog: 4096});
