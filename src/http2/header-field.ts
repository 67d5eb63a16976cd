/**
 * One decoded field. It is checked when it is made, and what the rest needs of it is prepared: fields that a client repeats come out of its
 * table ready to be used.
 */
import {LOWER, SPACE, TAB, TOKEN_CLASS, FOLDING, VALUE_CLASS} from '#src/http1/characters.ts';
import {FIELD, OTHER, identifyField, identifyFolding, nextHash} from '#src/http1/field-names.ts';
import {ENTRY_OVERHEAD_BYTES} from '#src/http2/static-table.ts';

/** What a field means to the reader of a head. `PLAIN` is copied as it stands. */
export const ROLE = {
  PLAIN: 0, METHOD: 1, SCHEME: 2, AUTHORITY: 3, PATH: 4, PROTOCOL: 5, STATUS: 6, MALFORMED: 7, COOKIE: 8, HOST: 9, CONTENT_LENGTH: 10,
  TE: 11, PRIORITY: 12, EXPECT: 13, USER_AGENT: 14, REFERER: 15, ACCEPT: 16,
} as const;

export type Role = (typeof ROLE)[keyof typeof ROLE];

/** What is known of a field by its name alone. */
export interface FieldName {
  readonly text: string;
  /** Number of the name among the known ones (`#src/http1/field-names.ts`). */
  readonly number: number;
  readonly role: Role;
}

export interface HeaderField {
  readonly name: FieldName;
  readonly value: string;
  /** `name: value CRLF`; for `:authority` as the Host field that it is in HTTP/1.1. Empty for other pseudo-header fields. */
  readonly line: string;
  /** The name's, or malformed because of the value: then another field may still refer to the name. */
  readonly role: Role;
  /** In the tables of RFC 7541 §4.1. */
  readonly size: number;
}

const PSEUDO: ReadonlyMap<string, Role> = new Map<string, Role>([
  [':method', ROLE.METHOD], [':scheme', ROLE.SCHEME], [':authority', ROLE.AUTHORITY], [':path', ROLE.PATH],
  [':protocol', ROLE.PROTOCOL], [':status', ROLE.STATUS],
]);

const ROLES: ReadonlyMap<number, Role> = new Map<number, Role>([
  // RFC 9113 §8.2.2: fields of the connection have no place here.
  [FIELD.connection, ROLE.MALFORMED], [FIELD['keep-alive'], ROLE.MALFORMED], [FIELD['proxy-connection'], ROLE.MALFORMED],
  [FIELD['transfer-encoding'], ROLE.MALFORMED], [FIELD.upgrade, ROLE.MALFORMED],
  [FIELD.cookie, ROLE.COOKIE], [FIELD.host, ROLE.HOST], [FIELD['content-length'], ROLE.CONTENT_LENGTH], [FIELD.te, ROLE.TE],
  [FIELD.expect, ROLE.EXPECT], [FIELD['user-agent'], ROLE.USER_AGENT], [FIELD.referer, ROLE.REFERER], [FIELD.accept, ROLE.ACCEPT],
]);

const COLON = 0x3a;

/** The name in `bytes[start, end)`: a token in lower case (RFC 9113 §8.2.1), or a pseudo-header field. */
export function readFieldName(bytes: Buffer, start: number, end: number): FieldName {
  const text = bytes.toString('latin1', start, end);
  if (text.charCodeAt(0) === COLON) return {text, number: OTHER, role: PSEUDO.get(text) ?? ROLE.MALFORMED};
  let hash = 0;
  let classes = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    const tokenClass = TOKEN_CLASS[byte] as number;
    if (tokenClass === 0 || LOWER[byte] !== byte) return {text, number: OTHER, role: ROLE.MALFORMED};
    classes |= tokenClass;
    hash = nextHash(hash, byte);
  }
  if (end === start) return {text, number: OTHER, role: ROLE.MALFORMED};
  if ((classes & FOLDING) !== 0) return {text, number: identifyFolding(bytes, start, end), role: ROLE.PLAIN};
  const number = identifyField(bytes, start, end, hash);
  return {text, number, role: ROLES.get(number) ?? (text === 'priority' ? ROLE.PRIORITY : ROLE.PLAIN)};
}

/** Neither a control character nor a blank at either end (RFC 9113 §8.2.1; the RFC allows more control characters). */
function isValue(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  if (isBlank(bytes[start] as number) || isBlank(bytes[end - 1] as number)) return false;
  for (let at = start; at < end; at++) {
    if (VALUE_CLASS[bytes[at] as number] === 0) return false;
  }
  return true;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** A field from its name and the bytes of its value. */
export function makeField(name: FieldName, bytes: Buffer, start: number, end: number): HeaderField {
  const value = bytes.toString('latin1', start, end);
  const size = name.text.length + value.length + ENTRY_OVERHEAD_BYTES;
  if (!isValue(bytes, start, end)) return {name, value, line: '', role: ROLE.MALFORMED, size};
  return {name, value, line: formatLine(name, value), role: name.role, size};
}

function formatLine(name: FieldName, value: string): string {
  if (name.role === ROLE.AUTHORITY) return `host: ${value}\r\n`;
  return name.text.charCodeAt(0) === COLON ? '' : `${name.text}: ${value}\r\n`;
}
