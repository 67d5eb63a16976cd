/** Trailers of a request: checked like any field (RFC 9113 §8.1), then dropped. */
import {LIMITS} from '#src/core/limits.ts';
import {ROLE, type HeaderField} from '#src/http2/header-field.ts';
import type {FieldSink} from '#src/http2/hpack-decoder.ts';

export class TrailerCheck implements FieldSink {
  isMalformed = false;
  #count = 0;
  #bytes = 0;

  begin(): void {
    this.isMalformed = false;
    this.#count = 0;
    this.#bytes = 0;
  }

  add({role, size}: HeaderField): boolean {
    this.#count++;
    this.#bytes += size;
    // No pseudo-header fields, and nothing about the message's framing or its connection.
    if (role <= ROLE.MALFORMED ? role !== ROLE.PLAIN : role === ROLE.HOST || role === ROLE.CONTENT_LENGTH || role === ROLE.TE) this.isMalformed = true;
    if (this.#count > LIMITS.trailerFieldsMax || this.#bytes > LIMITS.trailerBytesMax) this.isMalformed = true;
    return this.#bytes <= LIMITS.h2HeaderListBytesMax;
  }
}
