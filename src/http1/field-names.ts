/**
 * The field names that Torwart decides about. A name is recognised from its bytes while they are validated, without making a
 * string of it; every other field is 0 (`OTHER`) and is copied as it stands.
 */
import {FOLDED} from '#src/http1/characters.ts';

/**
 * What some frameworks and servers take for the path, the method or the client although anybody can send it: `X-Original-URL` and
 * `X-Rewrite-URL` (CVE-2018-14773), method overrides, and what other proxies call the address, the host, the scheme and the certificate
 * (RFC 9440 §2.4). And what only parts of an application say to each other: `X-Middleware-Subrequest` leads past the middleware of Next.js
 * (CVE-2025-29927), its `X-Now-Route-Matches` poisons caches (CVE-2024-46982), `X-Sendfile-Type` has Rack serve paths of its client's
 * (CVE-2025-61780).
 */
export const CLAIMS = [
  'x-original-url', 'x-rewrite-url', 'x-http-method-override', 'x-http-method', 'x-method-override', 'true-client-ip', 'x-client-ip', 'cf-connecting-ip',
  'client-ip', 'x-cluster-client-ip', 'fastly-client-ip', 'proxy-client-ip', 'wl-proxy-client-ip', 'forwarded-for', 'x-forwarded', 'x-originating-ip',
  'x-remote-ip', 'x-remote-addr', 'x-proxyuser-ip', 'x-host', 'x-original-host', 'x-url-scheme', 'front-end-https',
  'x-original-uri', 'x-original-path', 'x-request-uri', 'x-rewrite-path', 'x-override-url', 'x-envoy-original-path', 'x-middleware-subrequest', 'x-invoke-path',
  'x-invoke-status', 'x-matched-path', 'x-now-route-matches', 'x-sendfile-type', 'x-accel-mapping', 'x-real-host', 'x-http-host-override', 'x-scheme', 'x-original-proto',
  'x-original-scheme', 'x-original-forwarded-for', 'x-envoy-external-address', 'x-azure-clientip', 'x-azure-socketip', 'x-appengine-user-ip', 'fly-client-ip',
  'x-nf-client-connection-ip', 'ali-cdn-real-ip', 'cdn-src-ip', 'client-cert', 'client-cert-chain', 'x-client-cert', 'ssl-client-cert', 'x-ssl-client-cert',
  'x-ssl-client-verify', 'x-ssl-client-s-dn', 'x-client-verify', 'x-client-dn',
] as const;

const NAMES = [
  'host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade',
  'http2-settings', 'expect', 'forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port',
  'x-real-ip', 'x-request-id', 'proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info', 'proxy', 'user-agent', 'referer', 'accept', 'cookie',
  'authorization', 'date', 'server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version', 'x-generator', 'x-runtime', 'x-version', 'strict-transport-security',
  'x-content-type-options', 'x-frame-options', 'referrer-policy', 'alt-svc', 'content-type', 'origin', 'sec-websocket-key',
  'sec-websocket-version', 'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions',
  ...CLAIMS,
] as const;

export type KnownFieldName = (typeof NAMES)[number];
export const OTHER = 0;

function numberNames(): {readonly [K in KnownFieldName]: number} {
  return Object.fromEntries(NAMES.map((name, index) => [name, index + 1])) as {[K in KnownFieldName]: number};
}

/** Number of each known name, from 1. */
export const FIELD = numberNames();
/** Every field whose name begins with `x-forwarded-` and has no number of its own. */
export const FORWARDED_OTHER = NAMES.length + 1;
/** A field that the message's own Connection field named (RFC 9110 §7.6.1): it ends at this hop. */
export const NAMED_BY_CONNECTION = NAMES.length + 2;
/** A name with `_` or `.`: dropped from requests, because a CGI environment cannot tell it from the same name with `-`. */
export const FOLDING_NAME = NAMES.length + 3;
/** The same, and the name with `-` is a known one: dropped from responses too. */
export const FOLDING_KNOWN = NAMES.length + 4;
/** A further line of cookies, which stand in the first one (`RequestHead`). */
export const JOINED_COOKIE = NAMES.length + 5;
export const FIELD_NUMBERS = NAMES.length + 6;

/**
 * A bit for each field of which there is one at most (RFC 9110 §5.3), and by which servers decide whom they serve or how they read the body: of
 * two, one server takes the first, another the last, a third both. 0 for all others.
 */
export const SINGLE_BITS = new Uint8Array(FIELD_NUMBERS);
[FIELD.authorization, FIELD['content-type'], FIELD.origin].forEach((number, index) => { SINGLE_BITS[number] = 1 << index; });

const TABLE_SIZE = 1024;
const FORWARDED_PREFIX = 'x-forwarded-';

function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = nextHash(hash, name.charCodeAt(i));
  return hash;
}

/** One step of the hash that the head scanner computes over the lower-case bytes of a name. */
export function nextHash(hash: number, lowerByte: number): number {
  return (Math.imul(hash, 31) + lowerByte) | 0;
}

function buildTable(): Uint8Array {
  const table = new Uint8Array(TABLE_SIZE);
  NAMES.forEach((name, index) => {
    let at = hashOf(name) & (TABLE_SIZE - 1);
    while (table[at] !== 0) at = (at + 1) & (TABLE_SIZE - 1);
    table[at] = index + 1;
  });
  return table;
}

const TABLE = buildTable();

/** Case and folding: of a name that does not fold, case alone. */
function equalsFolded(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (FOLDED[bytes[start + i] as number] !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Number of the name in `bytes[start, end)`, whose hash the caller has computed. */
export function identifyField(bytes: Uint8Array, start: number, end: number, hash: number): number {
  for (let at = hash & (TABLE_SIZE - 1); ; at = (at + 1) & (TABLE_SIZE - 1)) {
    const number = TABLE[at] as number;
    if (number === 0) break;
    if (equalsFolded(bytes, start, end, NAMES[number - 1] as string)) return number;
  }
  const prefixEnd = start + FORWARDED_PREFIX.length;
  if (end > prefixEnd && equalsFolded(bytes, start, prefixEnd, FORWARDED_PREFIX)) return FORWARDED_OTHER;
  return OTHER;
}

/** Number of the name in `bytes[start, end)`, which has `_` or `.` in it. */
export function identifyFolding(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) hash = nextHash(hash, FOLDED[bytes[at] as number] as number);
  return identifyField(bytes, start, end, hash) === OTHER ? FOLDING_NAME : FOLDING_KNOWN;
}

/** Number of a lower-case name, `OTHER` where it is not known. */
export function fieldNumber(name: string): number {
  const number = NAMES.indexOf(name as KnownFieldName) + 1;
  if (number > 0) return number;
  return name.startsWith(FORWARDED_PREFIX) ? FORWARDED_OTHER : OTHER;
}
