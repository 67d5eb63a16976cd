import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {parsePasswordHash} from '#src/config/password-hash.ts';
import {parseUserFile} from '#src/config/user-file.ts';
import {verifyPassword} from '#src/proxy/verify-password.ts';
import {bcryptHash, scryptHash} from '#test/access/passwords.ts';

/** Made by others: passlib's documentation, and `htpasswd -nbBC 10`. */
const FOREIGN: readonly (readonly [what: string, hash: string, password: string])[] = [
  ['passlib', '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E', 'password'],
  ['the authors of bcrypt', '$2a$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq', 'abcdefghijklmnopqrstuvwxyz'],
];

describe('hashes of other programs', () => {
  for (const [what, hash, password] of FOREIGN) {
    test(what, () => {
      assert.ok(verifyPassword(password, hash));
      assert.ok(!verifyPassword(`${password}x`, hash));
    });
  }
});

const PASSWORDS = ['x', 'pass:word', 'pässwörd 🔑', 'a'.repeat(72)];

for (const [kind, makeHash] of [['bcrypt', bcryptHash], ['scrypt', scryptHash]] as const) {
  test(`${kind}: the password and no other`, () => {
    for (const password of PASSWORDS) assert.ok(verifyPassword(password, makeHash(password)), password);
    const hash = makeHash('secret');
    for (const password of ['', 'Secret', 'secret ', 'secre']) assert.ok(!verifyPassword(password, hash), password);
  });
}

test('bcrypt does not take what is behind its 72 bytes for equal', () => {
  const hash = bcryptHash('a'.repeat(72));
  assert.ok(!verifyPassword('a'.repeat(73), hash));
});

const REFUSED = {
  'a plain password': 'secret',
  'MD5 of Apache': '$apr1$9pVn0bm8$yG0Xd7Oe2cV4JkTUyAy8K.',
  'SHA-1': '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
  'SHA-512 of crypt': '$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/',
  'a bcrypt hash that is cheap': bcryptHash('x').replace('$10$', '$05$'),
  'a bcrypt hash that takes seconds': bcryptHash('x').replace('$10$', '$15$'),
  'a bcrypt hash that is cut': bcryptHash('x').slice(0, -1),
  'a scrypt hash that is cheap': scryptHash('x').replace('ln=14', 'ln=10'),
  'a scrypt hash that fills the memory': scryptHash('x').replace('ln=14', 'ln=24'),
  'a scrypt hash with another block size': scryptHash('x').replace('r=8', 'r=32'),
  'a scrypt hash with a short key': '$scrypt$ln=14,r=8,p=1$BwcHBwcHBwcHBwcHBwcHBw$AAAA',
  'a scrypt hash with a short salt': scryptHash('x').replace(/\$[^$]+(?=\$[^$]+$)/, '$BwcH'),
} as const;

describe('what is no hash', () => {
  for (const [what, text] of Object.entries(REFUSED)) test(what, () => { assert.equal(parsePasswordHash(text), null); });
});

test('a file of users: comments and empty lines are passed over, and every fault names its line and no hash', () => {
  const hash = scryptHash('x');
  const result = parseUserFile(`# staff\n\nalice:${hash}\r\nbob@example:${hash}\n`);
  assert.deepEqual(result, {ok: true, users: [['alice', hash], ['bob@example', hash]]});
  const faults = {[`alice:${hash}\nalice:${hash}`]: /line 2 /, 'alice:secret': /line 1 /, [`:${hash}`]: /line 1 /, 'no colon': /line 1 /, '# nobody': / 0 users/};
  for (const [text, found] of Object.entries(faults)) {
    const refused = parseUserFile(text);
    assert.ok(!refused.ok, text);
    assert.match(refused.complaint.found, found);
    assert.ok(!JSON.stringify(refused).includes('secret') && !JSON.stringify(refused).includes(hash));
  }
});
