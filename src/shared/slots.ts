/**
 * Slots in shared memory: a small array of numbers that belongs to one thing of the configuration (a customer, a pool, an
 * endpoint) and that every thread can reach. The control thread allocates them by name, so that a thing which survives a reload
 * keeps its numbers; a slot reference travels to the proxy threads inside the configuration message.
 */

export interface SlotRef {
  readonly buffer: SharedArrayBuffer;
  /** Offset in bytes from the buffer's start. */
  readonly byteOffset: number;
}

const SLOTS_PER_BLOCK = 128;

/** Hands out slots of one size by name. Lives in the control thread only. */
export class SlotAllocator {
  readonly #bytesPerSlot: number;
  readonly #slots = new Map<string, SlotRef>();
  readonly #free: SlotRef[] = [];

  constructor(bytesPerSlot: number) {
    this.#bytesPerSlot = bytesPerSlot;
  }

  /** The slot of this name: the same as before, or a zeroed one. */
  acquire(name: string): SlotRef {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    if (this.#free.length === 0) this.#addBlock();
    const slot = this.#free.pop();
    if (slot === undefined) throw new Error('a new block has free slots');
    this.#slots.set(name, slot);
    return slot;
  }

  /**
   * Gives up the slots that are not in `names`. Requests that still run write to them for a while, so call it only when every
   * thread has dropped the configuration that named them: the numbers are zeroed here.
   */
  retain(names: ReadonlySet<string>): void {
    for (const [name, slot] of this.#slots) {
      if (names.has(name)) continue;
      this.#slots.delete(name);
      new Uint8Array(slot.buffer, slot.byteOffset, this.#bytesPerSlot).fill(0);
      this.#free.push(slot);
    }
  }

  entries(): IterableIterator<[string, SlotRef]> {
    return this.#slots.entries();
  }

  #addBlock(): void {
    const buffer = new SharedArrayBuffer(this.#bytesPerSlot * SLOTS_PER_BLOCK);
    for (let i = SLOTS_PER_BLOCK - 1; i >= 0; i--) this.#free.push({buffer, byteOffset: i * this.#bytesPerSlot});
  }
}
