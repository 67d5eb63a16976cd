/** Spellings of a path that some application takes for the path that is guarded. */
import {stripPathParameters} from '#src/policy/path-table.ts';

/** What ASP.NET takes for the ticket of a session, wherever it stands: `/(S(abc))/`. */
const TICKETS = /\/\((?:[a-z]\([^()/]*\))+\)(?=\/)/g;
/** A program that all paths go to: `/index.php/login` is `/login` to it. */
const FRONT_CONTROLLERS = /\/[^/]+\.(?:ph[a-z0-9]+|f?cgi|pl|py|rb|exe|dll|as[hp]x?|jspx?|cfml?)(?=\/)/g;
/** Of what stands for itself in a path as well (RFC 3986 §3.3), of a slash and a blank; what needs no escape has none here. */
const ESCAPE = /%(?:2[0146-9a-cf]|3[abd]|40)/g;
/** Windows takes them off every name. Tried once for each run of them, so that many cost no more than their number. */
const DOTS_AND_BLANKS = /(?<![. ])[. ]+(?=\/|$)/g;
const FORMAT = /\.[^/.]+$/;
const ASCII_ESCAPE = /%[2-7][0-9a-f]/g;
/** Fields that applications read their path from: Drupal 7 and Backdrop, Yii, ThinkPHP, OpenCart and Phalcon. */
const PATH_FIELDS = /(?:^|[?&;]) *(q|r|s|route|_route_|_url) *=([^?&;]*)/g;

/** Of a request, folded. */
export interface LoginTarget {
  readonly path: string;
  /** Paths that an application could read in the query, in all their spellings. */
  readonly inQuery: ReadonlySet<string>;
}

/** @param target perhaps with a query */
export function readLoginTarget(target: string): LoginTarget {
  const question = target.indexOf('?');
  if (question < 0) return {path: foldLoginPath(target), inQuery: new Set()};
  return {path: foldLoginPath(target.slice(0, question)), inQuery: new Set(readQuery(target.slice(question + 1)).flatMap(spellingsOf))};
}

/** Without case, escapes that some decode, parameters, tickets and what is taken off an end. */
export function foldLoginPath(path: string): string {
  const decoded = path.toLowerCase().replaceAll(ESCAPE, decodeURIComponent);
  const named = stripPathParameters(decoded).replaceAll(DOTS_AND_BLANKS, '').replaceAll(/\/{2,}/g, '/');
  return named.replaceAll(TICKETS, '').replace(/(?<=.)\/$/, '');
}

/** CodeIgniter takes the whole query for the path where it begins with a slash: `/?/login`. What is read too often is only counted too often. */
function readQuery(query: string): readonly string[] {
  const text = query.toLowerCase().replaceAll('+', ' ').replaceAll(ASCII_ESCAPE, decodeURIComponent);
  const firsts = new Map<string, string>(), lasts = new Map<string, string>();
  // Of a field that is there more than once, some read the first, others the last.
  for (const [, name = '', value = ''] of text.matchAll(PATH_FIELDS)) {
    if (!firsts.has(name)) firsts.set(name, value);
    lasts.set(name, value);
  }
  const paths = new Set([...firsts.values(), ...lasts.values()]);
  if (text.startsWith('/')) paths.add(/^[^?&;]*/.exec(text)?.[0] ?? '');
  return Array.from(paths, foldInside);
}

/** Nobody has normalised it. */
function foldInside(path: string): string {
  const names = path.split('/').filter((name) => name !== '' && name !== '.' && name !== '..');
  return foldLoginPath(`/${names.join('/')}`);
}

/** Whatever a folded path could be, itself first. Rails takes `/login.json` for `/login` in another format. */
export function spellingsOf(path: string): readonly string[] {
  if (!path.includes('.')) return [path];
  const inner = path.replaceAll(FRONT_CONTROLLERS, '');
  return [path, inner, path.replace(FORMAT, ''), inner.replace(FORMAT, '')];
}

/** A program, which is told what stands behind its path: `/login.php/x` is `/login.php`. */
export function isProgram(path: string): boolean {
  return FORMAT.test(path);
}

/** The query holds the end of the other path, and the application stands where it begins: `/shop/index.php?/login` is `/shop/login`. */
export function isInQuery({path, inQuery}: LoginTarget, other: string): boolean {
  for (let slash = 0; slash >= 0 && inQuery.size > 0; slash = other.indexOf('/', slash + 1)) {
    if (inQuery.has(other.slice(slash)) && `${path}/`.startsWith(`${other.slice(0, slash)}/`)) return true;
  }
  return false;
}

/** @param target of an attempt. Both are folded */
export function isSameLogin(target: LoginTarget, other: string): boolean {
  const {path} = target;
  return spellingsOf(path).includes(other) || (isProgram(other) && path.startsWith(`${other}/`)) || isInQuery(target, other);
}
