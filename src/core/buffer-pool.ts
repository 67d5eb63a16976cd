/**
 * Buffers of one size that are used again and again. Bodies pass through at gigabytes a second: a fresh buffer for each piece costs
 * the allocation, the page faults and the garbage collector more than copying costs.
 */
export class BufferPool {
  readonly bytesPerBuffer: number;
  readonly #idleMax: number;
  readonly #idle: Buffer[] = [];

  constructor(bytesPerBuffer: number, idleMax: number) {
    this.bytesPerBuffer = bytesPerBuffer;
    this.#idleMax = idleMax;
  }

  /** A buffer with whatever was in it before: write before anything is read. */
  acquire(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.bytesPerBuffer);
  }

  release(buffer: Buffer): void {
    if (this.#idle.length < this.#idleMax) this.#idle.push(buffer);
  }
}
