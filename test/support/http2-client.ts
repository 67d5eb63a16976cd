/** A client of HTTP/2 that sends exactly the frames that it is told to, over TLS, and shows exactly what comes back. */
import type {TestContext} from 'node:test';
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import {FLAG, FRAME, FRAME_HEADER_BYTES} from '#src/http2/frames.ts';
import {HpackDecoder, makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';
import {opening, request} from '#test/http2/frames.ts';
import {eventually} from '#test/support/eventually.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {TlsClient} from '#test/support/raw-client.ts';

export const HOST = 'acme.test';
export const GET = [[':method', 'GET'], [':scheme', 'https'], [':authority', HOST], [':path', '/']] as const;
export const POST = [[':method', 'POST'], ...GET.slice(1)] as const;

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** What has come of one response. */
export interface Http2Response {
  /** Of the last head; 0 where none has come. */
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Of the heads before it. */
  readonly interim: readonly number[];
  /** Latin1. */
  readonly body: string;
  readonly isComplete: boolean;
  /** The error code of RST_STREAM; null: the stream was not reset. */
  readonly reset: number | null;
}

interface Collected {
  status: number;
  fields: [string, string][];
  interim: number[];
  body: string;
  isComplete: boolean;
  reset: number | null;
}

export class Http2Client {
  readonly tls: TlsClient;
  readonly frames: ReceivedFrame[] = [];
  /** Error codes of GOAWAY, in their order. */
  readonly goAways: number[] = [];
  readonly #responses = new Map<number, Collected>();
  readonly #decoder = new HpackDecoder(makeHuffmanScratch(), new DynamicTable());
  #rest = Buffer.alloc(0);
  #block = Buffer.alloc(0);
  #doesBlockEnd = false;

  constructor(tls: TlsClient) {
    this.tls = tls;
    // Frames are read here, and not as text; the first may have come with the end of the handshake.
    tls.socket.removeAllListeners('data');
    tls.socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#read(Buffer.from(tls.received, 'latin1'));
  }

  static async connect(context: TestContext, proxy: ProxyHarness, options: Parameters<ProxyHarness['connectTls']>[1] = {}): Promise<Http2Client> {
    return new Http2Client(await proxy.connectTls(context, {servername: HOST, ALPNProtocols: ['h2'], ...options}));
  }

  /** Ready for requests: both sides have each other's settings. */
  static async open(context: TestContext, proxy: ProxyHarness, settings: Parameters<typeof opening>[0] = {}): Promise<Http2Client> {
    const client = await Http2Client.connect(context, proxy);
    client.send(opening(settings));
    await eventually('the settings are acknowledged', () => client.frames.some(({type, flags}) => type === FRAME.SETTINGS && flags === FLAG.ACK));
    return client;
  }

  send(...pieces: readonly Buffer[]): void {
    this.tls.socket.write(Buffer.concat(pieces));
  }

  get isEnded(): boolean {
    return this.tls.end !== 'none';
  }

  /** What is here so far. */
  peek(streamId: number): Http2Response {
    return this.#collected(streamId);
  }

  /** Waits until the response is complete or its stream reset. */
  async response(streamId: number): Promise<Http2Response> {
    const isOver = (): boolean => this.peek(streamId).isComplete || this.peek(streamId).reset !== null;
    await eventually(`a response on stream ${streamId}`, () => isOver() || this.isEnded);
    if (!isOver()) throw new Error(`the connection ended before the response on stream ${streamId}: GOAWAY ${this.goAways.join(', ')}`);
    return this.peek(streamId);
  }

  /** A request without content, and its response. */
  async ask(streamId: number, fields: Parameters<typeof request>[1] = GET): Promise<Http2Response> {
    this.send(request(streamId, fields));
    return this.response(streamId);
  }

  /** Waits for the end of the connection. Returns the last GOAWAY's error code. */
  async ended(): Promise<number> {
    await this.tls.ended();
    return this.goAways.at(-1) ?? -1;
  }

  destroy(): void {
    this.tls.destroy();
  }

  #collected(streamId: number): Collected {
    let collected = this.#responses.get(streamId);
    if (collected === undefined) {
      collected = {status: 0, fields: [], interim: [], body: '', isComplete: false, reset: null};
      this.#responses.set(streamId, collected);
    }
    return collected;
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (this.#rest.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + this.#rest.readUIntBE(at, 3);
      if (this.#rest.length < end) break;
      this.#onFrame({
        type: this.#rest[at + 3] as number,
        flags: this.#rest[at + 4] as number,
        streamId: this.#rest.readUInt32BE(at + 5),
        payload: this.#rest.subarray(at + FRAME_HEADER_BYTES, end),
      });
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
  }

  #onFrame(frame: ReceivedFrame): void {
    const {type, flags, streamId, payload} = frame;
    this.frames.push(frame);
    const isLast = (flags & FLAG.END_STREAM) !== 0;
    if (type === FRAME.HEADERS || type === FRAME.CONTINUATION) {
      if (type === FRAME.HEADERS) this.#doesBlockEnd = isLast;
      this.#block = Buffer.concat([this.#block, payload]);
      if ((flags & FLAG.END_HEADERS) !== 0) this.#onFields(this.#collected(streamId));
    } else if (type === FRAME.DATA) {
      const collected = this.#collected(streamId);
      collected.body += payload.toString('latin1');
      collected.isComplete ||= isLast;
    } else if (type === FRAME.RST_STREAM) this.#collected(streamId).reset = payload.readUInt32BE(0);
    else if (type === FRAME.GOAWAY) this.goAways.push(payload.readUInt32BE(4));
  }

  #onFields(collected: Collected): void {
    const fields: [string, string][] = [];
    const block = this.#block;
    this.#block = Buffer.alloc(0);
    const result = this.#decoder.decode(block, 0, block.length, {add: ({name, value}) => fields.push([name.text, value]) > 0});
    if (result !== 'complete') throw new Error(`fields that were sent are ${result}`);
    if (collected.status >= 100 && collected.status < 200) collected.interim.push(collected.status);
    collected.status = Number(fields.find(([name]) => name === ':status')?.[1]);
    collected.fields = fields;
    collected.isComplete ||= this.#doesBlockEnd;
  }
}
