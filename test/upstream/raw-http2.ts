/** An HTTP/2 server of raw frames (RFC 9113 §4.1): `node:http2` would not send what a hostile one sends. */
import {createServer, type AddressInfo, type Socket} from 'node:net';
import type {Scope} from '#test/support/proxy-harness.ts';

const PREFACE_BYTES = 24;
export const TYPE = {data: 0, headers: 1, rst: 3, settings: 4, push: 5, ping: 6, goaway: 7, continuation: 9} as const;
export const END_STREAM = 1, END_HEADERS = 4;
const ACK = 1;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

/** Literal fields without indexing (RFC 7541 §6.2.2); values below 127 bytes. */
export function fieldBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name, 'latin1'), Buffer.from([value.length]), Buffer.from(value, 'latin1')])));
}

export function head(stream: number, fields: readonly (readonly [name: string, value: string])[], flags = END_HEADERS): Buffer {
  return frame(TYPE.headers, flags, stream, fieldBlock(fields));
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

export interface Heard {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A connection of the proxy. */
export class RawPeer {
  readonly socket: Socket;
  readonly heard: Heard[] = [];
  isOpen = true;
  /** It acknowledges settings. */
  isPolite = true;
  #rest = Buffer.alloc(0);
  #isPrefaceRead = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  of(type: number): readonly Heard[] {
    return this.heard.filter((heard) => heard.type === type);
  }

  read(chunk: Buffer, onRequest: (stream: number) => void): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#isPrefaceRead && this.#rest.length >= PREFACE_BYTES) {
      this.#isPrefaceRead = true;
      this.#rest = this.#rest.subarray(PREFACE_BYTES);
    }
    while (this.#isPrefaceRead && this.#rest.length >= 9 && this.#rest.length >= 9 + this.#rest.readUIntBE(0, 3)) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      const heard = {type: this.#rest[3] as number, flags: this.#rest[4] as number, stream: this.#rest.readUInt32BE(5), payload: this.#rest.subarray(9, end)};
      this.#rest = this.#rest.subarray(end);
      this.heard.push(heard);
      if (heard.type === TYPE.headers) onRequest(heard.stream);
      if (this.isPolite && heard.type === TYPE.settings && heard.flags === 0) this.send(frame(TYPE.settings, ACK, 0));
    }
  }
}

export class RawHttp2 {
  port = 0;
  readonly peers: RawPeer[] = [];
  /** What each connection begins with. */
  greeting: Buffer = frame(TYPE.settings, 0, 0);
  /** What a request is met with. */
  respond: (stream: number, peer: RawPeer) => void = (stream, peer) => peer.send(head(stream, [[':status', '200']], END_HEADERS | END_STREAM));

  static async start(scope: Scope): Promise<RawHttp2> {
    const upstream = new RawHttp2();
    const server = createServer({noDelay: true}, (socket) => upstream.#accept(socket));
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    upstream.port = (server.address() as AddressInfo).port;
    scope.after(async () => {
      for (const peer of upstream.peers) peer.socket.destroy();
      await new Promise((resolve) => { server.close(resolve); });
    });
    return upstream;
  }

  get openConnections(): number {
    return this.peers.filter((peer) => peer.isOpen).length;
  }

  #accept(socket: Socket): void {
    const peer = new RawPeer(socket);
    this.peers.push(peer);
    socket.on('error', () => undefined).on('close', () => { peer.isOpen = false; });
    socket.on('data', (chunk: Buffer) => peer.read(chunk, (stream) => this.respond(stream, peer)));
    peer.isPolite = this.greeting.length > 0;
    peer.send(this.greeting);
  }
}
