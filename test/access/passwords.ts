/** Hashes that are as cheap as the configuration lets them be. */
import {scryptSync} from 'node:crypto';
import {hashSync} from 'bcryptjs';
import type {BasicAuthSnapshot} from '#src/config/snapshot.ts';
import {formatScryptHash} from '#src/config/password-hash.ts';

const COST = 2 ** 14;
const BCRYPT_COST = 10;

export function scryptHash(password: string): string {
  const salt = Buffer.alloc(16, 7);
  return formatScryptHash({cost: COST, blockSize: 8, parallelization: 1, salt, key: scryptSync(password, salt, 32, {N: COST, r: 8, p: 1, maxmem: 64 * 1024 * 1024})});
}

export function bcryptHash(password: string): string {
  return hashSync(password, BCRYPT_COST);
}

export function basic(users: Readonly<Record<string, string>>, overrides: Partial<BasicAuthSnapshot> = {}): BasicAuthSnapshot {
  return {type: 'basic', name: 'staff', realm: 'Staff', users: Object.entries(users), isAuthorizationPassed: false, ...overrides};
}

/** The line of an Authorization field. */
export function authorization(user: string, password: string): string {
  return `authorization: Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}\r\n`;
}
