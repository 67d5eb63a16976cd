/**
 * The account that an attempt to log in names. Read strictly: what the application could read as another account than the guard would
 * make the guard count on the wrong one, so it is refused.
 */
import {LIMITS} from '#src/core/limits.ts';
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';

export type AccountPlace = NonNullable<LoginGuardSnapshot['account']>;

const TYPES = {form: 'application/x-www-form-urlencoded', json: 'application/json'} as const;
/** A string of JSON that is followed by a colon: the key of some object. */
const JSON_STRING = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** The account in one form for all its spellings; null where it cannot be read in exactly one way. Empty where the body names none. */
export function readAccount(place: AccountPlace, contentType: string, body: Buffer): string | null {
  const type = contentType.split(';')[0]?.trim().toLowerCase();
  if (type !== TYPES[place.type]) return null;
  const text = body.toString('utf8');
  // A byte-order mark is passed over by some, and bytes that are no UTF-8 mean something else to each.
  if (text.startsWith('\ufeff') || !Buffer.from(text, 'utf8').equals(body)) return null;
  const account = place.type === 'form' ? readForm(text, place.field) : readJson(text, place.field);
  return account === null || account.length > LIMITS.loginAccountLengthMax ? null : normalise(account);
}

/** Applications take `Alice `, `alice` and `ＡＬＩＣＥ` for the same, or do not: to count them as one errs on the safe side. */
function normalise(account: string): string {
  return account.normalize('NFKC').trim().toLowerCase();
}

/** `a[]=`, and names that PHP turns into this one (`a.b`, `a b` → `a_b`), are other spellings of the field. */
function readForm(text: string, field: string): string | null {
  // Some servers take `;` for a separator, others for a letter.
  if (text.includes(';')) return null;
  const values = [...new URLSearchParams(text)].filter(([name]) => foldName(name) === foldName(field));
  if (values.length > 1) return null;
  const [first] = values;
  if (first === undefined) return '';
  return first[0] === field ? first[1] : null;
}

function foldName(name: string): string {
  return name.trim().replace(/(?:\[[^\]]*\])*$/, '').replaceAll(/[ .[]/g, '_').toLowerCase();
}

function readJson(text: string, field: string): string | null {
  const parsed = parseJson(text);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  if (countKeys(text, field) > 1) return null;
  const value: unknown = Object.hasOwn(parsed, field) ? (parsed as Record<string, unknown>)[field] : '';
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Of two equal keys one parser takes the first, another the last; some do not mind their case. */
function countKeys(text: string, field: string): number {
  let count = 0;
  for (const [token, colon] of text.matchAll(JSON_STRING)) {
    if (colon === undefined) continue;
    const key: unknown = JSON.parse(token.slice(0, -colon.length));
    if (String(key).toLowerCase() === field.toLowerCase()) count++;
  }
  return count;
}
