/**
 * WebSockets that send a message, wait for its echo and send the next one. A process of its own, so that the work of many sockets does not
 * delay the bench. Argument: a `WebSocketLoad` as JSON; prints a `WebSocketResult`.
 *
 * The CPU time of the proxy is read in here, once all WebSockets are open: their handshakes are not what is measured.
 */
import {randomBytes} from 'node:crypto';
import net from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {readCpuTime, subtractCpuTime} from '../harness/procfs.ts';
import {quantile} from '../harness/statistics.ts';
import type {WebSocketLoad, WebSocketResult} from './websockets.ts';
import {acceptKey, frameFromClient, frameFromServer} from './websocket-frames.ts';

const OPENED_AT_ONCE = 32, OPEN_TIMEOUT_MS = 10_000;

const load = JSON.parse(process.argv[2] ?? '{}') as WebSocketLoad;
const payload = randomBytes(load.messageBytes);
const message = frameFromClient(payload, randomBytes(4)), echo = frameFromServer(payload);
const latenciesUs: number[] = [];
const run = {isOver: false};

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}

/** Sends one message after the other from now on. */
function converse(socket: net.Socket): void {
  let sentAt = performance.now(), received: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    if (received.length < echo.length) return;
    if (!received.equals(echo)) fail(new Error('an echo is not what was sent'));
    received = Buffer.alloc(0);
    if (run.isOver) return;
    const now = performance.now();
    latenciesUs.push((now - sentAt) * 1_000);
    sentAt = now;
    socket.write(message);
  });
  socket.write(message);
}

function open(): Promise<net.Socket> {
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve, reject) => {
    const socket = net.connect(load.port, '127.0.0.1').setNoDelay(true);
    const timer = setTimeout(() => reject(new Error('a WebSocket was not opened in time')), OPEN_TIMEOUT_MS);
    socket.on('error', reject).once('close', () => {
      if (!run.isOver) fail(new Error('the proxy closed a WebSocket'));
    });
    socket.once('data', head => {
      clearTimeout(timer);
      const text = head.toString('latin1');
      if (text.startsWith('HTTP/1.1 101 ') && text.includes(acceptKey(key)) && text.endsWith('\r\n\r\n')) resolve(socket);
      else reject(new Error(`a handshake was answered with ${text.slice(0, 60)}`));
    });
    socket.write(`GET /echo HTTP/1.1\r\nHost: ${load.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
  });
}

async function openAll(): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun++ < load.connections) sockets.push(await open());
  };
  await Promise.all(Array.from({length: OPENED_AT_ONCE}, lane));
  return sockets;
}

async function measure(sockets: readonly net.Socket[]): Promise<WebSocketResult> {
  const cpuBefore = readCpuTime(load.proxyPid), started = performance.now();
  for (const socket of sockets) converse(socket);
  await sleep(load.seconds * 1_000);
  run.isOver = true;
  const seconds = (performance.now() - started) / 1_000, cpu = subtractCpuTime(readCpuTime(load.proxyPid), cpuBefore);
  return {requests: latenciesUs.length, seconds, cpu, p50Us: quantile(latenciesUs, 0.5), p99Us: quantile(latenciesUs, 0.99)};
}

try {
  const sockets = await openAll();
  console.log(JSON.stringify(await measure(sockets)));
  for (const socket of sockets) socket.destroy();
} catch (error) {
  fail(error instanceof Error ? error : new Error(String(error)));
}
