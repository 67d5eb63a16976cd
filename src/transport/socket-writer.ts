/**
 * The sending side of a socket. What a cleartext socket can send at once goes past the queue of its stream, which costs more than the
 * call into the kernel that follows: a state machine, an object and a turn of `process.nextTick` for each write.
 */
import type {Socket} from 'node:net';

type OnWritten = (error?: Error | null) => void;

export class SocketWriter {
  readonly #socket: Socket;
  readonly #isCleartext: boolean;
  /** Direct writes that the kernel has not taken whole, and their bytes. */
  #unfinished = 0;
  #unfinishedBytes = 0;
  readonly #onWritten = (error?: Error | null): void => this.#finish(error);

  constructor(socket: Socket, isCleartext: boolean) {
    this.#socket = socket;
    this.#isCleartext = isCleartext;
  }

  /** Bytes that the kernel has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength + this.#unfinishedBytes;
  }

  /** Stop producing until the socket's `drain`. */
  get isBackedUp(): boolean {
    return this.backlogBytes >= this.#socket.writableHighWaterMark;
  }

  writeText(latin1: string): void {
    if (this.#mayWriteDirectly) this.#writeDirectly(latin1, 'latin1', latin1.length);
    else this.#socket.write(latin1, 'latin1');
  }

  /** The bytes must not change until `onWritten`, where it is given, or ever. */
  writeBytes(bytes: Buffer, onWritten?: OnWritten): void {
    if (onWritten === undefined && this.#mayWriteDirectly) this.#writeDirectly(bytes, 'buffer', bytes.length);
    else this.#socket.write(bytes, onWritten);
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /**
   * Only where nothing waits: the order of bytes is then that of the writes, because the kernel's side of a TCP socket (libuv's queue)
   * takes writes in their order. OpenSSL's side takes one at a time, so TLS keeps to the stream.
   */
  get #mayWriteDirectly(): boolean {
    const socket = this.#socket;
    return this.#isCleartext && this.#unfinished === 0 && socket.writableLength === 0 && socket.writableCorked === 0 && !socket.connecting && socket.writable;
  }

  /** `_write` is what the stream itself calls (Node's documentation of `writable._write`). It calls back before it returns, mostly. */
  #writeDirectly(data: Buffer | string, encoding: BufferEncoding | 'buffer', length: number): void {
    this.#unfinished++;
    this.#unfinishedBytes += length;
    this.#socket._write(data, encoding as BufferEncoding, this.#onWritten);
  }

  #finish(error: Error | null | undefined): void {
    const wasBackedUp = this.isBackedUp;
    this.#unfinished = 0;
    this.#unfinishedBytes = 0;
    if (error) this.#socket.destroy(error);
    else if (wasBackedUp && !this.isBackedUp) this.#socket.emit('drain');
  }
}
