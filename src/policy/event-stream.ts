/** Server-sent events (WHATWG HTML §9.2): responses that are silent for as long as there is nothing to say. */
import {FIELD} from '#src/http1/field-names.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';

const EVENT_STREAM = /^text\/event-stream[ \t]*(?:;|$)/i;

export function isEventStream({bodyLength, fields}: ResponseHead): boolean {
  // Whoever knows the length of a body has it already.
  if (bodyLength >= 0) return false;
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] === FIELD['content-type']) return EVENT_STREAM.test(fields.value(i));
  }
  return false;
}
