/**
 * The account that an attempt to log in names. Read strictly: what the application could read as another account than the guard would
 * make the guard count on the wrong one, so it is refused.
 */
import {LIMITS} from '#src/core/limits.ts';
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import {foldLetters, foldSpelling} from '#src/policy/spelling.ts';

export type AccountPlace = NonNullable<LoginGuardSnapshot['account']>;

const TYPES = {form: 'application/x-www-form-urlencoded', json: 'application/json'} as const;
/** Sling reads the other fields in the charset that this one names. */
const CHARSET_FIELD = '_charset_';
const QUOTE = 0x22, BRACKET = 0x5b, BRACE = 0x7b;
/** What stands for one UTF-16 code unit in a form, at most: three bytes, each of them escaped. */
const ESCAPED_LENGTH_MAX = 9;
/** A string of JSON that is followed by a colon: the key of some object. */
const JSON_STRING = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

export interface LoginBody {
  readonly contentType: string;
  /** Without the question mark. */
  readonly query: string;
  readonly body: Buffer;
}

/** The account in one form for all its spellings; null where it cannot be read in exactly one way. Empty where the request names none. */
export function readAccount(place: AccountPlace, {contentType, query, body}: LoginBody): string | null {
  if (body.length > LIMITS.loginBodyBytesMax || !isType(contentType, TYPES[place.type])) return null;
  const text = body.toString('utf8');
  // A byte-order mark is passed over by some, and bytes that are no UTF-8 mean something else to each.
  if (text.startsWith('\ufeff') || !Buffer.from(text, 'utf8').equals(body)) return null;
  const inBody = place.type === 'form' ? readForm(text, place.field) : readJson(text, place.field);
  // Servlets, PHP and Rails mix what the query says into what the body says, each in an order of its own.
  const inQuery = query === '' ? '' : readPairs(query.split(/[&;]/), place.field);
  if (inBody === null || inQuery === null || !isAccount(inBody) || !isAccount(inQuery)) return null;
  const account = foldLetters(inBody), other = foldLetters(inQuery);
  if (account !== '' && other !== '' && account !== other) return null;
  return account === '' ? other : account;
}

/** In UTF-8: in another charset the same bytes name another account, or another field. */
function isType(contentType: string, wanted: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';').map((part) => part.trim());
  return type === wanted && parameters.every((parameter) => !parameter.startsWith('charset') || /^charset="?utf-8"?$/.test(parameter));
}

/** What is written in C stops reading at a NUL. One letter can be eighteen in disguise. */
function isAccount(text: string): boolean {
  const max = LIMITS.loginAccountLengthMax;
  return text.length <= max && !/\p{Cc}/u.test(text) && foldSpelling(text).length <= max;
}

function readForm(text: string, field: string): string | null {
  // Some servers take `;` for a separator, others for a letter.
  return text.includes(';') ? null : readPairs(text.split('&'), field);
}

function readPairs(pairs: readonly string[], field: string): string | null {
  // What stands further behind is there for some and not for others.
  if (pairs.length > LIMITS.loginFieldsMax) return null;
  const folder = new NameFolder(), wanted = readingsOf(foldSpelling(field));
  let account = '';
  let isFound = false;
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = decodePart(equals < 0 ? pair : pair.slice(0, equals), LIMITS.loginNameLengthMax);
    // What is written in C ends a name, too, at a NUL.
    if (name === null || /\p{Cc}/u.test(name)) return null;
    const value = equals < 0 ? '' : pair.slice(equals + 1);
    if (name.toLowerCase() === CHARSET_FIELD && value.toLowerCase() !== 'utf-8') return null;
    const folded = folder.fold(name);
    if (folded === null) return null;
    if (!isSameName(readingsOf(folded), wanted)) continue;
    const decoded = decodePart(value, LIMITS.loginAccountLengthMax);
    if (isFound || name !== field || decoded === null) return null;
    isFound = true;
    account = decoded;
  }
  return account;
}

/** Null where it is too long, or not escaped in exactly one way: `%u0061` is a letter to ASP, and `%c1%a1` to careless decoders. */
function decodePart(text: string, lengthMax: number): string | null {
  if (text.length > lengthMax * ESCAPED_LENGTH_MAX) return null;
  try {
    const decoded = decodeURIComponent(text.replaceAll('+', ' '));
    return decoded.length > lengthMax ? null : decoded;
  } catch {
    return null;
  }
}

/** The keys that PHP reads in a name, and those that Rack 2 and qs do. */
type Readings = readonly [php: readonly string[], rack: readonly string[]];

/** Folds names up to so many letters of other scripts: to put their marks in order takes quadratic time, and one letter can be eighteen. */
class NameFolder {
  #lettersLeft: number = LIMITS.loginFoldedLettersMax;

  /** Null: they are too many. */
  fold(name: string): string | null {
    if (/^[ -~]*$/.test(name)) return name.trim().toLowerCase();
    this.#lettersLeft -= name.length;
    return this.#lettersLeft < 0 ? null : foldSpelling(name);
  }
}

/** Spring takes `!user` for the default of `user`. @param folded name */
function readingsOf(folded: string): Readings {
  const text = folded.replace(/^!/, '');
  return [keysOfPhp(text), text.split(/[[\]]+/).filter((key) => key !== '')];
}

/**
 * Of `user[email]`: `user` and `email`. `a[]=`, and names that PHP turns into this one (`a.b`, `a b`, `a[b` → `a_b`), are other spellings of a field.
 * Steps from bracket to bracket, and never looks for one twice: a pattern would, and take seconds for a body of brackets.
 */
function keysOfPhp(text: string): readonly string[] {
  const first = text.indexOf('[');
  const isNested = first > 0 && text.includes(']');
  const keys = [(isNested ? text.slice(0, first) : text).replaceAll(/[ .[]/g, '_')];
  for (let open = isNested ? first : -1; open >= 0;) {
    const close = text.indexOf(']', open);
    if (close < 0) break;
    keys.push(text.slice(open + 1, close));
    open = text.indexOf('[', close);
  }
  return keys;
}

function isSameName([php, rack]: Readings, [otherPhp, otherRack]: Readings): boolean {
  return isSameField(php, otherPhp) || (rack.length > 0 && isSameField(rack, otherRack));
}

/** Whether some program could read one for the other: `user`, `user[]` and `user[email][x]` all say something about `user[email]`. */
function isSameField(keys: readonly string[], other: readonly string[]): boolean {
  return keys.slice(0, other.length).every((key, index) => key === other[index] || (index > 0 && (key === '' || other[index] === '')));
}

function readJson(text: string, field: string): string | null {
  if (countMarks(text) > LIMITS.loginMarksMax) return null;
  const parsed = parseJson(text);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  const count = countKeys(text, field);
  if (count === 0) return '';
  const value: unknown = count === 1 && Object.hasOwn(parsed, field) ? (parsed as Record<string, unknown>)[field] : null;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : null;
}

/** Tells for next to nothing whether the text would take long to read. */
function countMarks(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE || code === BRACKET || code === BRACE) count++;
  }
  return count;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Of two equal keys one parser takes the first, another the last; some do not mind their case, and C ends them at a NUL. */
function countKeys(text: string, field: string): number {
  const folder = new NameFolder(), wanted = foldSpelling(field);
  let count = 0;
  for (const [token, colon] of text.matchAll(JSON_STRING)) {
    if (colon === undefined) continue;
    const key = String(JSON.parse(token.slice(0, -colon.length)));
    const folded = folder.fold(key);
    if (folded === null || /\p{Cc}/u.test(key)) return Number.POSITIVE_INFINITY;
    if (folded === wanted) count++;
  }
  return count;
}
