/** A real redis-server of the test's own, behind a relay on loopback that can be slow or cut. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {encodeCommand, ReplyParser, type Reply} from '#src/control/store-protocol.ts';
import {eventually} from '#test/support/eventually.ts';
import type {Scope} from '#test/support/proxy-harness.ts';

export class Store {
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #relay: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #server: ChildProcess | null = null;
  /** What the store has said while the relay holds it back. */
  #held: (() => void)[] | null = null;

  /** The server listens on a Unix socket only: the relay has a port that the system chose. */
  static async start(scope: Scope, args: readonly string[] = []): Promise<Store> {
    const store = new Store(await mkdtemp(path.join(os.tmpdir(), 'torwart-store-')), args);
    scope.after(() => store.#end());
    store.#relay.listen(0, '127.0.0.1');
    await once(store.#relay, 'listening');
    await store.startServer();
    return store;
  }

  private constructor(folder: string, args: readonly string[]) {
    this.#folder = folder;
    this.#args = args;
    this.#relay = net.createServer((socket) => this.#join(socket));
  }

  get port(): number {
    return (this.#relay.address() as net.AddressInfo).port;
  }

  /** Connections that the nodes have to it. */
  get connections(): number {
    return this.#sockets.size;
  }

  async startServer(): Promise<void> {
    const server = spawn('redis-server', ['--port', '0', '--unixsocket', this.#path, '--save', '', '--appendonly', 'no', '--dir', this.#folder, ...this.#args], {stdio: 'ignore'});
    this.#server = server;
    await this.#awaitServer();
  }

  async stopServer(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null || server.exitCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  /** From now on nothing that the store says arrives. */
  hold(): void {
    this.#held ??= [];
  }

  /** What was held back arrives, and what comes after it. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const send of held) send();
  }

  /** Asks the store over a connection of the test's own. */
  async ask(...words: string[]): Promise<Reply> {
    const socket = net.connect(this.#path);
    socket.on('error', () => undefined);
    const parser = new ReplyParser();
    socket.write(encodeCommand(words));
    try {
      for (;;) {
        const [bytes] = await once(socket, 'data') as [Buffer];
        const [reply] = parser.push(bytes);
        if (reply !== undefined) return reply;
      }
    } finally {
      socket.destroy();
    }
  }

  get #path(): string {
    return path.join(this.#folder, 'store.sock');
  }

  async #awaitServer(): Promise<void> {
    const state = {isThere: false};
    await eventually('redis-server listens', () => {
      const socket = net.connect(this.#path, () => {
        state.isThere = true;
        socket.destroy();
      });
      socket.on('error', () => undefined);
      return state.isThere;
    });
  }

  #join(socket: net.Socket): void {
    const server = net.connect(this.#path);
    this.#sockets.add(socket);
    socket.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.#held === null) socket.write(bytes);
      else this.#held.push(() => socket.write(bytes));
    });
    for (const [one, other] of [[socket, server], [server, socket]] as const) {
      one.on('error', () => undefined);
      one.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  async #end(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#relay.close();
    await this.stopServer();
    await rm(this.#folder, {recursive: true, force: true});
  }
}
