/** One line of the access log: JSON that no client can break out of, and without the secrets that clients put into URLs. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';

export interface AccessRecord {
  readonly time: string;
  readonly requestId: string;
  readonly customer: string;
  readonly pool: string;
  readonly clientAddress: string;
  /** The host as matched; empty where the request named no valid one. */
  readonly host: string;
  readonly method: string;
  /** Target as the client sent it. */
  readonly target: string;
  readonly protocol: string;
  /** 0 where no response was begun. */
  readonly status: number;
  readonly fault: FaultCode | null;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly queueMs: number;
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
  readonly endpoint: string;
  readonly tlsVersion: string;
  readonly tlsCipher: string;
  readonly userAgent: string;
  readonly referer: string;
}

/** Everything that is not printable ASCII, and what JSON gives a meaning to. */
const NEEDS_ESCAPE = /[^\x20-\x7e]|["\\]/;
const ESCAPED = /[^\x20-\x7e]|["\\]/g;

/** Parameters whose value is a credential wherever they appear. */
const SECRET_PARAMETER = /([?&;#](?:[A-Za-z0-9_.~-]*(?:token|secret|passw(?:or)?d|passwd|pwd|api[_-]?key|apikey|signature|credential|session(?:id)?|jwt|auth(?:orization)?)|code|key|sig|sid|state|otp|pin)=)[^&;#]*/gi;

/** Values of parameters that look like credentials are replaced. */
export function redactSecrets(target: string): string {
  const query = target.search(/[?;#]/);
  return query < 0 ? target : target.slice(0, query) + target.slice(query).replace(SECRET_PARAMETER, '$1***');
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

const THOUSANDTHS: readonly string[] = Array.from({length: 1000}, (_, index) => `.${String(index).padStart(3, '0')}`);

/** Milliseconds with three decimals, by integers: turning a fraction into text costs as much as the rest of the line. */
function formatMs(ms: number): string {
  const microseconds = Math.round(ms * 1000);
  return Math.floor(microseconds / 1000) + (THOUSANDTHS[microseconds % 1000] as string);
}

export function formatAccessLine(record: AccessRecord): string {
  return `{"time":"${record.time}","level":"info","msg":"access","request_id":${quote(record.requestId)},"customer":"${record.customer}","pool":"${record.pool}"`
    + `,"client":"${record.clientAddress}","host":${quote(record.host)},"method":${quote(record.method)},"path":${quote(redactSecrets(record.target))}`
    + `,"protocol":"${record.protocol}","status":${record.status},"fault":${record.fault === null ? 'null' : `"${record.fault}"`}`
    + `,"bytes_in":${record.bytesReceived},"bytes_out":${record.bytesSent}`
    + `,"queue_ms":${formatMs(record.queueMs)},"connect_ms":${formatMs(record.connectMs)},"first_byte_ms":${formatMs(record.firstByteMs)},"duration_ms":${formatMs(record.totalMs)}`
    + `,"upstream":"${record.endpoint}","tls_version":"${record.tlsVersion}","tls_cipher":"${record.tlsCipher}"`
    + `,"user_agent":${quote(record.userAgent)},"referer":${quote(redactSecrets(record.referer))}}\n`;
}
