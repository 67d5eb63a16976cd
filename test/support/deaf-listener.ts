import {once} from 'node:events';
import {connect} from 'node:net';
import {Worker} from 'node:worker_threads';
import type {Scope} from '#test/support/proxy-harness.ts';

/** Listens and then does nothing ever again, so that nobody accepts. */
const DEAF = `
  const {parentPort} = require('node:worker_threads');
  const server = require('node:net').createServer().listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/** A port on loopback that answers no connection at all: the kernel's queue of connections that nobody accepts is full. */
export async function startDeafListener(scope: Scope): Promise<number> {
  const worker = new Worker(DEAF, {eval: true});
  scope.after(async () => { await worker.terminate(); });
  const [port] = await once(worker, 'message') as [number];
  // Linux completes as many handshakes as the backlog says, and one more.
  for (let i = 0; i < 2; i++) {
    const socket = connect({port, host: '127.0.0.1'});
    scope.after(() => { socket.destroy(); });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
  }
  return port;
}
