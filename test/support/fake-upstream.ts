import {createServer, type Server, type Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {eventually} from '#test/support/eventually.ts';
import {readMessage, type RawMessage} from '#test/support/raw-message.ts';

/** One connection of the proxy to an upstream. */
export class UpstreamPeer {
  readonly socket: Socket;
  /** Everything that came over it, as latin1. */
  received = '';
  bytesReceived = 0;
  isOpen = true;
  readonly requests: UpstreamRequest[] = [];
  /** What is not yet a whole request. */
  #rest = '';

  constructor(socket: Socket) {
    this.socket = socket;
  }

  send(latin1: string): void {
    this.socket.write(latin1, 'latin1');
  }

  read(text: string): void {
    this.received += text;
    this.#rest += text;
  }

  /** Takes the next complete request off what has come. */
  takeRequest(): UpstreamRequest | null {
    const message = readMessage(this.#rest, 'empty', false);
    if (message === null) return null;
    this.#rest = this.#rest.slice(message.raw.length);
    const request = {...message, peer: this};
    this.requests.push(request);
    return request;
  }
}

export interface UpstreamRequest extends RawMessage {
  readonly peer: UpstreamPeer;
}

/** Bytes to answer with, or null where the test answers by itself through `request.peer`. */
export type Script = (request: UpstreamRequest) => string | null;

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** An application of raw sockets: it records every byte, and answers with whatever bytes a test wants (`node:http` would repair them). */
export class FakeUpstream {
  /** Every connection ever, in the order of their coming. */
  readonly peers: UpstreamPeer[] = [];
  readonly requests: UpstreamRequest[] = [];
  respond: Script = () => OK;
  /** False: what comes is counted and not read as requests (bodies of many megabytes). */
  isParsing = true;
  onPeer: (peer: UpstreamPeer) => void = () => undefined;
  readonly #server: Server;
  #taken = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async start(context: TestContext | {after(hook: () => void | Promise<void>): void}, address = '127.0.0.1'): Promise<FakeUpstream> {
    const upstream = new FakeUpstream(createServer({noDelay: true, allowHalfOpen: true}));
    await new Promise<void>((resolve) => { upstream.#server.listen(0, address, resolve); });
    context.after(() => upstream.stop());
    return upstream;
  }

  get port(): number {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') throw new Error('the upstream does not listen');
    return bound.port;
  }

  get openConnections(): number {
    return this.peers.filter((peer) => peer.isOpen).length;
  }

  get bytesReceived(): number {
    return this.peers.reduce((sum, peer) => sum + peer.bytesReceived, 0);
  }

  /** The next request that no call has returned yet, as soon as all of it is here. */
  async nextRequest(): Promise<UpstreamRequest> {
    await eventually('a request reaches the upstream', () => this.requests.length > this.#taken);
    const request = this.requests[this.#taken++];
    if (request === undefined) throw new Error('there is a request');
    return request;
  }

  /** The next requests count from here. */
  forget(): void {
    this.#taken = this.requests.length;
  }

  async stop(): Promise<void> {
    for (const peer of this.peers) peer.socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => { this.#server.close(resolve); });
  }

  #accept(socket: Socket): void {
    const peer = new UpstreamPeer(socket);
    this.peers.push(peer);
    socket.on('data', (chunk: Buffer) => this.#read(peer, chunk));
    socket.on('error', () => undefined);
    // The proxy never ends one side only: when it ends, it is gone.
    socket.on('end', () => { socket.destroy(); });
    socket.on('close', () => { peer.isOpen = false; });
    this.onPeer(peer);
  }

  #read(peer: UpstreamPeer, chunk: Buffer): void {
    peer.bytesReceived += chunk.length;
    if (!this.isParsing) return;
    peer.read(chunk.toString('latin1'));
    for (let request = peer.takeRequest(); request !== null; request = peer.takeRequest()) {
      this.requests.push(request);
      const answer = this.respond(request);
      if (answer !== null) peer.send(answer);
    }
  }
}
