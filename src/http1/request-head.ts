/** The head of a request (RFC 9112 §3, §5): bytes in, a checked head or a fault out. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {CR, LF, SPACE, TOKEN_CLASS, VISIBLE_CLASS} from '#src/http1/characters.ts';
import {readConnectionOptions, type ConnectionOptions} from '#src/http1/connection-options.ts';
import {FieldBlock, INCOMPLETE, INVALID, type FieldBlockLimits} from '#src/http1/field-block.ts';
import {FIELD, JOINED_COOKIE, SINGLE_BITS} from '#src/http1/field-names.ts';
import {BODY_INVALID, LENGTH_ABSENT, LENGTH_INVALID, frameBody, parseContentLength, parseTransferEncoding, type TransferEncoding} from '#src/http1/framing.ts';

const HEAD_LIMITS: FieldBlockLimits = {
  bytesMax: LIMITS.requestHeadBytesMax,
  fieldsMax: LIMITS.requestFieldsMax,
  tooLarge: 'head_too_large',
  tooMany: 'fields_too_many',
  invalid: 'field_invalid',
};

const VERSION_PREFIX = [...Buffer.from('HTTP/')];
/** `HTTP/1.1 CR LF` */
const VERSION_BYTES = 10;

export class RequestHead implements ConnectionOptions {
  readonly role = 'request';
  readonly fields = new FieldBlock(LIMITS.requestFieldsMax);
  /** Why `parse` returned `INVALID`. */
  fault: FaultCode = 'head_invalid';
  method = '';
  target = '';
  minorVersion = 1;
  /** Value of the Host field as the client wrote it. */
  host = '';
  contentLength: number = LENGTH_ABSENT;
  transferEncoding: TransferEncoding = 'absent';
  /** Length of the body in bytes or one of the `BODY_…` values. */
  bodyLength = 0;
  close = false;
  keepAlive = false;
  upgrade = false;
  upgradeProtocol = '';
  expect = '';
  userAgent = '';
  referer = '';
  accept = '';
  /** The handshake of a WebSocket that came over HTTP/2 (RFC 8441), where there is no upgrade: `upgradeProtocol` is what `:protocol` said. */
  isExtendedConnect = false;
  #methodEnd = 0;
  #targetEnd = 0;

  /** The client wants the connection to go on, and may (RFC 9112 §9.3). */
  get isPersistent(): boolean {
    return !this.close && (this.minorVersion === 1 || this.keepAlive);
  }

  /** Parses the head that begins at `start`. Returns the position after it, `INCOMPLETE`, or `INVALID`. */
  parse(bytes: Buffer, start: number, end: number): number {
    // One empty line before the request line is forgiven (RFC 9112 §2.2); anything else is not.
    let lineStart = start;
    if (bytes[start] === CR) {
      if (start + 1 >= end) return INCOMPLETE;
      if (bytes[start + 1] !== LF) return this.#refuse('head_invalid');
      lineStart = start + 2;
    }
    const fieldsStart = this.#parseRequestLine(bytes, lineStart, end);
    if (fieldsStart < 0) return fieldsStart;
    const headEnd = this.fields.scan(bytes, lineStart, fieldsStart, end, HEAD_LIMITS);
    if (headEnd === INVALID) return this.#refuse(this.fields.fault);
    if (headEnd === INCOMPLETE) return INCOMPLETE;
    const text = bytes.toString('latin1', lineStart, headEnd - 2);
    this.fields.text = text;
    // The usual methods without a string of their own for each request.
    this.method = text.startsWith('GET ') ? 'GET' : text.startsWith('POST ') ? 'POST' : text.slice(0, this.#methodEnd - lineStart);
    this.target = text.slice(this.#methodEnd + 1 - lineStart, this.#targetEnd - lineStart);
    const fault = this.#interpret();
    return fault === null ? headEnd : this.#refuse(fault);
  }

  #parseRequestLine(bytes: Buffer, start: number, end: number): number {
    let at = start;
    const methodLimit = Math.min(end, start + LIMITS.methodBytesMax + 1);
    while (at < methodLimit && TOKEN_CLASS[bytes[at] as number] !== 0) at++;
    if (at - start > LIMITS.methodBytesMax) return this.#refuse('method_invalid');
    if (at === end) return INCOMPLETE;
    if (bytes[at] !== SPACE || at === start) return this.#refuse(at === start ? 'head_invalid' : 'method_invalid');
    this.#methodEnd = at++;
    const targetStart = at;
    const targetLimit = Math.min(end, targetStart + LIMITS.requestTargetBytesMax + 1);
    while (at < targetLimit && VISIBLE_CLASS[bytes[at] as number] === 1) at++;
    if (at - targetStart > LIMITS.requestTargetBytesMax) return this.#refuse('target_too_long');
    if (at === end) return INCOMPLETE;
    if (bytes[at] !== SPACE || at === targetStart) return this.#refuse(isLineEnd(bytes[at] as number) || at === targetStart ? 'head_invalid' : 'target_invalid');
    this.#targetEnd = at++;
    return this.#parseVersion(bytes, at, end);
  }

  /** `HTTP/1.x CR LF`. Any other well-formed version is 505, anything else 400. */
  #parseVersion(bytes: Buffer, start: number, end: number): number {
    const available = Math.min(end - start, VERSION_BYTES);
    let supported = true;
    for (let i = 0; i < available; i++) {
      const byte = bytes[start + i] as number;
      if (i < 5 ? byte !== VERSION_PREFIX[i]
        : i === 6 ? byte !== 0x2e
          : i === 8 ? byte !== CR
            : i === 9 ? byte !== LF
              : byte < 0x30 || byte > 0x39) return this.#refuse('head_invalid');
      if (i === 5 && byte !== 0x31) supported = false;
      if (i === 7 && byte > 0x31) supported = false;
    }
    if (available < VERSION_BYTES) return INCOMPLETE;
    if (!supported) return this.#refuse('version_unsupported');
    this.minorVersion = (bytes[start + 7] as number) - 0x30;
    return start + VERSION_BYTES;
  }

  /** Reads the fields that Torwart decides about. Null where the head is good. */
  #interpret(): FaultCode | null {
    this.#reset();
    const {fields} = this;
    const {numbers, count} = fields;
    let hostSeen = false;
    let singlesSeen = 0;
    let cookieLines = 0;
    for (let i = 0; i < count; i++) {
      switch (numbers[i]) {
        case FIELD.host:
          if (hostSeen) return 'host_invalid';
          hostSeen = true;
          this.host = fields.value(i);
          break;
        case FIELD['content-length']: {
          const length = parseContentLength(fields.value(i));
          this.contentLength = this.contentLength === LENGTH_ABSENT || this.contentLength === length ? length : LENGTH_INVALID;
          if (this.contentLength === LENGTH_INVALID) return 'framing_invalid';
          break;
        }
        case FIELD['transfer-encoding']:
          this.transferEncoding = this.transferEncoding === 'absent' ? parseTransferEncoding(fields.value(i)) : 'invalid';
          break;
        case FIELD.connection:
          if (!readConnectionOptions(fields.value(i), fields, this)) return 'connection_option_refused';
          break;
        case FIELD.upgrade:
          this.upgradeProtocol = this.upgradeProtocol === '' ? fields.value(i) : `${this.upgradeProtocol}, ${fields.value(i)}`;
          break;
        case FIELD.expect:
          this.expect = this.expect === '' ? fields.value(i) : `${this.expect}, ${fields.value(i)}`;
          break;
        case FIELD['user-agent']: this.userAgent = fields.value(i); break;
        case FIELD.referer: this.referer = fields.value(i); break;
        case FIELD.accept: this.accept = fields.value(i); break;
        case FIELD.cookie: cookieLines++; break;
        default: {
          const bit = SINGLE_BITS[numbers[i] as number] as number;
          if ((singlesSeen & bit) !== 0) return 'field_invalid';
          singlesSeen |= bit;
        }
      }
    }
    if (!hostSeen) return 'host_invalid';
    if (cookieLines > 1) this.#joinCookies();
    this.bodyLength = frameBody(this, false);
    return this.bodyLength === BODY_INVALID ? 'framing_invalid' : null;
  }

  /** As HTTP/2 has it (RFC 9113 §8.2.3): of two lines, one server reads the first, another the last, a third both with a comma between them. */
  #joinCookies(): void {
    const {fields} = this;
    let first = -1;
    let joined = '';
    for (let i = 0; i < fields.count; i++) {
      if (fields.numbers[i] !== FIELD.cookie) continue;
      const value = fields.value(i);
      if (value !== '') joined += joined === '' ? value : `; ${value}`;
      if (first < 0) first = i;
      else fields.numbers[i] = JOINED_COOKIE;
    }
    fields.setValue(first, joined);
  }

  #reset(): void {
    this.host = '';
    this.contentLength = LENGTH_ABSENT;
    this.transferEncoding = 'absent';
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.upgradeProtocol = '';
    this.expect = '';
    this.userAgent = '';
    this.referer = '';
    this.accept = '';
    this.isExtendedConnect = false;
  }

  #refuse(fault: FaultCode): typeof INVALID {
    this.fault = fault;
    return INVALID;
  }
}

function isLineEnd(byte: number): boolean {
  return byte === CR || byte === LF;
}
