/** Trailers, checked like any field (RFC 9113 §8.1). What becomes of them is a matter of policy. */
import {LIMITS} from '#src/core/limits.ts';
import {FieldBlock} from '#src/http1/field-block.ts';
import {ROLE, type HeaderField} from '#src/http2/header-field.ts';
import type {FieldSink} from '#src/http2/hpack-decoder.ts';

export class TrailerCheck implements FieldSink {
  isMalformed = false;
  /** Lent like a head. */
  readonly fields = new FieldBlock(LIMITS.trailerFieldsMax);
  #bytes = 0;

  begin(): void {
    this.isMalformed = false;
    this.fields.clear();
    this.#bytes = 0;
  }

  add({role, size, line, name}: HeaderField): boolean {
    this.#bytes += size;
    // No pseudo-header fields, and nothing about the message's framing or its connection.
    if (role <= ROLE.MALFORMED ? role !== ROLE.PLAIN : role === ROLE.HOST || role === ROLE.CONTENT_LENGTH || role === ROLE.TE) this.isMalformed = true;
    if (this.#bytes > LIMITS.trailerBytesMax || !this.fields.append(line, name.text.length, name.number)) this.isMalformed = true;
    return this.#bytes <= LIMITS.h2HeaderListBytesMax;
  }
}
