/**
 * Makes of decoded fields the same head that an HTTP/1.1 connection to an application parses (RFC 9113 §8). What would mean another response,
 * or two, once it is written for a client never becomes a head.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ROLE, type HeaderField} from '#src/http2/header-field.ts';
import type {FieldSink} from '#src/http2/hpack-decoder.ts';
import {ENTRY_OVERHEAD_BYTES} from '#src/http2/static-table.ts';

const STATUS = /^[1-5][0-9][0-9]$/;
/** `: ` and CRLF, which the limit of HTTP/1.1 heads counts. */
const LINE_OVERHEAD_BYTES = 4;

export class ResponseAssembler implements FieldSink {
  /** Filled anew by each response: whoever it is lent to takes out what is needed later. */
  readonly head: ResponseHead;
  #status = 0;
  #areFieldsBegun = false;
  #fault: FaultCode | null = null;
  #listBytes = 0;
  #headBytes = 0;

  constructor(head: ResponseHead) {
    this.head = head;
  }

  begin(): void {
    this.head.fields.clear();
    this.#status = 0;
    this.#areFieldsBegun = false;
    this.#fault = null;
    this.#listBytes = 0;
    this.#headBytes = 0;
  }

  add({role, size, value, line, name}: HeaderField): boolean {
    this.#listBytes += size;
    this.#headBytes += size - ENTRY_OVERHEAD_BYTES + LINE_OVERHEAD_BYTES;
    if (this.#listBytes > LIMITS.h2HeaderListBytesMax) return false;
    if (role === ROLE.STATUS) {
      // RFC 9113 §8.3: once, before all other fields.
      if (this.#areFieldsBegun || this.#status !== 0 || !STATUS.test(value)) this.#refuse('upstream_head_invalid');
      else this.#status = Number(value);
      return true;
    }
    this.#areFieldsBegun = true;
    // Besides Status there are only pseudo-header fields of requests; and TE is one of requests, too (RFC 9113 §8.2.2).
    if (role !== ROLE.PLAIN && (role <= ROLE.MALFORMED || role === ROLE.TE)) this.#refuse('upstream_head_invalid');
    else if (this.#headBytes > LIMITS.responseHeadBytesMax || !this.head.fields.append(line, name.text.length, name.number)) this.#refuse('upstream_head_too_large');
    return true;
  }

  #refuse(fault: FaultCode): void {
    this.#fault ??= fault;
  }

  /**
   * All fields are here.
   * @param isEnd no content follows
   */
  finish(requestMethod: string, isEnd: boolean): FaultCode | null {
    if (this.#fault === null && (this.#status === 0 || (this.#status < 200 && isEnd))) return 'upstream_head_invalid';
    return this.#fault ?? this.head.finishHttp2(this.#status, requestMethod, isEnd);
  }
}
