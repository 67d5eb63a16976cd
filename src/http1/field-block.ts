/**
 * The fields of one head: its text, decoded once as latin1, and a table of where each field stands in it. The table is reused from
 * head to head, so scanning allocates nothing but the text.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {COLON, CR, FOLDING_MARK, LF, NAME_CHARACTER, SPACE, TAB, VALUE_CLASS} from '#src/http1/characters.ts';
import {FOLDING_KNOWN, FOLDING_NAME, identifyField, identifyFolding, nextHash} from '#src/http1/field-names.ts';

/** The bytes so far are a valid beginning. */
export const INCOMPLETE = -1;
/** The bytes can never become valid; `fault` of the block says why. */
export const INVALID = -2;

const STRIDE = 5;
const NAME_START = 0, NAME_END = 1, VALUE_START = 2, VALUE_END = 3, LINE_END = 4;

export interface FieldBlockLimits {
  readonly bytesMax: number;
  readonly fieldsMax: number;
  /** Faults for the two limits. */
  readonly tooLarge: FaultCode;
  readonly tooMany: FaultCode;
  readonly invalid: FaultCode;
}

export class FieldBlock {
  /** The head as latin1 text; offsets of fields are relative to its start. */
  text = '';
  count = 0;
  /** Fields whose name folds (`_`, `.`): of a request, dropped and counted. */
  foldingCount = 0;
  fault: FaultCode = 'head_invalid';
  readonly numbers: Uint8Array;
  readonly #offsets: Int32Array;

  constructor(fieldsMax: number) {
    this.numbers = new Uint8Array(fieldsMax);
    this.#offsets = new Int32Array(fieldsMax * STRIDE);
  }

  lineStart(index: number): number {
    return this.#offsets[index * STRIDE + NAME_START] as number;
  }

  lineEnd(index: number): number {
    return this.#offsets[index * STRIDE + LINE_END] as number;
  }

  name(index: number): string {
    const at = index * STRIDE;
    return this.text.slice(this.#offsets[at + NAME_START], this.#offsets[at + NAME_END]);
  }

  nameLength(index: number): number {
    const at = index * STRIDE;
    return (this.#offsets[at + NAME_END] as number) - (this.#offsets[at + NAME_START] as number);
  }

  value(index: number): string {
    const at = index * STRIDE;
    return this.text.slice(this.#offsets[at + VALUE_START], this.#offsets[at + VALUE_END]);
  }

  /** Written as `name: value` with one space and nothing after the value, so that the line can be copied as it stands. */
  isPlain(index: number): boolean {
    const at = index * STRIDE;
    const offsets = this.#offsets;
    return offsets[at + VALUE_START] === (offsets[at + NAME_END] as number) + 2
      && offsets[at + LINE_END] === (offsets[at + VALUE_END] as number) + 2
      && this.text.charCodeAt((offsets[at + VALUE_START] as number) - 1) === SPACE;
  }

  /** Another value for a field, which makes its line one that is not plain. Valid as a value already. */
  setValue(index: number, value: string): void {
    const at = index * STRIDE;
    this.#offsets[at + VALUE_START] = this.text.length;
    this.#offsets[at + VALUE_END] = this.text.length + value.length;
    this.text += value;
  }

  /** Begins a head whose fields come one by one. */
  clear(): void {
    this.text = '';
    this.count = 0;
    this.foldingCount = 0;
  }

  /**
   * Adds one field that another codec has decoded and checked: `line` is `name: value CRLF`, with one space and no blank around the
   * value. False where there is no room left.
   */
  append(line: string, nameLength: number, number: number): boolean {
    if (this.count === this.numbers.length) return false;
    const start = this.text.length;
    const end = start + line.length;
    const offsets = this.#offsets;
    const entry = this.count * STRIDE;
    offsets[entry + NAME_START] = start;
    offsets[entry + NAME_END] = start + nameLength;
    offsets[entry + VALUE_START] = start + nameLength + 2;
    offsets[entry + VALUE_END] = end - 2;
    offsets[entry + LINE_END] = end;
    this.numbers[this.count] = number;
    this.text += line;
    this.count++;
    if (number === FOLDING_NAME || number === FOLDING_KNOWN) this.foldingCount++;
    return true;
  }

  /**
   * Scans field lines from `position` up to and with the empty line. `start` is the head's first byte: limits and offsets count from
   * there. Returns the position after the empty line, `INCOMPLETE`, or `INVALID`.
   *
   * Faults are found strictly in the order of the bytes, so that the outcome never depends on how the network cut them.
   */
  scan(bytes: Uint8Array, start: number, position: number, end: number, limits: FieldBlockLimits): number {
    const limit = Math.min(end, start + limits.bytesMax);
    this.count = 0;
    this.foldingCount = 0;
    let at = position;
    while (at < limit) {
      if (bytes[at] === CR) {
        if (at + 1 === limit) break;
        return bytes[at + 1] === LF ? at + 2 : this.#refuse(limits.invalid);
      }
      if (this.count === limits.fieldsMax) return this.#refuse(limits.tooMany);
      at = this.#scanLine(bytes, start, at, limit, limits.invalid);
      if (at < 0) break;
    }
    if (at === INVALID) return INVALID;
    return limit === start + limits.bytesMax ? this.#refuse(limits.tooLarge) : INCOMPLETE;
  }

  /** One `name: value CRLF`. Returns the position after it. */
  #scanLine(bytes: Uint8Array, start: number, lineStart: number, limit: number, invalid: FaultCode): number {
    let at = lineStart;
    let hash = 0;
    let marks = 0;
    let byte = 0;
    for (; at < limit; at++) {
      byte = bytes[at] as number;
      const character = NAME_CHARACTER[byte] as number;
      if (character === 0) break;
      marks |= character;
      hash = nextHash(hash, character);
    }
    if (at === limit) return INCOMPLETE;
    // An empty name, a space before the colon, and obs-fold (a line that begins with a blank) all end here (RFC 9112 §5.1, §5.2).
    if (byte !== COLON || at === lineStart) return this.#refuse(invalid);
    const nameEnd = at++;
    while (at < limit && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
    const valueStart = at;
    while (at < limit && VALUE_CLASS[bytes[at] as number] === 1) at++;
    if (at === limit) return INCOMPLETE;
    if (bytes[at] !== CR) return this.#refuse(invalid);
    if (at + 1 === limit) return INCOMPLETE;
    if (bytes[at + 1] !== LF) return this.#refuse(invalid);
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd--;
    const offsets = this.#offsets;
    const entry = this.count * STRIDE;
    offsets[entry + NAME_START] = lineStart - start;
    offsets[entry + NAME_END] = nameEnd - start;
    offsets[entry + VALUE_START] = valueStart - start;
    offsets[entry + VALUE_END] = valueEnd - start;
    offsets[entry + LINE_END] = at + 2 - start;
    if ((marks & FOLDING_MARK) === 0) {
      this.numbers[this.count] = identifyField(bytes, lineStart, nameEnd, hash);
    } else {
      this.numbers[this.count] = identifyFolding(bytes, lineStart, nameEnd);
      this.foldingCount++;
    }
    this.count++;
    return at + 2;
  }

  #refuse(fault: FaultCode): typeof INVALID {
    this.fault = fault;
    return INVALID;
  }
}

/**
 * The lines of all fields whose number is not in `dropped` and whose name is not in `removedNames`, ready to be sent. Lines that
 * stand next to each other are copied in runs; only an oddly written line is written anew.
 */
export function copyFields(block: FieldBlock, dropped: Uint8Array, removedNames: ReadonlySet<string> | null): string {
  const {text, numbers, count} = block;
  let out = '';
  let runStart = count > 0 ? block.lineStart(0) : 0;
  for (let i = 0; i < count; i++) {
    const drop = dropped[numbers[i] as number] === 1 || (removedNames !== null && removedNames.has(block.name(i).toLowerCase()));
    if (!drop && block.isPlain(i)) continue;
    const lineStart = block.lineStart(i);
    if (lineStart > runStart) out += text.slice(runStart, lineStart);
    runStart = block.lineEnd(i);
    if (!drop) out += `${block.name(i)}: ${block.value(i)}\r\n`;
  }
  const end = count > 0 ? block.lineEnd(count - 1) : 0;
  return end > runStart ? out + text.slice(runStart, end) : out;
}
