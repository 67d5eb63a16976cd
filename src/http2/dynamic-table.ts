/** The dynamic table of a decoder (RFC 7541 §2.3.2, §4): a ring, in which an entry is found by one addition. */
import {LIMITS} from '#src/core/limits.ts';
import type {HeaderField} from '#src/http2/header-field.ts';
import {ENTRY_OVERHEAD_BYTES} from '#src/http2/static-table.ts';

/** An empty entry costs 32 bytes, so there are never more of them than this. A power of two. */
const SLOTS = LIMITS.h2HeaderTableBytes / ENTRY_OVERHEAD_BYTES;

export class DynamicTable {
  /** Made with the first entry: many connections never have one. */
  #slots: (HeaderField | undefined)[] | null = null;
  /** Entries ever added: the newest is in the slot before. */
  #added = 0;
  #count = 0;
  #size = 0;
  #sizeMax: number = LIMITS.h2HeaderTableBytes;

  get count(): number {
    return this.#count;
  }

  get size(): number {
    return this.#size;
  }

  /** @param age 0 for the newest entry */
  get(age: number): HeaderField | undefined {
    return age < this.#count ? this.#slots?.[(this.#added - 1 - age) & (SLOTS - 1)] : undefined;
  }

  /** An entry that is larger than the table empties it (RFC 7541 §4.4). */
  add(field: HeaderField): void {
    this.#evict(this.#sizeMax - field.size);
    if (field.size > this.#sizeMax) return;
    this.#slots ??= Array.from({length: SLOTS}, () => undefined);
    this.#slots[this.#added & (SLOTS - 1)] = field;
    this.#added++;
    this.#count++;
    this.#size += field.size;
  }

  /** @param bytes at most `LIMITS.h2HeaderTableBytes` */
  resize(bytes: number): void {
    this.#sizeMax = bytes;
    this.#evict(bytes);
  }

  #evict(sizeMax: number): void {
    const slots = this.#slots ?? [];
    while (this.#size > sizeMax && this.#count > 0) {
      const slot = (this.#added - this.#count) & (SLOTS - 1);
      this.#size -= slots[slot]?.size ?? 0;
      slots[slot] = undefined;
      this.#count--;
    }
  }
}
