/** The daemon's own log: JSON lines on stderr, for the journal. Requests are in the access log instead. */
import {pino, type Logger} from 'pino';
import type {LogSnapshot} from '#src/config/snapshot.ts';

export type DaemonLog = Logger;

/** Key material has these names everywhere in the program. */
const SECRET_NAMES: ReadonlySet<string> = new Set(['keyPem', 'ticketKeys', 'keys', 'hashSecret', 'password', 'secret']);
const DEPTH_MAX = 8;

/** Writes are synchronous: the last line before a crash is the one that matters, and the control thread serves no requests. */
export function createDaemonLog(level: LogSnapshot['level'] = 'info', destination: {write(line: string): void} = pino.destination({fd: 2, sync: true})): DaemonLog {
  return pino({
    level,
    base: {pid: process.pid},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: label => ({level: label}),
      log: detail => Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, hideSecrets(name, value, 1)])),
    },
  }, destination);
}

/** Whatever is logged by mistake, however deep it is: a key is not. (pino's `redact` knows fixed paths only.) */
function hideSecrets(name: string, value: unknown, depth: number): unknown {
  if (SECRET_NAMES.has(name)) return '[secret]';
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return '[bytes]';
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  if (depth === DEPTH_MAX) return '[too deep]';
  if (Array.isArray(value)) return value.map(item => hideSecrets('', item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hideSecrets(key, inner, depth + 1)]));
}
