/**
 * The floor under a proxy that takes HTTP/2 and asks in HTTP/1.1: frames are found by their lengths, and no field is decoded. Each request is one and
 * the same text to the application, whose answers are taken for one read each and reach the client with no field but the status.
 */
import {connect, type OnReadOpts, type Socket} from 'node:net';
import type {BufferPool} from '#src/core/buffer-pool.ts';
import {SocketWriter} from '#src/transport/socket-writer.ts';

const PREFACE_BYTES = 24, FRAME_HEAD_BYTES = 9;
const HEADERS = 1, SETTINGS = 4, ACK = 1;
const OUR_SETTINGS = '\0\0\0\x04\0\0\0\0\0', SETTINGS_ACK = '\0\0\0\x04\x01\0\0\0\0';
/** A block of one byte, the index of `:status: 200`. */
const RESPONSE_HEADERS = '\0\0\x01\x01\x04';
const RESPONSE_BLOCK = '\x88';

function uint(value: number, bytes: number): string {
  let text = '';
  for (let shift = (bytes - 1) * 8; shift >= 0; shift -= 8) text += String.fromCharCode(value >>> shift & 0xff);
  return text;
}

export interface RelayPlace {
  readonly backendPort: number;
  /** The whole request that the application gets for each. */
  readonly request: string;
  readonly buffer: Buffer;
  readonly pool: BufferPool;
}

/** Connections to the application that nobody uses. */
const idle: Application[] = [];

class Application {
  readonly #writer: SocketWriter;
  readonly #place: RelayPlace;
  #client: Http2Relay | null = null;
  #streamId = 0;

  constructor(place: RelayPlace) {
    this.#place = place;
    const onread: OnReadOpts = {buffer: place.buffer, callback: length => this.#pass(length)};
    const socket = connect({host: '127.0.0.1', port: place.backendPort, noDelay: true, onread}).on('error', () => undefined);
    this.#writer = new SocketWriter(socket, true, place.pool);
  }

  ask(client: Http2Relay, streamId: number): void {
    this.#client = client;
    this.#streamId = streamId;
    this.#writer.addText(this.#place.request);
    this.#writer.flush();
  }

  #pass(length: number): boolean {
    const {buffer} = this.#place, end = buffer.indexOf('\r\n\r\n', 0, 'latin1') + 4;
    this.#client?.answer(this.#streamId, buffer.toString('latin1', end, length));
    idle.push(this);
    return true;
  }
}

export class Http2Relay {
  readonly #writer: SocketWriter;
  readonly #place: RelayPlace;
  #isBegun = false;
  #isFlushing = false;
  #rest: Buffer | null = null;

  constructor(socket: Socket, place: RelayPlace) {
    this.#writer = new SocketWriter(socket, false, place.pool);
    this.#place = place;
    this.#send(OUR_SETTINGS);
  }

  read(chunk: Buffer): true {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#isBegun ? 0 : PREFACE_BYTES;
    this.#isBegun = true;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const type = bytes[at + 3];
      if (type === HEADERS) (idle.pop() ?? new Application(this.#place)).ask(this, bytes.readUInt32BE(at + 5));
      else if (type === SETTINGS && bytes[at + 4] !== ACK) this.#send(SETTINGS_ACK);
      at = end;
    }
    this.#rest = at === bytes.length ? null : Buffer.from(bytes.subarray(at));
    return true;
  }

  answer(streamId: number, content: string): void {
    const id = uint(streamId, 4);
    this.#send(`${RESPONSE_HEADERS}${id}${RESPONSE_BLOCK}${uint(content.length, 3)}\0\x01${id}${content}`);
  }

  /** All that a turn of the event loop brings leaves in one write. */
  #send(text: string): void {
    this.#writer.addText(text);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(() => {
      this.#isFlushing = false;
      this.#writer.flush();
    });
  }
}
