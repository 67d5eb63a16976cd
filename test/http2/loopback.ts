/** Joins a session to a real socket, as small as it can be: for what only real clients can tell. */
import net from 'node:net';
import type {SessionHandler} from '#src/http2/session-handler.ts';
import {makeSessionWorkspace} from '#src/http2/session-handler.ts';
import {ServerSession} from '#src/http2/server-session.ts';

export const TIMEOUTS = {requestHeadMs: 10_000, requestBodyIdleMs: 10_000, requestBodyRateMin: 512, responseIdleMs: 10_000, responseRateMin: 512, keepAliveMs: 60_000};

export type HandlerFactory<Context> = (session: () => ServerSession<Context>, flush: () => void) => SessionHandler<Context>;

export interface LoopbackServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Cleartext with prior knowledge. A handler that answers outside of its calls calls `flush` afterwards. */
export async function listen<Context>(makeHandler: HandlerFactory<Context>): Promise<LoopbackServer> {
  const workspace = makeSessionWorkspace();
  const sockets = new Set<net.Socket>();
  const server = net.createServer({noDelay: true}, (socket) => {
    sockets.add(socket);
    const session: ServerSession<Context> = new ServerSession({scheme: 'http', timeouts: TIMEOUTS, workspace}, makeHandler(() => session, flush), 0);
    let isScheduled = false;
    function write(): void {
      isScheduled = false;
      for (let bytes = session.takeOutput(); bytes !== null; bytes = socket.writableNeedDrain ? null : session.takeOutput()) socket.write(bytes);
      if (session.isFinished) socket.end();
    }
    function flush(): void {
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(write);
    }
    flush();
    socket.on('data', (chunk: Buffer) => {
      session.receive(chunk, performance.now());
      flush();
    });
    socket.on('drain', flush);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      session.lose('client_gone');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
