/** The head of an upstream's response (RFC 9112 §4): bytes in, a checked head or a fault out. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {CR, LF, SPACE, VALUE_CLASS} from '#src/http1/characters.ts';
import {readConnectionOptions, type ConnectionOptions} from '#src/http1/connection-options.ts';
import {FieldBlock, INCOMPLETE, INVALID, type FieldBlockLimits} from '#src/http1/field-block.ts';
import {FIELD} from '#src/http1/field-names.ts';
import {reasonPhrase} from '#src/http1/encode.ts';
import {BODY_CHUNKED, BODY_INVALID, BODY_UNTIL_CLOSE, LENGTH_ABSENT, LENGTH_INVALID, frameBody, isBodiless, parseContentLength, parseTransferEncoding, type TransferEncoding} from '#src/http1/framing.ts';

const HEAD_LIMITS: FieldBlockLimits = {
  bytesMax: LIMITS.responseHeadBytesMax,
  fieldsMax: LIMITS.responseFieldsMax,
  tooLarge: 'upstream_head_too_large',
  tooMany: 'upstream_head_too_large',
  invalid: 'upstream_head_invalid',
};

const STATUS_LINE_PREFIX = [...Buffer.from('HTTP/1.')];
/** `HTTP/1.1 200`: after it comes the end of the line, or a space and the reason. */
const STATUS_BYTES = 12;

export const SECURITY_BITS = {strictTransportSecurity: 1, contentTypeOptions: 2, frameOptions: 4, referrerPolicy: 8} as const;

export class ResponseHead implements ConnectionOptions {
  readonly role = 'response';
  readonly fields = new FieldBlock(LIMITS.responseFieldsMax);
  fault: FaultCode = 'upstream_head_invalid';
  status = 0;
  reason = '';
  minorVersion = 1;
  contentLength: number = LENGTH_ABSENT;
  transferEncoding: TransferEncoding = 'absent';
  /** Length of the body in bytes or one of the `BODY_…` values. */
  bodyLength = 0;
  close = false;
  keepAlive = false;
  upgrade = false;
  hasDate = false;
  /** Which of the default security fields the application sent: a bit each, in the order of `SECURITY_BITS`. */
  securityFields = 0;

  /** The upstream keeps the connection open after this response. */
  get isPersistent(): boolean {
    return !this.close && (this.minorVersion === 1 || this.keepAlive);
  }

  /** Parses the head that begins at `start`. Returns the position after it, `INCOMPLETE`, or `INVALID`. */
  parse(bytes: Buffer, start: number, end: number, requestMethod: string): number {
    const lineEnd = this.#parseStatusLine(bytes, start, end);
    if (lineEnd < 0) return lineEnd;
    const headEnd = this.fields.scan(bytes, start, lineEnd, end, HEAD_LIMITS);
    if (headEnd === INVALID) return this.#refuse(this.fields.fault);
    if (headEnd === INCOMPLETE) return INCOMPLETE;
    const text = bytes.toString('latin1', start, headEnd - 2);
    this.fields.text = text;
    this.reason = text.slice(STATUS_BYTES + 1, lineEnd - 2 - start);
    const fault = this.#interpret(requestMethod);
    return fault === null ? headEnd : this.#refuse(fault);
  }

  /**
   * Another codec has decoded and checked the fields, one by one.
   * @param isEnd no content follows
   */
  finishHttp2(status: number, requestMethod: string, isEnd: boolean): FaultCode | null {
    this.status = status;
    this.reason = reasonPhrase(status);
    this.minorVersion = 1;
    const fault = this.#interpret(requestMethod);
    if (fault !== null) return fault;
    if (this.bodyLength === BODY_UNTIL_CLOSE) this.bodyLength = isEnd ? 0 : BODY_CHUNKED;
    return isEnd && this.bodyLength > 0 ? 'upstream_framing_invalid' : null;
  }

  #parseStatusLine(bytes: Buffer, start: number, end: number): number {
    const available = Math.min(end - start, STATUS_BYTES);
    for (let i = 0; i < available; i++) {
      const byte = bytes[start + i] as number;
      const isValid = i < 7 ? byte === STATUS_LINE_PREFIX[i]
        : i === 7 ? byte === 0x30 || byte === 0x31
          : i === 8 ? byte === SPACE
            : i === 9 ? byte >= 0x31 && byte <= 0x35
              : byte >= 0x30 && byte <= 0x39;
      if (!isValid) return this.#refuse('upstream_head_invalid');
    }
    if (available < STATUS_BYTES) return INCOMPLETE;
    this.minorVersion = (bytes[start + 7] as number) - 0x30;
    this.status = (bytes[start + 9] as number) * 100 + (bytes[start + 10] as number) * 10 + (bytes[start + 11] as number) - 0x30 * 111;
    return this.#parseReason(bytes, start, end);
  }

  /** An empty reason may come without its space: many servers send it so, and it can be read in one way only. */
  #parseReason(bytes: Buffer, start: number, end: number): number {
    const limit = Math.min(end, start + HEAD_LIMITS.bytesMax);
    let at = start + STATUS_BYTES;
    if (at < limit && bytes[at] !== SPACE && bytes[at] !== CR) return this.#refuse('upstream_head_invalid');
    while (at < limit && VALUE_CLASS[bytes[at] as number] === 1) at++;
    if (at < limit && bytes[at] !== CR) return this.#refuse('upstream_head_invalid');
    if (at + 1 < limit) return bytes[at + 1] === LF ? at + 2 : this.#refuse('upstream_head_invalid');
    return limit === start + HEAD_LIMITS.bytesMax ? this.#refuse('upstream_head_too_large') : INCOMPLETE;
  }

  #interpret(requestMethod: string): FaultCode | null {
    this.contentLength = LENGTH_ABSENT;
    this.transferEncoding = 'absent';
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.hasDate = false;
    this.securityFields = 0;
    const {fields} = this;
    const {numbers, count} = fields;
    for (let i = 0; i < count; i++) {
      switch (numbers[i]) {
        case FIELD['content-length']:
          // An upstream is not trusted: even two equal lengths are refused (response splitting leaves such traces).
          this.contentLength = this.contentLength === LENGTH_ABSENT ? parseContentLength(fields.value(i)) : LENGTH_INVALID;
          break;
        case FIELD['transfer-encoding']:
          this.transferEncoding = this.transferEncoding === 'absent' ? parseTransferEncoding(fields.value(i)) : 'invalid';
          break;
        case FIELD.connection:
          if (!readConnectionOptions(fields.value(i), fields, this)) return 'upstream_head_invalid';
          break;
        case FIELD.date: this.hasDate = true; break;
        case FIELD['strict-transport-security']: this.securityFields |= SECURITY_BITS.strictTransportSecurity; break;
        case FIELD['x-content-type-options']: this.securityFields |= SECURITY_BITS.contentTypeOptions; break;
        case FIELD['x-frame-options']: this.securityFields |= SECURITY_BITS.frameOptions; break;
        case FIELD['referrer-policy']: this.securityFields |= SECURITY_BITS.referrerPolicy; break;
        default:
      }
    }
    this.bodyLength = frameBody(this, isBodiless(requestMethod, this.status));
    return this.bodyLength === BODY_INVALID ? 'upstream_framing_invalid' : null;
  }

  #refuse(fault: FaultCode): typeof INVALID {
    this.fault = fault;
    return INVALID;
  }
}
