/**
 * How long a message body is: RFC 9112 §6.3 as one function for both directions. Torwart always frames messages anew, so this is
 * the only place where the peer's framing has a meaning, and anything that two parsers could read differently is `BODY_INVALID`.
 */

/** Results below zero; anything else is the exact length in bytes. */
export const BODY_CHUNKED = -1;
export const BODY_UNTIL_CLOSE = -2;
export const BODY_INVALID = -3;

/** What a response that Torwart writes says with Content-Length: the length of the body that follows, or nothing at all. */
export const ANNOUNCE_BODY = -1;
export const ANNOUNCE_NOTHING = -2;

/** What a head says with Content-Length. */
export const LENGTH_ABSENT = -1;
export const LENGTH_INVALID = -2;

/** What a head says with Transfer-Encoding. */
export type TransferEncoding = 'absent' | 'chunked' | 'invalid';

export interface FramingInput {
  readonly role: 'request' | 'response';
  readonly minorVersion: number;
  readonly contentLength: number;
  readonly transferEncoding: TransferEncoding;
}

/** @param bodiless the response of a HEAD request, or a 1xx, 204 or 304: no body, whatever the fields say. */
export function frameBody(head: FramingInput, bodiless: boolean): number {
  if (head.transferEncoding !== 'absent') {
    // Both fields together, an unknown coding, or a coding in HTTP/1.0 is how requests are smuggled (RFC 9112 §6.1, §11.2).
    if (head.transferEncoding === 'invalid' || head.contentLength !== LENGTH_ABSENT || head.minorVersion === 0) return BODY_INVALID;
    return bodiless ? 0 : BODY_CHUNKED;
  }
  if (head.contentLength === LENGTH_INVALID) return BODY_INVALID;
  if (bodiless) return 0;
  if (head.contentLength >= 0) return head.contentLength;
  return head.role === 'request' ? 0 : BODY_UNTIL_CLOSE;
}

/** More digits could be a length only by zeros in front. */
const LENGTH_DIGITS_MAX = 16;
const ZERO = 0x30;

/** One Content-Length value: digits only, no list, at most 2^53 - 1 (RFC 9110 §8.6). */
export function parseContentLength(value: string): number {
  if (value === '' || value.length > LENGTH_DIGITS_MAX) return LENGTH_INVALID;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return LENGTH_INVALID;
    length = length * 10 + digit;
  }
  return Number.isSafeInteger(length) ? length : LENGTH_INVALID;
}

const CHUNKED_PATTERN = /^chunked$/i;

/** Exactly `chunked`, in any case of letters: a list, a parameter or another coding is refused. */
export function parseTransferEncoding(value: string): TransferEncoding {
  return value === 'chunked' || CHUNKED_PATTERN.test(value) ? 'chunked' : 'invalid';
}

/** A response to HEAD, and a 1xx, 204 or 304, has no body (RFC 9112 §6.3 rule 1). */
export function isBodiless(requestMethod: string, status: number): boolean {
  return requestMethod === 'HEAD' || status === 204 || status === 304 || status < 200;
}

/**
 * What Content-Length says of an upstream's response: of a HEAD the length that its GET would have, where that is known. Not of a 304, where it
 * is optional (RFC 9110 §15.4.5): some clients wait for as much content and fail (undici), and no cache may use it (RFC 9111 §3.2).
 */
export function announceLength(bodyLength: number, contentLength: number, status: number, requestMethod: string): number {
  if (!isBodiless(requestMethod, status)) return bodyLength >= 0 ? ANNOUNCE_BODY : ANNOUNCE_NOTHING;
  return status !== 204 && status !== 304 && contentLength >= 0 ? contentLength : ANNOUNCE_NOTHING;
}
