/**
 * The opening handshake of a WebSocket (RFC 6455 §4; RFC 8441 §5 over HTTP/2), read strictly on both sides: whoever takes something for an upgrade
 * that is none passes on bytes that he has not looked at ("WebSocket smuggling").
 */
import {createHash} from 'node:crypto';
import type {FaultCode} from '#src/core/faults.ts';
import {isToken, trimBlanks} from '#src/http1/characters.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {FIELD} from '#src/http1/field-names.ts';
import {LENGTH_ABSENT} from '#src/http1/framing.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';

/** What a client offers, and what its application must therefore answer. */
export interface WebSocketOffer {
  /** Value of Sec-WebSocket-Accept that proves that the key was understood. */
  readonly accept: string;
  readonly protocols: ReadonlySet<string>;
  /** Names of extensions, in lower case. */
  readonly extensions: ReadonlySet<string>;
}

export const WEBSOCKET_VERSION = '13';

/** RFC 6455 §1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Exactly 16 bytes: the last digit carries two bits, and the others of it are zero (RFC 4648 §3.5). */
const KEY_PATTERN = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const PROOF_LINES = /^sec-websocket-accept:.*\r\n/gim;

/** Whether the client asks for a WebSocket, rightly or not. Other protocols are not offered here, and the wish for them is ignored. */
export function wantsWebSocket(head: RequestHead): boolean {
  return head.upgradeProtocol.toLowerCase().includes('websocket');
}

/**
 * The offer of a request that is a valid handshake (RFC 6455 §4.2.1), else the fault.
 * @param ownKey the key that the application gets where the client sends none (RFC 8441 §5), or null
 */
export function readOffer(head: RequestHead, ownKey: string | null): WebSocketOffer | FaultCode {
  const {fields} = head;
  const isUpgrade = head.method === 'GET' && head.minorVersion === 1 && head.upgrade && head.upgradeProtocol.toLowerCase() === 'websocket';
  // A body would be bytes between the handshake and its answer.
  const isWithoutBody = head.bodyLength === 0 && head.contentLength === LENGTH_ABSENT && head.expect === '';
  const version = onlyValue(fields, FIELD['sec-websocket-version']);
  if (!isUpgrade || !isWithoutBody || version === null) return 'websocket_invalid';
  if (version !== WEBSOCKET_VERSION) return 'websocket_version';
  const key = ownKey ?? onlyValue(fields, FIELD['sec-websocket-key']);
  const protocols = readProtocols(fields);
  const extensions = readExtensions(fields);
  if (key === null || !KEY_PATTERN.test(key) || protocols === null || extensions === null) return 'websocket_invalid';
  return {accept: computeAccept(key), protocols, extensions};
}

/** Whether a 101 accepts exactly what was offered (RFC 6455 §4.1, the list of what a client must check). */
export function isAcceptance(head: ResponseHead, offer: WebSocketOffer): boolean {
  const {fields} = head;
  // RFC 9110 §8.6: an interim response announces no content.
  const isSwitch = head.status === 101 && head.minorVersion === 1 && head.contentLength === LENGTH_ABSENT && head.transferEncoding === 'absent';
  if (!isSwitch || !head.upgrade || onlyValue(fields, FIELD.upgrade)?.toLowerCase() !== 'websocket') return false;
  if (onlyValue(fields, FIELD['sec-websocket-accept']) !== offer.accept) return false;
  const protocols = valuesOf(fields, FIELD['sec-websocket-protocol']);
  const extensions = readExtensions(fields);
  return protocols.length <= 1 && protocols.every((protocol) => offer.protocols.has(protocol))
    && extensions !== null && [...extensions].every((extension) => offer.extensions.has(extension));
}

export function computeAccept(key: string): string {
  return createHash('sha1').update(key + ACCEPT_SUFFIX).digest('base64');
}

/** Response fields as lines, for a client that sent no key. */
export function withoutProof(lines: string): string {
  return lines.replace(PROOF_LINES, '');
}

/** Null where the field is absent or repeated. */
export function onlyValue(fields: FieldBlock, number: number): string | null {
  const values = valuesOf(fields, number);
  return values.length === 1 ? values[0] ?? null : null;
}

export function valuesOf(fields: FieldBlock, number: number): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] === number) values.push(fields.value(i));
  }
  return values;
}

/** RFC 6455 §4.1: tokens, each once. Null where they are not. */
function readProtocols(fields: FieldBlock): ReadonlySet<string> | null {
  const protocols = valuesOf(fields, FIELD['sec-websocket-protocol']).flatMap(splitList);
  const distinct = new Set(protocols);
  return distinct.size === protocols.length && protocols.every(isToken) ? distinct : null;
}

/** Names of the extensions (RFC 6455 §9.1). A quoted parameter is a token in quotes, so no comma or semicolon hides in one. */
function readExtensions(fields: FieldBlock): ReadonlySet<string> | null {
  const names = new Set<string>();
  for (const extension of valuesOf(fields, FIELD['sec-websocket-extensions']).flatMap(splitList)) {
    const [name = '', ...parameters] = extension.split(';').map(trimBlanks);
    if (!isToken(name) || !parameters.every(isParameter)) return null;
    names.add(name.toLowerCase());
  }
  return names;
}

function isParameter(text: string): boolean {
  const equals = text.indexOf('=');
  if (equals < 0) return isToken(text);
  const value = trimBlanks(text.slice(equals + 1));
  const isQuoted = value.length > 2 && value.startsWith('"') && value.endsWith('"');
  return isToken(trimBlanks(text.slice(0, equals))) && isToken(isQuoted ? value.slice(1, -1) : value);
}

function splitList(value: string): readonly string[] {
  return value.split(',').map(trimBlanks);
}
