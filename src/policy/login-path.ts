/** Spellings of a path that some application takes for the path that is guarded. */
import {decodeSlashes} from '#src/http1/path.ts';
import {stripPathParameters} from '#src/policy/path-table.ts';

/** What ASP.NET takes for the ticket of a session, wherever it stands: `/(S(abc))/`. */
const TICKETS = /\/\((?:[a-z]\([^()/]*\))+\)(?=\/)/g;
/** A program that all paths go to: `/index.php/login` is `/login` to it. */
const FRONT_CONTROLLERS = /\/[^/]+\.php(?=\/)/g;
/** Of what stands for itself in a path as well (RFC 3986 §3.3); what needs no escape has none here. */
const ESCAPE = /%(?:2[146-9a-c]|3[abd]|40)/g;
const FORMAT = /\.[^/.]+$/;

/** Without case, escapes that some decode, parameters, tickets and a slash at the end. */
export function foldLoginPath(path: string): string {
  const decoded = path.toLowerCase().replaceAll(ESCAPE, decodeURIComponent);
  return stripPathParameters(decodeSlashes(decoded)).replaceAll(TICKETS, '').replace(/(?<=.)\/$/, '');
}

/** Without what stands behind the question mark. */
export function pathOfTarget(target: string): string {
  const question = target.indexOf('?');
  return question < 0 ? target : target.slice(0, question);
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

/** @param path of an attempt. Both are folded */
export function isSameLogin(path: string, other: string): boolean {
  return spellingsOf(path).includes(other) || (isProgram(other) && path.startsWith(`${other}/`));
}
