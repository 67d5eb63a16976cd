/** What a request says of itself in one header or cookie. */
import {FIELD} from '#src/http1/field-names.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';

const BASIC = 'basic ';

/** @param name lower case. Null where the field is not there, is empty, or is there more than once: then it is anybody's guess which one counts. */
export function findOnlyField(fields: FieldBlock, name: string): string | null {
  let found: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    if (fields.nameLength(i) !== name.length || fields.name(i).toLowerCase() !== name) continue;
    if (found !== null) return null;
    found = fields.value(i);
  }
  if (found === '' || found === null) return null;
  return name === 'authorization' ? foldCredentials(found) : found;
}

/** The same for a cookie (RFC 6265 §4.2.1: `name=value` pairs between semicolons), over all lines of the field. */
export function findOnlyCookie(fields: FieldBlock, name: string): string | null {
  let found: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] !== FIELD.cookie) continue;
    for (const pair of fields.value(i).split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      if (found !== null) return null;
      found = pair.slice(equals + 1).trim();
    }
  }
  return found === '' || found === null ? null : foldCookie(found);
}

/** RFC 9110 §11.4: the scheme has no case, and is followed by one space or more; many split at tabs as well. Base64 is read by many with or without padding and what is none. */
function foldCredentials(value: string): string {
  const folded = value.replace(/^[^ \t]+[ \t]*/, (scheme) => `${scheme.trimEnd().toLowerCase()} `);
  return folded.startsWith(BASIC) ? BASIC + Buffer.from(folded.slice(BASIC.length), 'base64').toString('latin1') : folded;
}

/**
 * Quotes (RFC 6265 §4.1.1) and escapes are what applications undo, each its own: what they take for one session must not have one bucket for each of
 * its spellings.
 */
function foldCookie(value: string): string {
  const bare = value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  return bare.replaceAll(/%([0-9A-Fa-f]{2})/g, (_escape, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
