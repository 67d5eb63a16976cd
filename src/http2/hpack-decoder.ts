/** Decodes field blocks (RFC 7541). One decoder a connection; a block is complete when it is decoded. */
import {LIMITS} from '#src/core/limits.ts';
import type {DynamicTable} from '#src/http2/dynamic-table.ts';
import {makeField, readFieldName, type FieldName, type HeaderField} from '#src/http2/header-field.ts';
import {decodeHuffman, huffmanDecodedBytesMax} from '#src/http2/huffman.ts';
import {DYNAMIC_INDEX_MIN, STATIC_TABLE} from '#src/http2/static-table.ts';

/** Takes the fields of a block in their order. */
export interface FieldSink {
  /** False: no more of this block, and nothing more on this connection, whose table is out of step then. */
  add(field: HeaderField): boolean;
}

export type DecodeResult = 'complete' | 'stopped' | 'invalid';

/** Continuation bytes of an integer: 28 bits and more than any length or index here. Longer ones are attacks (RFC 7541 §7.4). */
const INTEGER_BYTES_MAX = 4;
/** A reduction and a new size (RFC 7541 §4.2). */
const SIZE_UPDATES_MAX = 2;

const STATIC_FIELDS: readonly HeaderField[] = STATIC_TABLE.map(([name, value]) => {
  const bytes = Buffer.from(name + value, 'latin1');
  return makeField(readFieldName(bytes, 0, name.length), bytes, name.length, bytes.length);
});

/** Where strings are decoded to; lent to one decoder at a time. */
export function makeHuffmanScratch(): Buffer {
  return Buffer.allocUnsafeSlow(huffmanDecodedBytesMax(LIMITS.h2HeaderBlockBytesMax));
}

export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #scratch: Buffer;
  #bytes: Buffer;
  #at = 0;
  #end = 0;
  /** The string that was read last: `#text[#textStart, #textEnd)`. */
  #text: Buffer;
  #textStart = 0;
  #textEnd = 0;

  /** @param scratch of `makeHuffmanScratch`; the decoders of a thread may share it */
  constructor(scratch: Buffer, table: DynamicTable) {
    this.#table = table;
    this.#scratch = scratch;
    this.#bytes = scratch;
    this.#text = scratch;
  }

  /** Decodes the block in `bytes[start, end)`, which is at most `LIMITS.h2HeaderBlockBytesMax` long. */
  decode(bytes: Buffer, start: number, end: number, sink: FieldSink): DecodeResult {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    const result = this.#readSizeUpdates() ? this.#readFields(sink) : 'invalid';
    // What it was received in is not kept alive.
    this.#bytes = this.#scratch;
    this.#text = this.#scratch;
    return result;
  }

  #readFields(sink: FieldSink): DecodeResult {
    while (this.#at < this.#end) {
      const field = this.#readField(this.#bytes[this.#at] as number);
      if (field === null) return 'invalid';
      if (!sink.add(field)) return 'stopped';
    }
    return 'complete';
  }

  #readField(first: number): HeaderField | null {
    if ((first & 0x80) !== 0) return this.#lookUp(this.#readInteger(0x7f)) ?? null;
    if ((first & 0x40) !== 0) {
      const field = this.#readLiteral(0x3f);
      if (field !== null) this.#table.add(field);
      return field;
    }
    // A size update is no field, and stands before all fields (RFC 7541 §4.2).
    if ((first & 0x20) !== 0) return null;
    // Without indexing, or never indexed: HTTP/1.1 has no place for the difference, and nothing is encoded anew for another hop.
    return this.#readLiteral(0x0f);
  }

  #readSizeUpdates(): boolean {
    for (let updates = 0; this.#at < this.#end && ((this.#bytes[this.#at] as number) & 0xe0) === 0x20; updates++) {
      const size = this.#readInteger(0x1f);
      if (size < 0 || size > LIMITS.h2HeaderTableBytes || updates === SIZE_UPDATES_MAX) return false;
      this.#table.resize(size);
    }
    return true;
  }

  #lookUp(index: number): HeaderField | undefined {
    // -1 where the integer is invalid; there is no entry 0.
    return index < DYNAMIC_INDEX_MIN ? STATIC_FIELDS[index - 1] : this.#table.get(index - DYNAMIC_INDEX_MIN);
  }

  #readLiteral(mask: number): HeaderField | null {
    const index = this.#readInteger(mask);
    let name: FieldName | undefined;
    if (index !== 0) name = this.#lookUp(index)?.name;
    else if (this.#readString()) name = readFieldName(this.#text, this.#textStart, this.#textEnd);
    if (name === undefined || !this.#readString()) return null;
    return makeField(name, this.#text, this.#textStart, this.#textEnd);
  }

  /** RFC 7541 §5.1. -1 where it does not end, or is too large. */
  #readInteger(mask: number): number {
    const bytes = this.#bytes;
    let value = (bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let i = 0; i < INTEGER_BYTES_MAX && this.#at < this.#end; i++) {
      const byte = bytes[this.#at++] as number;
      value += (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** RFC 7541 §5.2. False where it does not end, or its code is invalid. */
  #readString(): boolean {
    if (this.#at >= this.#end) return false;
    const isHuffman = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const length = this.#readInteger(0x7f);
    const start = this.#at;
    if (length < 0 || length > this.#end - start) return false;
    this.#at = start + length;
    if (isHuffman) {
      this.#text = this.#scratch;
      this.#textStart = 0;
      this.#textEnd = decodeHuffman(this.#bytes, start, this.#at, this.#scratch, 0);
      return this.#textEnd >= 0;
    }
    this.#text = this.#bytes;
    this.#textStart = start;
    this.#textEnd = this.#at;
    return true;
  }
}
