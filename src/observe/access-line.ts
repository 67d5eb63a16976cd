/** One line of the access log: JSON that no client can break out of, and without the secrets that clients put into URLs. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {flattenText} from '#src/core/text.ts';

/**
 * What a line says of one request. What is the same for many requests comes as finished fragments of the line, made by the functions
 * below: putting the line together from fifty pieces would cost as much as parsing the request.
 */
export interface AccessRecord {
  readonly timeFragment: string;
  /** Customer and client. */
  readonly originFragment: string;
  readonly endpointFragment: string;
  /** Only token characters. */
  readonly requestId: string;
  readonly requestFragment: string;
  /** Target as the client sent it. */
  readonly target: string;
  /** 0 where no response was begun; below 1000. */
  readonly status: number;
  readonly fault: FaultCode | null;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly queueMs: number;
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
  /** What access control says, see `accessFragment`; mostly empty. */
  readonly accessFragment: string;
  readonly closingFragment: string;
}

/** The beginning of a line. @param time RFC 3339 */
export function timeFragment(time: string): string {
  return flattenText(`{"time":"${time}","level":"info","msg":"access"`);
}

export function customerFragment(customer: string, pool: string): string {
  return flattenText(`,"customer":${quote(customer)},"pool":${quote(pool)}`);
}

/** @param tlsVersion empty in cleartext, like `tlsCipher` */
export function clientFragment(address: string, tlsVersion: string, tlsCipher: string): string {
  return `,"client":"${address}","tls_version":"${tlsVersion}","tls_cipher":"${tlsCipher}"`;
}

/** @param endpoint address and port, or empty where no upstream was asked */
export function endpointFragment(endpoint: string): string {
  return flattenText(`,"upstream":"${endpoint}","request_id":"`);
}

/**
 * @param host as matched; empty where the request named no valid one
 * @param method a token, or empty
 * @param protocol `HTTP/1.1`
 */
export function requestFragment(host: string, method: string, protocol: string): string {
  return `","host":"${host}${(method === 'GET' ? GETS[protocol] : undefined) ?? methodFragment(method, protocol)}`;
}

function methodFragment(method: string, protocol: string): string {
  return `","method":"${method}","protocol":"${protocol}","path":`;
}

/** By protocol. */
const GETS: Readonly<Record<string, string>> = Object.fromEntries(['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'].map((protocol) => [protocol, flattenText(methodFragment('GET', protocol))]));

export function userAgentFragment(userAgent: string): string {
  return flattenText(`,"user_agent":${quote(userAgent)}`);
}

/** The end of a line. @param userAgent made by `userAgentFragment` */
export function closingFragment(userAgent: string, referer: string): string {
  return `${userAgent},"referer":${quoteUrl(referer)}}\n`;
}

/** Everything that is not printable ASCII, and what JSON gives a meaning to. */
const NEEDS_ESCAPE = /[^\x20-\x7e]|["\\]/;
const ESCAPED = /[^\x20-\x7e]|["\\]/g;

/** Parameters whose value is a credential wherever they appear, `user[password]` included. */
const SECRET_PARAMETER = /([?&;#](?:[^?&;#=]*(?:token|secret|passw(?:or)?d|passwd|pwd|api[_-]?key|apikey|signature|credential|session(?:id)?|jwt|auth(?:orization)?)|code|key|sig|sid|state|otp|pin)(?:\]|%5d)?=)[^&;#]*/gi;

const HAS_PARAMETERS = /[?;#]/;
const PARAMETER_NAME = /[?&;#][^?&;#=]+=/g;
/** Escapes of characters that need none (RFC 3986 §2.3): letters, digits, `-`, `.`, `_` and `~`. */
const NEEDLESS_ESCAPE = /%(?:[46][1-9a-f]|[57][0-9a]|3[0-9]|2[de]|5f|7e)/gi;
/** Of an absolute URL; a client that sends it at all may have left an `@` in the password. */
const USER_INFORMATION = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i;

function unescapeCharacter(escape: string): string {
  return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
}

/** `pass%77ord` is `password` to whoever reads it (RFC 3986 §6.2.2.2). */
function normalizeName(name: string): string {
  return name.includes('%') ? name.replace(NEEDLESS_ESCAPE, unescapeCharacter) : name;
}

function redactParameters(target: string): string {
  return (target.includes('%') ? target.replace(PARAMETER_NAME, normalizeName) : target).replace(SECRET_PARAMETER, '$1***');
}

/** Values of parameters that look like credentials, and user information, are replaced. */
export function redactSecrets(target: string): string {
  const redacted = HAS_PARAMETERS.test(target) ? redactParameters(target) : target;
  return redacted.includes('@') ? redacted.replace(USER_INFORMATION, '$1***@') : redacted;
}

function escapeCharacter(character: string): string {
  if (character === '"') return '\\"';
  if (character === '\\') return '\\\\';
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** A JSON string in pure ASCII. */
export function quote(text: string): string {
  const bounded = text.length > LIMITS.loggedValueBytesMax ? text.slice(0, LIMITS.loggedValueBytesMax) : text;
  return NEEDS_ESCAPE.test(bounded) ? `"${bounded.replace(ESCAPED, escapeCharacter)}"` : `"${bounded}"`;
}

/** 1 for what needs neither an escape nor a look for secrets: printable ASCII but `"`, `\\`, and what parameters and user information are made of. */
const PLAIN_CLASS = Uint8Array.from({length: 128}, (_, code) => (code >= 0x20 && code < 0x7f && !'"\\?;#@%'.includes(String.fromCharCode(code)) ? 1 : 0));
/** Most are shorter. The patterns are faster for the others. */
const PLAIN_LENGTH_MAX = 64;

function isPlain(url: string): boolean {
  if (url.length > PLAIN_LENGTH_MAX) return false;
  for (let i = 0; i < url.length; i++) {
    const code = url.charCodeAt(i);
    if (code > 127 || PLAIN_CLASS[code] !== 1) return false;
  }
  return true;
}

/** The same as a JSON string of the URL without its secrets, with one look at most URLs instead of four. */
export function quoteUrl(url: string): string {
  return isPlain(url) ? `"${url}"` : quote(redactSecrets(url));
}

const MILLISECONDS_IN_TABLE = 10;
/** Every duration below ten milliseconds, which most are, in steps of a microsecond. */
const SHORT_DURATIONS: readonly string[] = Array.from({length: MILLISECONDS_IN_TABLE * 1000}, (_, microseconds) => (microseconds / 1000).toFixed(3));

/** Milliseconds with three decimals: turning a fraction into text costs as much as the rest of the line. */
function formatMs(ms: number): string {
  const microseconds = Math.round(ms * 1000);
  return SHORT_DURATIONS[microseconds] ?? (microseconds / 1000).toFixed(3);
}

/** The limit that was exceeded, the rule that matched, and the user that the client has proved to be, as far as there are any. */
export function accessFragment(limit: string, rule: string, user: string): string {
  return (limit === '' ? '' : `,"limit":"${limit}"`) + (rule === '' ? '' : `,"rule":"${rule}"`) + (user === '' ? '' : `,"user":${quote(user)}`);
}

function outcomeFragment(status: number, fault: string): string {
  return `,"status":${status},"fault":${fault},"bytes_in":`;
}

const STATUSES = 600;
/** Of requests without a fault, which most are. */
const OUTCOMES: readonly string[] = Array.from({length: STATUSES}, (_, status) => flattenText(outcomeFragment(status, 'null')));

/** Most go out at once, over a connection that is there. */
const WITHOUT_WAIT = ',"queue_ms":0.000,"connect_ms":0.000,"first_byte_ms":';

function waitFragment(queueMs: number, connectMs: number): string {
  if (queueMs === 0 && connectMs === 0) return WITHOUT_WAIT;
  return `,"queue_ms":${formatMs(queueMs)},"connect_ms":${formatMs(connectMs)},"first_byte_ms":`;
}

export function formatAccessLine(record: AccessRecord): string {
  const {status, fault} = record;
  const outcome = fault === null ? OUTCOMES[status] ?? outcomeFragment(status, 'null') : outcomeFragment(status, `"${fault}"`);
  return `${record.timeFragment}${record.originFragment}${record.endpointFragment}${record.requestId}${record.requestFragment}${quoteUrl(record.target)}`
    + `${outcome}${record.bytesReceived},"bytes_out":${record.bytesSent}${waitFragment(record.queueMs, record.connectMs)}${formatMs(record.firstByteMs)}`
    + `,"duration_ms":${formatMs(record.totalMs)}${record.accessFragment}${record.closingFragment}`;
}
