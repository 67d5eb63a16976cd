/** What attackers send, and a test for each. */
import {test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {attack, disarm, type Target} from '#test/support/attack.ts';

export const HOST = 'host: acme.test\r\n';
/** What a smuggler would like the application to see. */
export const SMUGGLED = 'GET /evil HTTP/1.1\r\nhost: acme.test\r\n\r\n';

export function get(fields: string, rest = ''): string {
  return `GET / HTTP/1.1\r\n${HOST}${fields}\r\n${rest}`;
}

export function post(fields: string, body: string): string {
  return `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
}

/** A request without fields but the Host. */
export function line(text: string): string {
  return `${text}\r\n${HOST}\r\n`;
}

export function chunked(body: string): string {
  return post('transfer-encoding: chunked\r\n', body);
}

export type Row = readonly [what: string, bytes: string, fault: FaultCode];

/** Each is refused, in the four steps of `attack`. */
export function refuseEach(target: Target, rows: readonly Row[]): void {
  for (const [what, bytes, fault] of rows) test(`${what}: ${fault}`, async (context) => { await attack(context, target, bytes, fault); });
}

/** Each comes to nothing, in the four steps of `disarm`. */
export function disarmEach(target: Target, rows: readonly (readonly [what: string, bytes: string])[]): void {
  for (const [what, bytes] of rows) test(what, async (context) => { await disarm(context, target, bytes); });
}
