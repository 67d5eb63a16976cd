/**
 * Normal form of a path (RFC 3986 §6.2.2). The path that is matched is the path that is sent: whatever two servers could read as
 * two different paths is brought into the one form that all read alike, or refused.
 */

/** Anything that needs a look: percent, empty or dot segment, backslash, parameters, fragment, what a path must not hold. */
const NEEDS_WORK = /%|\/\/|\/\.|[\\;#"<>^`{|}[\]]/;
/** The same for the query: only a fragment is out of place there. */
const FRAGMENT = /#/;
/** Sent raw by browsers though no URI may hold them, and read like their escapes by everybody (RFC 3986 §2.4). */
const UNESCAPED = /["<>^`{|}[\]]/g;
const ESCAPE = /%([0-9A-Fa-f]{2})?/g;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
/**
 * Dots that become a segment of their own in other servers: a servlet container strips the parameter of `..;x` and then resolves the
 * dots, and where an encoded slash is allowed the server behind may decode it first. Tried on segments that are not just dots.
 */
const HIDDEN_DOTS = /(?:^|%2F)\.{1,2}(?:;|%3B|%2F|$)/;
/** A segment of parameters only: stripped of them it is empty, and dropped. At the end it is in use (`/;jsessionid=1`). */
const PARAMETERS_ONLY = /(?:^|%2F)(?:;|%3B)/;
/** ASCII in more bytes than it needs: never valid (RFC 3629 §3), but careless decoders make `.` of `%C0%AE`. */
const OVERLONG = /%C[01]%[89AB]|%E0%[89]|%F0%8/;

/**
 * @param target path and query in origin form, visible ASCII only
 * @returns the normalised target, or null where the path is ambiguous
 */
export function normaliseTarget(target: string, encodedSlashAllowed: boolean): string | null {
  const queryStart = target.indexOf('?');
  const path = queryStart < 0 ? target : target.slice(0, queryStart);
  if (queryStart >= 0 && FRAGMENT.test(target)) return null;
  if (!NEEDS_WORK.test(path)) return target;
  const normal = normalisePath(path, encodedSlashAllowed);
  if (normal === null) return null;
  return queryStart < 0 ? normal : normal + target.slice(queryStart);
}

/** True where the target holds an encoded slash that a route may allow. */
export function hasEncodedSlash(path: string): boolean {
  return /%2[Ff]/.test(path);
}

/** The path to servers that decode its slashes before they look at the segments. @param path normalised: there are no dots beside such a slash */
export function decodeSlashes(path: string): string {
  return path.replaceAll(/%2F/gi, '/').replaceAll(/\/{2,}/g, '/');
}

function normalisePath(path: string, encodedSlashAllowed: boolean): string | null {
  if (path.includes('\\') || path.includes('#')) return null;
  let isAmbiguous = false;
  const decoded = path.replace(ESCAPE, (escape: string, digits: string | undefined) => {
    const byte = digits === undefined ? -1 : Number.parseInt(digits, 16);
    // No digits, a control character, a backslash, or (unless allowed) a slash.
    if (byte < 0x20 || byte === 0x7f || byte === 0x5c || (byte === 0x2f && !encodedSlashAllowed)) {
      isAmbiguous = true;
      return '';
    }
    const character = String.fromCharCode(byte);
    return UNRESERVED.test(character) ? character : escape.toUpperCase();
  });
  if (isAmbiguous || OVERLONG.test(decoded)) return null;
  return resolveSegments(decoded.replace(UNESCAPED, escapeCharacter));
}

function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Removes empty and dot segments (RFC 3986 §5.2.4). Null where they lead above the root. */
function resolveSegments(path: string): string | null {
  const segments = path.split('/');
  const kept: string[] = [];
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] ?? '';
    const isLast = i === segments.length - 1;
    if (segment === '..' && kept.pop() === undefined) return null;
    if (segment === '.' || segment === '..' || segment === '') {
      if (isLast) kept.push('');
      continue;
    }
    if (HIDDEN_DOTS.test(segment) || hasSlashInParameters(segment) || (!isLast && PARAMETERS_ONLY.test(segment))) return null;
    kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** One server takes the slash for a part of the parameter, and drops it; another decodes it first, and has a segment more. A pattern would take quadratic time. */
function hasSlashInParameters(segment: string): boolean {
  const semicolon = segment.indexOf(';');
  return semicolon >= 0 && segment.includes('%2F', semicolon);
}
