/** The daemon's own log: JSON lines on stderr, for the journal. Requests are in the access log instead. */
import {pino, type Logger} from 'pino';
import type {LogSnapshot} from '#src/config/snapshot.ts';

export type DaemonLog = Logger;

/** Whatever object is logged by mistake, key material in it is not. */
const SECRET_PATHS = ['keyPem', 'ticketKeys', 'keys', 'hashSecret', 'memory'].flatMap(name => [name, `*.${name}`, `*.*.${name}`, `*.*[*].${name}`]);

/** Writes are synchronous: the last line before a crash is the one that matters, and the control thread serves no requests. */
export function createDaemonLog(level: LogSnapshot['level'] = 'info', destination: {write(line: string): void} = pino.destination({fd: 2, sync: true})): DaemonLog {
  return pino({
    level,
    base: {pid: process.pid},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {level: label => ({level: label})},
    redact: {paths: SECRET_PATHS, censor: '[secret]'},
  }, destination);
}
