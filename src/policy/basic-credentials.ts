/** The Authorization field with a user name and a password (RFC 7617). */
import {LIMITS} from '#src/core/limits.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {FIELD} from '#src/http1/field-names.ts';

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** Control characters have no place in them (RFC 7617 §2), and a NUL ends the password of other bcrypt implementations. */
const CONTROL = /\p{Cc}/u;

/** `missing`: there are none of this scheme; `invalid`: nobody can have them. */
export function readBasicCredentials(fields: FieldBlock): BasicCredentials | 'missing' | 'invalid' {
  let value: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] !== FIELD.authorization) continue;
    // Two of them: whoever reads the other one would see another user.
    if (value !== null) return 'invalid';
    value = fields.value(i);
  }
  const encoded = value === null ? null : /^basic +(.*)$/i.exec(value)?.[1];
  if (encoded === null || encoded === undefined) return 'missing';
  return encoded.length > LIMITS.credentialBytesMax ? 'invalid' : decode(encoded);
}

function decode(encoded: string): BasicCredentials | 'invalid' {
  const bytes = Buffer.from(encoded, 'base64');
  // Node passes over what is no Base64, and takes the alphabet of URLs as well: one text would have many spellings.
  if (bytes.toString('base64') !== encoded) return 'invalid';
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0 || CONTROL.test(text) || !Buffer.from(text, 'utf8').equals(bytes)) return 'invalid';
  return {user: text.slice(0, colon), password: text.slice(colon + 1)};
}
