import {createServer, type TLSSocket, type TlsOptions} from 'node:tls';
import type {AddressInfo, Socket} from 'node:net';
import {eventually} from '#test/support/eventually.ts';
import type {Scope} from '#test/support/proxy-harness.ts';
import {OK} from '#test/support/fake-upstream.ts';

/** An application that speaks TLS. It answers everything that looks like a request with `answer`. */
export class TlsUpstream {
  port = 0;
  /** Sockets of every connection, those whose handshake failed included. */
  readonly sockets: Socket[] = [];
  /** Connections whose handshake was complete. */
  readonly peers: TLSSocket[] = [];
  /** Of each of them, whether it resumed a session. */
  readonly resumptions: boolean[] = [];
  /** What came inside of TLS, as latin1. */
  received = '';
  answer: string = OK;

  static async start(scope: Scope, options: TlsOptions, address = '127.0.0.1'): Promise<TlsUpstream> {
    const upstream = new TlsUpstream();
    const server = createServer({ALPNProtocols: ['http/1.1'], ...options}, (peer) => upstream.#accept(peer));
    server.on('connection', (socket: Socket) => upstream.sockets.push(socket.on('error', () => undefined)));
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => { server.listen(0, address, resolve); });
    upstream.port = (server.address() as AddressInfo).port;
    scope.after(async () => {
      for (const socket of upstream.sockets) socket.destroy();
      await new Promise((resolve) => { server.close(resolve); });
    });
    return upstream;
  }

  get openConnections(): number {
    return this.sockets.filter((socket) => !socket.destroyed).length;
  }

  async allClosed(): Promise<void> {
    await eventually('every connection has ended', () => this.openConnections === 0);
  }

  #accept(peer: TLSSocket): void {
    this.peers.push(peer);
    this.resumptions.push(peer.isSessionReused());
    peer.on('error', () => undefined).on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      if (chunk.includes('\r\n\r\n')) peer.write(this.answer, 'latin1');
    });
  }
}
