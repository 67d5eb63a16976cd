/** Heads between the form of HTTP/1.1, in which requests are prepared and responses are checked, and that of HTTP/2 (RFC 9113 §8.3). */
import {INVALID} from '#src/http1/field-block.ts';
import {BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {NO_BODY} from '#src/upstream/upstream-stream.ts';

/**
 * Names and values in turn. `head` and `length` as in `UpstreamStream.sendRequest`: its lines are Torwart's own, `name: value` each.
 */
export function toRequestFields(head: string, length: number, scheme: 'http' | 'https'): string[] {
  const [requestLine = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = requestLine.split(' ');
  const fields = [':method', method, ':scheme', scheme, ':path', target];
  for (const line of lines) {
    if (line === '') continue;
    const colon = line.indexOf(': ');
    const name = line.slice(0, colon).toLowerCase();
    if (name === 'host') fields.splice(2, 0, ':authority', line.slice(colon + 2));
    else fields.push(name, line.slice(colon + 2));
  }
  if (length !== NO_BODY && length !== BODY_CHUNKED) fields.push('content-length', String(length));
  return fields;
}

/**
 * Reads the fields of a response, names and values in turn, under the rules for HTTP/1.1: whatever could be read as another message
 * once it is written as text for a client is found here. False: `head.fault` says why not.
 */
export function readResponseFields(head: ResponseHead, fields: readonly string[], method: string, isEnd: boolean): boolean {
  let text = '';
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string, value = fields[i + 1] as string;
    text += name === ':status' ? `HTTP/1.1 ${value} \r\n` : `${name}: ${value}\r\n`;
  }
  const bytes = Buffer.from(`${text}\r\n`, 'latin1');
  const end = head.parse(bytes, 0, bytes.length, method);
  if (end === INVALID) return false;
  // A break within a value ends the head early or makes two fields of one; and fields of the connection make a response malformed
  // (RFC 9113 §8.2.2).
  const isOne = end === bytes.length && head.fields.count === fields.length / 2 - 1;
  if (!isOne || head.transferEncoding !== 'absent' || head.close || head.keepAlive || head.upgrade) {
    head.fault = 'upstream_head_invalid';
    return false;
  }
  if (head.bodyLength === BODY_UNTIL_CLOSE) head.bodyLength = isEnd ? 0 : BODY_CHUNKED;
  return true;
}
