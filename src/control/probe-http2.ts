/**
 * A probe over HTTP/2, with the codec of the traffic: Node's own client is not for servers that are not trusted, and an answer that made it
 * abort would end the control thread, and the process with it.
 */
import type {Socket} from 'node:net';
import {TLSSocket} from 'node:tls';
import type {HealthSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ClientSession, makeClientWorkspace, type ClientHandler} from '#src/http2/client-session.ts';
import type {Stream} from '#src/http2/stream.ts';

/** An answer to a probe is read to its end, but not for ever. */
export const PROBE_BODY_BYTES_MAX = 64 * 1024;

const WORKSPACE = makeClientWorkspace();

export interface Http2ProbeTarget {
  readonly health: HealthSnapshot;
}

type Settle = (verdict: string | null) => void;

export function isExpected({expect}: HealthSnapshot, status: number): boolean {
  return expect.some(([low, high]) => status >= low && status <= high);
}

class Http2Probe implements ClientHandler<null> {
  readonly #health: HealthSnapshot;
  readonly #settle: Settle;
  #bodyBytes = 0;

  constructor(health: HealthSnapshot, settle: Settle) {
    this.#health = health;
    this.#settle = settle;
  }

  onResponse(_stream: Stream<null>, {status}: ResponseHead): void {
    if (!isExpected(this.#health, status)) this.#settle(`status ${status}`);
  }

  onData(_stream: Stream<null>, _bytes: Buffer, start: number, end: number): void {
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > PROBE_BODY_BYTES_MAX) this.#settle(null);
  }

  onEnd(): void { this.#settle(null); }
  onReset(_stream: Stream<null>, _code: number, fault: FaultCode): void { this.#settle(fault); }
  onConnectionError(_code: number, fault: FaultCode): void { this.#settle(fault); }

  onInterim(): void {
    // It says nothing about health.
  }

  onBackedUp(): void {
    // There is no content.
  }

  onDrain(): void {
    // There is none to go on with.
  }
}

/** Asks over a socket that is connected, and ends it. Rejects where the socket fails. */
export async function probeHttp2(socket: Socket, {health}: Http2ProbeTarget): Promise<string | null> {
  if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
    socket.destroy();
    return 'the server does not speak h2';
  }
  const {promise, resolve, reject} = Promise.withResolvers<string | null>();
  const session = new ClientSession<null>(WORKSPACE, new Http2Probe(health, resolve), 0);
  const scheme = socket instanceof TLSSocket ? 'https' : 'http';
  let isAsked = false;
  const write = (): void => {
    for (let bytes = session.takeOutput(); bytes !== null; bytes = session.takeOutput()) {
      socket.write(Buffer.from(bytes));
      session.onOutputWritten();
    }
  };
  socket.on('data', (chunk: Buffer) => {
    session.receive(chunk, 0);
    if (session.hasRoom && !isAsked) {
      isAsked = true;
      session.endMessage(session.beginRequest(null, 'GET', `:method: GET\r\n:scheme: ${scheme}\r\n:authority: ${health.host}\r\n:path: ${health.path}\r\nuser-agent: torwart-probe\r\naccept: */*\r\n`));
    }
    write();
  });
  socket.on('error', reject).on('close', () => resolve('upstream_closed'));
  write();
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
