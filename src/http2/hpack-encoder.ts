/**
 * Encodes heads and trailers (RFC 7541). Lines of text come in, as the policies make them. Whole lines are the keys of the
 * table: a line that a client has been sent before costs one look-up and a byte or two.
 */
import {LIMITS} from '#src/core/limits.ts';
import {COLON} from '#src/http1/characters.ts';
import {encodeHuffman, huffmanEncodedBytes} from '#src/http2/huffman.ts';
import type {OutputBuffer} from '#src/http2/output-buffer.ts';
import {RepeatedBlock} from '#src/http2/repeated-block.ts';
import {DYNAMIC_INDEX_MIN, ENTRY_OVERHEAD_BYTES, STATIC_TABLE} from '#src/http2/static-table.ts';

/** First byte and mask of the integer behind it, for each kind of literal (RFC 7541 §6.2). */
const INDEXED = {bits: 0x40, mask: 0x3f} as const;
const NOT_INDEXED = {bits: 0x00, mask: 0x0f} as const;
const NEVER_INDEXED = {bits: 0x10, mask: 0x0f} as const;

/** Values differ from response to response, or soon will: in the table they would only drive out others. */
const VARYING = [':path', 'age', 'content-length', 'content-range', 'date', 'etag', 'expires', 'last-modified', 'location', 'x-request-id'];
/** Secrets: an attacker who can add entries to the table could guess them by the size of responses (RFC 7541 §7.1, "CRIME"). */
const SECRET = ['authorization', 'cookie', 'proxy-authorization', 'set-cookie'];

/** A line above a quarter of the table is not worth what it drives out. */
const INDEXED_LINE_BYTES_MAX = LIMITS.h2HeaderTableBytes / 4;
/** So many lines are remembered that were sent and might be sent again. */
const SEEN_LINES = 64;
/** Below this a loop is faster than a call of the runtime's own writer. */
const LOOPED_TEXT_BYTES_MAX = 32;
/** `: ` and CRLF. */
const LINE_OVERHEAD_BYTES = 4;

/** Heads of a connection are alike, line by line, up to here; what is behind is only slower. */
const HABITS_MAX = 32;

interface NameRule {
  readonly staticIndex: number;
  /** Null: indexed when it is worth it. */
  readonly kind: typeof NOT_INDEXED | typeof NEVER_INDEXED | null;
}

/**
 * How a line was written: what it begins with, and how that is said. An entry of the table (`number` is its place among all that were ever
 * added), of which `text` is the whole line; or a field that is not indexed (-1), of which it is the name with what is between it and the value.
 */
interface Habit {
  readonly text: string;
  readonly number: number;
  readonly name: string;
  readonly staticIndex: number;
  readonly kind: typeof INDEXED | typeof NOT_INDEXED | typeof NEVER_INDEXED;
}

const STATIC_STATUS: ReadonlyMap<number, number> = new Map(STATIC_TABLE.flatMap(([name, value], i) => (name === ':status' ? [[Number(value), i + 1]] : [])));
/** Whole fields of requests. */
const STATIC_PSEUDO: ReadonlyMap<string, number> = new Map(STATIC_TABLE.flatMap(([name, value], i) => (/^:(?:method|scheme|path)$/.test(name) ? [[`${name}: ${value}\r\n`, i + 1]] : [])));
const STATUS_NAME_INDEX = STATIC_TABLE.findIndex(([name]) => name === ':status') + 1;
const RULES: ReadonlyMap<string, NameRule> = new Map([...STATIC_TABLE.map(([name]) => name), ...VARYING, ...SECRET].map((name) => [name, {
  staticIndex: STATIC_TABLE.findIndex(([staticName]) => staticName === name) + 1,
  kind: SECRET.includes(name) ? NEVER_INDEXED : VARYING.includes(name) ? NOT_INDEXED : null,
}]));

/** What `encode` writes at most for lines of this length in all: the integers of a string of n bytes grow much more slowly than n. */
export function encodedBytesMax(linesLength: number): number {
  return linesLength + (linesLength >>> 4) + 32;
}

export class HpackEncoder {
  /** The table by lines; the oldest comes first, because a map keeps the order in which keys were added. */
  readonly #entries = new Map<string, Habit>();
  /** How the lines of the last heads were written: to compare with what stood in the same place is faster than to look up. */
  readonly #habits: (Habit | null)[] = [];
  /** Entries ever added. */
  #added = 0;
  #size = 0;
  #sizeMax: number = LIMITS.h2HeaderTableBytes;
  /** The least size since the last block, where the client has to be told of a change; -1 where not. */
  #announcedSizeMin = -1;
  /** Hashes, in a ring. */
  #seen: Int32Array | null = null;
  #seenCount = 0;
  readonly #repeated = new RepeatedBlock();

  get tableSize(): number {
    return this.#size;
  }

  /** The client's SETTINGS_HEADER_TABLE_SIZE. A larger table than the default is not used. */
  resize(bytes: number): void {
    const sizeMax = Math.min(bytes, LIMITS.h2HeaderTableBytes);
    if (sizeMax === this.#sizeMax) return;
    this.#sizeMax = sizeMax;
    this.#announcedSizeMin = this.#announcedSizeMin < 0 ? sizeMax : Math.min(this.#announcedSizeMin, sizeMax);
    this.#evict(sizeMax);
  }

  /**
   * Writes a block to `out`, which has room for `encodedBytesMax`.
   * @param status of a response; 0 for requests and trailers
   * @param lines checked fields, each as `name: value CRLF`
   */
  encode(out: OutputBuffer, status: number, lines: string): void {
    if (this.#announcedSizeMin >= 0) this.#announceSize(out);
    if (this.#repeated.tryWrite(out, status, lines)) return;
    const start = out.at;
    if (status !== 0) this.#writeStatus(out, status);
    if (this.#writeLines(out, lines)) this.#repeated.remember(out, start, status, lines);
  }

  /** True where every line was one that is written like the one before it in its place. */
  #writeLines(out: OutputBuffer, lines: string): boolean {
    let isHabitual = true;
    for (let at = 0, place = 0; at < lines.length; place++) {
      const habit = this.#habits[place] ?? null;
      if (habit !== null && lines.startsWith(habit.text, at)) {
        if (this.#isInTable(habit)) {
          this.#writeIndex(out, habit);
          at += habit.text.length;
          continue;
        }
        if (habit.number < 0) {
          const end = lines.indexOf('\r', at);
          writeLiteral(out, habit, lines.slice(at + habit.text.length, end));
          at = end + 2;
          continue;
        }
      }
      const end = lines.indexOf('\r', at) + 2;
      const written = this.#writeLine(out, lines.slice(at, end));
      isHabitual = false;
      if (place < HABITS_MAX) this.#habits[place] = written;
      at = end;
    }
    return isHabitual;
  }

  /** RFC 7541 §4.2: where the size fell and rose again, the client must be told of both. */
  #announceSize(out: OutputBuffer): void {
    if (this.#announcedSizeMin < this.#sizeMax) writeInteger(out, this.#announcedSizeMin, 0x1f, 0x20);
    writeInteger(out, this.#sizeMax, 0x1f, 0x20);
    this.#announcedSizeMin = -1;
  }

  #writeStatus(out: OutputBuffer, status: number): void {
    const index = STATIC_STATUS.get(status);
    if (index !== undefined) {
      writeInteger(out, index, 0x7f, 0x80);
      return;
    }
    writeInteger(out, STATUS_NAME_INDEX, NOT_INDEXED.mask, NOT_INDEXED.bits);
    writeText(out, String(status));
  }

  #isInTable({number}: Habit): boolean {
    return number >= this.#added - this.#entries.size;
  }

  #writeIndex(out: OutputBuffer, {number}: Habit): void {
    writeInteger(out, DYNAMIC_INDEX_MIN + this.#added - 1 - number, 0x7f, 0x80);
  }

  /** Returns how the next line like it can be written; null where it is still to be seen. */
  #writeLine(out: OutputBuffer, line: string): Habit | null {
    const entry = this.#entries.get(line);
    if (entry !== undefined) {
      this.#writeIndex(out, entry);
      return entry;
    }
    const pseudo = line.charCodeAt(0) === COLON ? STATIC_PSEUDO.get(line) : undefined;
    if (pseudo !== undefined) {
      writeInteger(out, pseudo, 0x7f, 0x80);
      return null;
    }
    // The first colon is part of the name of a pseudo-header field.
    const colon = line.indexOf(':', 1);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 2, -2);
    const rule = RULES.get(name);
    const staticIndex = rule?.staticIndex ?? 0;
    if (rule === undefined || rule.kind === null) {
      if (this.#isWorthIndexing(line)) return this.#addLine(out, line, name, value, staticIndex);
      writeLiteral(out, {text: '', number: -1, name, staticIndex, kind: NOT_INDEXED}, value);
      return null;
    }
    const habit: Habit = {text: copyText(line.slice(0, colon + 2)), number: -1, name: copyText(name), staticIndex, kind: rule.kind};
    writeLiteral(out, habit, value);
    return habit;
  }

  /** True when the line has been sent before: what never comes again (ids, timings) must not drive out what does. */
  #isWorthIndexing(line: string): boolean {
    if (line.length > INDEXED_LINE_BYTES_MAX || line.length - LINE_OVERHEAD_BYTES + ENTRY_OVERHEAD_BYTES > this.#sizeMax) return false;
    let hash = 1;
    for (let i = 0; i < line.length; i++) hash = (Math.imul(hash, 31) + line.charCodeAt(i)) | 0;
    this.#seen ??= new Int32Array(SEEN_LINES);
    if (this.#seen.includes(hash)) return true;
    this.#seen[this.#seenCount++ % SEEN_LINES] = hash;
    return false;
  }

  #addLine(out: OutputBuffer, line: string, name: string, value: string, staticIndex: number): Habit {
    writeInteger(out, staticIndex, INDEXED.mask, INDEXED.bits);
    if (staticIndex === 0) writeShortest(out, name);
    writeShortest(out, value);
    const size = line.length - LINE_OVERHEAD_BYTES + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#sizeMax - size);
    const entry: Habit = {text: copyText(line), number: this.#added++, name: '', staticIndex, kind: INDEXED};
    this.#entries.set(entry.text, entry);
    this.#size += size;
    this.#repeated.forget();
    return entry;
  }

  #evict(sizeMax: number): void {
    if (this.#size <= sizeMax) return;
    this.#repeated.forget();
    for (const line of this.#entries.keys()) {
      this.#entries.delete(line);
      this.#size -= line.length - LINE_OVERHEAD_BYTES + ENTRY_OVERHEAD_BYTES;
      if (this.#size <= sizeMax) return;
    }
  }
}

/** A slice would keep the whole head alive that it was cut out of. */
function copyText(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('latin1');
}

function writeLiteral(out: OutputBuffer, {name, staticIndex, kind}: Habit, value: string): void {
  writeInteger(out, staticIndex, kind.mask, kind.bits);
  if (staticIndex === 0) writeText(out, name);
  writeText(out, value);
}

/** RFC 7541 §5.1. */
function writeInteger(out: OutputBuffer, value: number, mask: number, bits: number): void {
  const {bytes} = out;
  if (value < mask) {
    bytes[out.at++] = bits | value;
    return;
  }
  bytes[out.at++] = bits | mask;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes[out.at++] = (rest & 0x7f) | 0x80;
  bytes[out.at++] = rest;
}

/** As it stands: what is sent once is not worth the time that Huffman's code takes. */
function writeText(out: OutputBuffer, latin1: string): void {
  const {length} = latin1;
  writeInteger(out, length, 0x7f, 0);
  if (length > LOOPED_TEXT_BYTES_MAX) {
    out.at += out.bytes.write(latin1, out.at, 'latin1');
    return;
  }
  const {bytes, at} = out;
  for (let i = 0; i < length; i++) bytes[at + i] = latin1.charCodeAt(i);
  out.at = at + length;
}

function writeShortest(out: OutputBuffer, latin1: string): void {
  const encodedLength = huffmanEncodedBytes(latin1);
  if (encodedLength >= latin1.length) {
    writeText(out, latin1);
    return;
  }
  writeInteger(out, encodedLength, 0x7f, 0x80);
  out.at = encodeHuffman(latin1, out.bytes, out.at);
}
