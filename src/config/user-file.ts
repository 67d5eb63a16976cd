/** A file of users and the hashes of their passwords, as `htpasswd -B` writes it. */
import {isUserName} from '#src/config/auth-schema.ts';
import {HASH_FORMS, parsePasswordHash} from '#src/config/password-hash.ts';
import type {Complaint} from '#src/config/problem.ts';

export const USER_FILE_BYTES_MAX = 1024 * 1024;
const USERS_MAX = 10_000;

export type UserFileResult =
  | {readonly ok: true; readonly users: readonly (readonly [name: string, hash: string])[]}
  | {readonly ok: false; readonly complaint: Complaint};

/** Lines `NAME:HASH`; empty lines and those that begin with `#` are passed over. Nothing of a hash ever stands in a complaint. */
export function parseUserFile(text: string): UserFileResult {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)), hash = line.slice(colon + 1);
    const fault = !isUserName(name) ? 'without a user name and a colon' : parsePasswordHash(hash) === null ? 'without a hash that is allowed' : users.has(name) ? 'with a user for the second time' : null;
    if (fault !== null) return refuse(`a file whose line ${index + 1} is ${fault}`, `lines NAME:HASH with ${HASH_FORMS}`, 'correct the line');
    users.set(name, hash);
  }
  if (users.size === 0 || users.size > USERS_MAX) return refuse(`a file with ${users.size} users`, `1 to ${USERS_MAX} users`, 'add users, or remove some');
  return {ok: true, users: [...users]};
}

function refuse(found: string, allowed: string, remedy: string): UserFileResult {
  return {ok: false, complaint: {found, allowed, remedy}};
}
