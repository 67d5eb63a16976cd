/** The values in sites, routes and health checks: hosts, paths, statuses. */
import {domainToASCII} from 'node:url';
import {LIMITS} from '#src/core/limits.ts';
import {normaliseTarget} from '#src/http1/path.ts';
import {quote} from '#src/config/problem.ts';
import {readText, scalar} from '#src/config/scalars.ts';

const HOST_PATTERN = /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function readHost(text: string): string | null {
  return HOST_PATTERN.test(text) && text.length <= LIMITS.hostBytesMax - 2 ? text : null;
}

function hostRemedy(value: unknown): string {
  if (typeof value !== 'string') return 'write for example www.example.com or "*.example.com"';
  const wildcard = value.startsWith('*.') ? '*.' : '';
  const bare = value.slice(wildcard.length).replace(/^https?:\/\//i, '').replace(/[/:].*$/, '').replace(/\.$/, '');
  const ascii = domainToASCII(bare);
  const suggestion = readHost(wildcard + ascii);
  return suggestion === null ? 'write for example www.example.com or "*.example.com"' : `write "${suggestion}"`;
}

/** A last label that begins with a letter keeps IP literals out: a certificate and a customer belong to a name. */
export const host = scalar({
  type: 'host',
  allowed: 'a host name in lower-case ASCII without port, or a wildcard such as *.example.com; no IP address',
  remedy: hostRemedy,
  json: {type: 'string', pattern: HOST_PATTERN.source},
  read: readText(readHost),
});

/** Host field of a probe: a name without wildcard. */
export const probeHost = scalar({
  type: 'host',
  allowed: 'a host name in lower-case ASCII without wildcard and port',
  remedy: (value) => hostRemedy(typeof value === 'string' ? value.replace(/^\*\./, '') : value),
  json: {type: 'string'},
  read: readText((text) => (text.startsWith('*') ? null : readHost(text))),
});

const PATH_CHARACTERS = /^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*$/;

/**
 * A path in the one form that requests are matched in: a route written in another form would never match, and a route that never
 * matches may be the one that was meant to protect something.
 */
function readPath(text: string): string | null {
  return text.length <= 1024 && PATH_CHARACTERS.test(text) && normaliseTarget(text, false) === text ? text : null;
}

function pathRemedy(value: unknown): string {
  if (typeof value !== 'string') return 'write for example /shop';
  if (!value.startsWith('/')) return 'begin it with /';
  if (/[?#]/.test(value)) return 'leave out the query and the fragment: routes match the path alone';
  if (!/^[!-~]*$/.test(value)) return 'percent-encode spaces and other characters as UTF-8, such as %C3%A9';
  const normal = normaliseTarget(value, false);
  if (normal === null) return 'leave out backslashes, encoded slashes, control characters and what leads above the root: such requests are refused';
  return normal === value ? 'percent-encode " < > \\ ^ ` { | }' : `write ${quote(normal)}: requests are matched in that form`;
}

const pathJson = {type: 'string', pattern: '^/[^?#\\\\]*$', maxLength: 1024};

export const routePath = scalar({
  type: 'path',
  allowed: 'a normalised absolute path of at most 1024 characters',
  remedy: pathRemedy,
  json: pathJson,
  read: readText(readPath),
});

/** Request target of a probe: a path that may have a query. */
export const probePath = scalar({
  type: 'path',
  allowed: 'an absolute path, with a query or without',
  remedy: 'write for example /healthz',
  json: {type: 'string', pattern: '^/[!-~]*$', maxLength: 1024},
  read: readText((text) => (/^\/[!-"$-~]*$/.test(text) && text.length <= 1024 ? text : null)),
});

function readRedirectTarget(text: string): string | null {
  if (text.length > 2048 || !/^[!-~]+$/.test(text) || /["<>\\^`{|}]/.test(text)) return null;
  // `//host` is not a path: a browser reads it as another host.
  if (text.startsWith('/')) return text.startsWith('//') ? null : text;
  return /^https?:\/\/[^/?#@]+(?:[/?#]|$)/.test(text) && URL.canParse(text) ? text : null;
}

export const redirectTarget = scalar({
  type: 'URL',
  allowed: 'an absolute http or https URL without user name, or an absolute path, in ASCII',
  remedy: 'write for example https://www.example.com/ or /new',
  json: {type: 'string', pattern: '^(https?://|/)[!-~]*$', maxLength: 2048},
  read: readText(readRedirectTarget),
});

/** As browsers write it (RFC 6454 §6.2): it is compared as text. */
function readOrigin(text: string): string | null {
  if (text === 'same-origin' || text === 'any') return text;
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text ? text : null;
}

export const websocketOrigin = scalar({
  type: 'origin',
  allowed: 'same-origin, any, or an origin as browsers send it: scheme and host in lower case, a port only where it is not the usual one, no path',
  remedy: (value) => (typeof value === 'string' && /^https?:\/\//i.test(value) && URL.canParse(value) ? `write ${new URL(value).origin}` : 'write for example https://app.example.com'),
  json: {anyOf: [{enum: ['same-origin', 'any']}, {type: 'string', pattern: '^https?://[^/A-Z]+$'}]},
  read: readText(readOrigin),
});

const MEDIA_TYPE_PATTERN = /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(?:; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*$/;

export const mediaType = scalar({
  type: 'media type',
  allowed: 'a media type in lower case, with parameters or without, of at most 256 characters',
  remedy: 'write for example text/html; charset=utf-8 or application/json',
  json: {type: 'string', pattern: MEDIA_TYPE_PATTERN.source, maxLength: 256},
  read: readText((text) => (MEDIA_TYPE_PATTERN.test(text) && text.length <= 256 ? text : null)),
});

type StatusRange = readonly [number, number];

function readStatusRange(value: unknown): StatusRange | null {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '');
  if (match === null) return null;
  const range = [Number(match[1]), Number(match[2] ?? match[1])] as const;
  return range[0] <= range[1] ? range : null;
}

function readStatusRanges(value: unknown): readonly StatusRange[] | null {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  const ranges = items.map(readStatusRange).filter((range) => range !== null);
  return ranges.length === items.length && items.length > 0 && items.length <= 20 ? ranges : null;
}

const statusJson = {anyOf: [{type: 'integer', minimum: 100, maximum: 599}, {type: 'string', pattern: '^[1-5]\\d\\d(-[1-5]\\d\\d)?$'}]};

export const statusRanges = scalar({
  type: 'statuses',
  allowed: 'a status, a range of statuses, or a list of these',
  remedy: 'write for example 200, 200-399 or [200, 301-308]',
  json: {anyOf: [...statusJson.anyOf, {type: 'array', items: statusJson, minItems: 1, maxItems: 20}]},
  read: readStatusRanges,
});
