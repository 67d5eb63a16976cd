/** What must never be in the repository, whoever's machine it was written on. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {listFiles, readSource} from '#test/style/sources.ts';

/** Made on the machine and ignored by Git. */
const LOCAL = /^certs\/(?!README\.md$)|\.(?:log|cpuprofile)$/;
const BINARY = /\.(?:png|jpe?g|ico|gz|woff2|bin)$/;

const FORBIDDEN: Readonly<Record<string, RegExp>> = {
  'a path of somebody\'s machine': /(?:^|[\s"'`(=:])\/(?:work|root|Users|home\/[a-z]+)\/[\w.-]/m,
  'a package registry other than the public one': /"resolved":\s"(?!https:\/\/registry\.npmjs\.org\/)|^\s*(?:@[\w-]+:)?registry\s*=/m,
  'a private key': /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}/,
  'a conflict that was not resolved': /^(?:<{7}|>{7}) /m,
};

const FILES = listFiles('.').filter((file) => !LOCAL.test(file) && !BINARY.test(file)).map(readSource);

for (const [what, pattern] of Object.entries(FORBIDDEN)) {
  test(`no file holds ${what}`, () => {
    assert.deepEqual(FILES.filter(({text}) => pattern.test(text)).map(({file}) => file), []);
  });
}
