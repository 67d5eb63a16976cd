/** How clients prove who they are: named ways of a customer, which its sites and routes refer to. */
import {z} from 'zod';
import {checked, type Finding} from '#src/config/checks.ts';
import {HASH_FORMS, parsePasswordHash} from '#src/config/password-hash.ts';
import {probePath} from '#src/config/route-scalars.ts';
import {duration, fieldName, filePath, flag, name, readText, scalar, section} from '#src/config/scalars.ts';

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

const fieldNames = z.array(fieldName('request')).max(32);

const forwardSection = section({
  pool: name.describe('The pool of the application that decides.'),
  path: probePath.prefault('/').describe('What it is asked with: `GET`, and the method and target of the request in `X-Forwarded-Method` and `X-Forwarded-Uri`.'),
  timeout: duration(10).prefault('5s').describe('For the answer; later it is 503.'),
  send: fieldNames.prefault(['accept', 'authorization', 'cookie', 'user-agent']).describe("Fields of the client's request that it sees."),
  identity: fieldNames.prefault([]).describe('Fields of its answer that servers see, the first of which says who the client is. What clients send under these names never reaches a server of the customer.'),
});

/** `none` is what a route says that needs no proof. */
export const NO_AUTH = 'none';

const method = checked(section({
  basic: basicSection.optional().describe('User name and password (RFC 7617). Exactly one of `basic` and `forward` must be there.'),
  forward: forwardSection.optional().describe('An application of the customer decides.'),
}), checkMethod);

export const authSection = z.record(name, method).prefault({}).describe('Ways in which clients prove who they are, by name. `none` is no name for one.');

export const authReference = name.optional();

export type AuthInput = z.output<typeof authSection>;
export type ForwardInput = NonNullable<AuthInput[string]['forward']>;
export type BasicInput = NonNullable<AuthInput[string]['basic']>;

function checkBasic({users, users_file: file}: {readonly users: Readonly<Record<string, string>>; readonly users_file?: string | undefined}): readonly Finding[] {
  if (file !== undefined || Object.keys(users).length > 0) return [];
  return [{path: [], needs: [['users'], ['users_file']], found: 'no user at all', allowed: 'users, users_file, or both', remedy: 'add a user'}];
}

function checkMethod({basic, forward}: {readonly basic?: unknown; readonly forward?: unknown}): readonly Finding[] {
  if ((basic === undefined) !== (forward === undefined)) return [];
  return [{path: [], needs: basic === undefined ? [['basic'], ['forward']] : [], found: basic === undefined ? 'a way that says nothing' : 'both basic and forward', allowed: 'exactly one of basic and forward', remedy: basic === undefined ? 'add one of them' : 'keep one of them'}];
}

interface UserFacts {
  readonly auth?: string | undefined;
  readonly headers: {readonly request: {readonly set: Readonly<Record<string, string>>}};
}

export interface AuthFacts {
  readonly pools: Readonly<Record<string, unknown>>;
  readonly auth: Readonly<Record<string, {readonly forward?: {readonly pool: string; readonly identity: readonly string[]} | undefined}>>;
  readonly sites: readonly (UserFacts & {readonly routes: readonly UserFacts[]})[];
}

export function checkAuth(customer: AuthFacts): readonly Finding[] {
  return [...checkNames(customer), ...checkAuthPools(customer), ...checkIdentity(customer)];
}

function checkAuthPools({auth, pools}: AuthFacts): readonly Finding[] {
  return Object.entries(auth).filter(([, {forward}]) => forward !== undefined && !Object.hasOwn(pools, forward.pool)).map(([wayName, {forward}]) => ({
    path: ['auth', wayName, 'forward', 'pool'], needs: [['pools', forward?.pool ?? '']],
    found: `${JSON.stringify(forward?.pool)}, a pool that does not exist`,
    allowed: `a pool of this customer: ${Object.keys(pools).join(', ')}`,
    remedy: 'correct the name, or add the pool',
  }));
}

/** A server would read two fields of one name, and could believe either. */
function checkIdentity({auth, sites}: AuthFacts): readonly Finding[] {
  const identity = new Set(Object.values(auth).flatMap(({forward}) => forward?.identity ?? []));
  const users = sites.flatMap((site, siteIndex) => [
    {user: site, path: ['sites', siteIndex]},
    ...site.routes.map((route, index) => ({user: route, path: ['sites', siteIndex, 'routes', index]})),
  ]);
  return users.flatMap(({user, path}) => Object.keys(user.headers.request.set).filter((field) => identity.has(field)).map((field): Finding => ({
    path: [...path, 'headers', 'request', 'set', field], part: 'key', needs: [],
    found: `${JSON.stringify(field)}, which is an identity field under auth`, allowed: 'fields that no way to prove who one is sets', remedy: 'remove one of the two',
  })));
}

/** Names that sites and routes use are there. */
function checkNames({auth, sites}: AuthFacts): readonly Finding[] {
  const known = Object.keys(auth);
  const uses = sites.flatMap((site, siteIndex) => [
    {used: site.auth, path: ['sites', siteIndex, 'auth']},
    ...site.routes.map((route, index) => ({used: route.auth, path: ['sites', siteIndex, 'routes', index, 'auth']})),
  ]);
  const unknown = uses.filter(({used}) => used !== undefined && used !== NO_AUTH && !Object.hasOwn(auth, used)).map(({used, path}): Finding => ({
    path, needs: [['auth', used ?? '']],
    found: `${JSON.stringify(used)}, which is no way under auth`,
    allowed: [...known, NO_AUTH].join(', '),
    remedy: 'correct the name, or add it under auth',
  }));
  if (!known.includes(NO_AUTH)) return unknown;
  return [...unknown, {path: ['auth', NO_AUTH], part: 'key', needs: [], found: 'a way with the name none', allowed: 'any other name: none stands for no proof at all', remedy: 'rename it'}];
}
