/** How clients prove who they are: named ways of a customer, which its sites and routes refer to. */
import {z} from 'zod';
import {checked, type Finding} from '#src/config/checks.ts';
import {HASH_FORMS, parsePasswordHash} from '#src/config/password-hash.ts';
import {filePath, flag, name, readText, scalar, section} from '#src/config/scalars.ts';

const USER_NAME = /^[A-Za-z0-9._@+-]{1,64}$/;

export function isUserName(text: string): boolean {
  return USER_NAME.test(text);
}

const userName = scalar({
  type: 'user name',
  allowed: '1 to 64 letters, digits and ._@+-',
  remedy: 'choose a name in ASCII',
  json: {type: 'string', pattern: USER_NAME.source},
  read: readText((text) => (isUserName(text) ? text : null)),
});

const passwordHash = scalar({
  type: 'password hash',
  allowed: HASH_FORMS,
  remedy: 'make one with `torwart password` or `htpasswd -nBC 12 USER`, and put it in quotes',
  json: {type: 'string', pattern: '^\\$(2[aby]|scrypt)\\$'},
  read: readText((text) => (parsePasswordHash(text) === null ? null : text)),
  secret: true,
});

const realm = scalar({
  type: 'text',
  allowed: '1 to 64 printable ASCII characters without quotation marks and backslashes',
  remedy: 'write for example Staff only',
  json: {type: 'string', pattern: '^[ !#-[\\]-~]{1,64}$'},
  read: readText((text) => (/^[ !#-[\]-~]{1,64}$/.test(text) ? text : null)),
});

const basicSection = checked(section({
  realm: realm.prefault('Restricted').describe('What the browser shows when it asks for the password.'),
  users: z.record(userName, passwordHash).prefault({}).describe('Users and the hashes of their passwords.'),
  users_file: filePath.optional().describe('More users: a file with a line `NAME:HASH` for each, as `htpasswd -B` writes it. Relative to this file.'),
  pass_authorization: flag.prefault(false).describe('The server sees the `Authorization` field, and with it the password.'),
}), checkBasic);

/** `none` is what a route says that needs no proof. */
export const NO_AUTH = 'none';

const method = checked(section({
  basic: basicSection.optional().describe('User name and password (RFC 7617).'),
}), checkMethod);

export const authSection = z.record(name, method).prefault({}).describe('Ways in which clients prove who they are, by name. `none` is no name for one.');

export const authReference = name.optional();

export type AuthInput = z.output<typeof authSection>;
export type BasicInput = NonNullable<AuthInput[string]['basic']>;

function checkBasic({users, users_file: file}: {readonly users: Readonly<Record<string, string>>; readonly users_file?: string | undefined}): readonly Finding[] {
  if (file !== undefined || Object.keys(users).length > 0) return [];
  return [{path: [], found: 'no user at all', allowed: 'users, users_file, or both', remedy: 'add a user'}];
}

function checkMethod({basic}: {readonly basic?: unknown}): readonly Finding[] {
  return basic === undefined ? [{path: [], found: 'a way that says nothing', allowed: 'exactly one of basic', remedy: 'add one of them'}] : [];
}

interface AuthFacts {
  readonly auth: Readonly<Record<string, unknown>>;
  readonly sites: readonly {readonly auth?: string | undefined; readonly routes: readonly {readonly auth?: string | undefined}[]}[];
}

/** Names that sites and routes use are there. */
export function checkAuth({auth, sites}: AuthFacts): readonly Finding[] {
  const known = Object.keys(auth);
  const uses = sites.flatMap((site, siteIndex) => [
    {used: site.auth, path: ['sites', siteIndex, 'auth']},
    ...site.routes.map((route, index) => ({used: route.auth, path: ['sites', siteIndex, 'routes', index, 'auth']})),
  ]);
  const unknown = uses.filter(({used}) => used !== undefined && used !== NO_AUTH && !Object.hasOwn(auth, used)).map(({used, path}): Finding => ({
    path,
    found: `${JSON.stringify(used)}, which is no way under auth`,
    allowed: [...known, NO_AUTH].join(', '),
    remedy: 'correct the name, or add it under auth',
  }));
  if (!known.includes(NO_AUTH)) return unknown;
  return [...unknown, {path: ['auth', NO_AUTH], part: 'key', found: 'a way with the name none', allowed: 'any other name: none stands for no proof at all', remedy: 'rename it'}];
}
