import {connect, type Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {connect as connectTls, type ConnectionOptions, type TLSSocket} from 'node:tls';
import {eventually} from '#test/support/eventually.ts';
import {readMessage, statusOf, type RawMessage} from '#test/support/raw-message.ts';

/** A client that sends exactly the bytes that it is told to, and shows exactly what comes back. */
export class RawClient {
  readonly socket: Socket;
  /** What has come and has not been taken yet, as latin1. */
  received = '';
  /** The other side has ended the connection: in an orderly way, or with a reset. */
  end: 'none' | 'orderly' | 'reset' = 'none';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => { this.received += chunk.toString('latin1'); });
    socket.on('end', () => { this.end = 'orderly'; });
    socket.on('error', () => { this.end = 'reset'; });
    socket.on('close', () => { if (this.end === 'none') this.end = 'orderly'; });
  }

  /** Latin1 text. */
  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** The next response, interim ones included. */
  async response(requestMethod = 'GET'): Promise<RawMessage> {
    let message: RawMessage | null = null;
    const read = (): boolean => {
      const status = statusOf({startLine: this.received.slice(0, 12)});
      const isBodiless = requestMethod === 'HEAD' || status < 200 || status === 204 || status === 304;
      message = readMessage(this.received, 'until_close', this.end !== 'none', isBodiless);
      return message !== null || this.end !== 'none';
    };
    await eventually(`a response; so far ${JSON.stringify(this.received.slice(0, 200))}`, read);
    read();
    if (message === null) throw new Error(`the connection ended within a response: ${JSON.stringify(this.received.slice(0, 200))}`);
    const {raw} = message as RawMessage;
    this.received = this.received.slice(raw.length);
    return message;
  }

  /** Waits until the other side has ended the connection; returns how. */
  async ended(): Promise<'orderly' | 'reset'> {
    await eventually('the connection ends', () => this.end !== 'none');
    return this.end === 'reset' ? 'reset' : 'orderly';
  }

  /** Both sides are closed, and nothing of the socket is left. */
  destroy(): void {
    this.socket.destroy();
  }
}

/** Closed with the test at the latest. */
export async function connectRaw(context: TestContext, port: number, address = '127.0.0.1', localAddress?: string): Promise<RawClient> {
  const socket = connect({port, host: address, noDelay: true, allowHalfOpen: true, ...(localAddress === undefined ? {} : {localAddress})});
  context.after(() => { socket.destroy(); });
  const client = new RawClient(socket);
  await eventually('the client is connected', () => !socket.connecting || client.end !== 'none');
  return client;
}

export class TlsClient extends RawClient {
  readonly tls: TLSSocket;
  /** The handshake has succeeded. */
  isSecure = false;
  session: Buffer | null = null;

  constructor(socket: TLSSocket) {
    super(socket);
    this.tls = socket;
    socket.once('secureConnect', () => { this.isSecure = true; });
    socket.on('session', (session: Buffer) => { this.session = session; });
  }
}

/** Resolves when the handshake has succeeded or failed. */
export async function connectRawTls(context: TestContext, port: number, options: ConnectionOptions & {readonly localAddress?: string}): Promise<TlsClient> {
  const socket = connectTls({port, host: '127.0.0.1', rejectUnauthorized: false, ...options});
  context.after(() => { socket.destroy(); });
  const client = new TlsClient(socket);
  await eventually('the handshake ends', () => client.isSecure || client.end !== 'none');
  return client;
}
