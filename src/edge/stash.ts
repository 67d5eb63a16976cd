/** What a client has sent that could not be used yet: part of a head, or further requests. */
import {copyBytes, copyBytesBriefly} from '#src/core/bytes.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {HeldMemory, Holding} from '#src/transport/held-memory.ts';

export class Stash {
  #bytes: Buffer | null = null;
  readonly #held: HeldMemory;
  readonly #holding: Holding;

  constructor(held: HeldMemory, holding: Holding) {
    this.#held = held;
    this.#holding = holding;
  }

  get isEmpty(): boolean { return this.#bytes === null; }
  get length(): number { return this.#bytes?.length ?? 0; }

  /** Instead of what was here, and without a copy. The fault says that too much is held already. */
  keep(bytes: Buffer): FaultCode | null {
    this.#bytes = bytes;
    return bytes.length < LIMITS.heldBlockBytes ? null : this.#held.grow(this.#holding);
  }

  /** A copy behind what is here. @param isBrief for a moment only */
  append(bytes: Buffer, isBrief: boolean): FaultCode | null {
    const copy = isBrief ? copyBytesBriefly : copyBytes;
    return this.keep(this.#bytes === null ? copy(bytes, 0, bytes.length) : Buffer.concat([this.#bytes, bytes]));
  }

  take(): Buffer | null {
    const bytes = this.#bytes;
    this.#bytes = null;
    return bytes;
  }

  /** What is here and what follows it, which is lent. */
  takeWith(bytes: Buffer): Buffer {
    const before = this.take();
    return before === null ? bytes : Buffer.concat([before, bytes]);
  }

  clear(): void {
    this.#bytes = null;
  }
}
