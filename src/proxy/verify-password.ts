/** Does a password belong to a hash? Takes a large part of a second, on purpose: never call it where requests are served. */
import {scryptSync, timingSafeEqual} from 'node:crypto';
import {compareSync, truncates} from 'bcryptjs';
import {parsePasswordHash, type ScryptHash} from '#src/config/password-hash.ts';

/** @param hash as the configuration has checked it */
export function verifyPassword(password: string, hash: string): boolean {
  const parsed = parsePasswordHash(hash);
  if (parsed === null) throw new Error('the configuration lets no other hash pass');
  if (parsed.kind === 'scrypt') return timingSafeEqual(deriveKey(password, parsed, parsed.key.length), parsed.key);
  // bcrypt looks at 72 bytes and no further: what is longer would match any password that begins alike.
  return !truncates(password) && compareSync(password, parsed.text);
}

function deriveKey(password: string, {cost, blockSize, parallelization, salt}: ScryptHash, length: number): Buffer {
  const memoryBytes = 128 * cost * blockSize;
  return scryptSync(password, salt, length, {N: cost, r: blockSize, p: parallelization, maxmem: 2 * memoryBytes});
}
