/** Login guards: which requests are attempts to log in, what a failure looks like, and how many a client may have. */
import {z} from 'zod';
import {checked, checkNames, type Finding} from '#src/config/checks.ts';
import {routePath} from '#src/config/route-scalars.ts';
import {choice, duration, integer, method, name, readText, scalar, section} from '#src/config/scalars.ts';
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';

const parameterName = scalar({
  type: 'text',
  allowed: '1 to 64 letters, digits and _.-[]',
  remedy: 'write the name that the field has in the form or object, such as email',
  json: {type: 'string', pattern: '^[A-Za-z0-9_.\\[\\]-]{1,64}$'},
  read: readText((text) => (/^[A-Za-z0-9_.[\]-]{1,64}$/.test(text) ? text : null)),
});

const cookieName = scalar({
  type: 'text',
  allowed: 'the name of a cookie: at most 256 letters, digits and !#$%&\'*+-.^_`|~',
  remedy: 'write for example session',
  json: {type: 'string', pattern: "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]{1,256}$"},
  read: readText((text) => (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/.test(text) ? text : null)),
});

const accountSection = section({
  type: choice('form', 'json').describe('What the body is: `application/x-www-form-urlencoded`, or a JSON object.'),
  field: parameterName.describe('The field, or the key at the top of the object, that names the account.'),
});

const failureSection = checked(section({
  statuses: z.array(choice(400, 401, 403, 422, 429)).max(5).prefault([401, 403, 422, 429]).describe('Statuses of a failed attempt.'),
  redirect_to: z.array(routePath).max(10).prefault([]).describe('Paths to which an application sends back whoever failed.'),
  without_cookie: cookieName.optional().describe('An answer that does not set this cookie is a failed attempt.'),
}), checkFailure).prefault({});

const limitsSection = section({
  window: duration(1000).prefault('10m').describe('For which the following numbers hold; each failure is forgotten after its share of it.'),
  pair: integer(2, 1000).prefault(5).describe('Failures of one client with one account. Without `account`: of one client.'),
  client: integer(2, 100_000).prefault(20).describe('Failures of one client with whatever accounts.'),
  account: integer(2, 100_000).prefault(50).describe('Failures with one account, of whatever clients.'),
}).prefault({});

const banSection = section({
  after: integer(1, 1000).prefault(10).describe('Attempts that are refused with 429 within the window before the client is banned.'),
  for: duration(1000).prefault('10m').describe('How long the first ban lasts. Each further one is twice as long, until a day has passed without.'),
  max: duration(1000).prefault('24h').describe('The longest ban.'),
});

const guard = section({
  name: name.describe('Unique; a label in logs and metrics.'),
  paths: z.array(routePath).max(20).prefault([]).describe('Paths that take attempts, exactly as they are written, on all sites of the customer. None: those of the routes with `login_guard`.'),
  methods: z.array(method).min(1).max(32).prefault(['POST']).describe('Methods that make a request an attempt.'),
  account: accountSection.optional().describe('Where the account stands. It is kept as a keyed hash only. Default: accounts are not told apart.'),
  failure: failureSection.describe('What a failed attempt looks like: any of these.'),
  limits: limitsSection.describe('Failures that are tolerated.'),
  delay: duration(0).prefault('5s').describe('From half of a limit on attempts wait, at the limit so long.'),
  ban: banSection.optional().describe('What becomes of clients that go on. Default: nothing but 429.'),
  mode: choice('enforce', 'observe').prefault('enforce').describe('`observe` counts and logs what it would have done.'),
});

export const loginGuardsSection = checked(z.array(guard).max(16), checkNames('login guard')).prefault([]);

function checkFailure({statuses, redirect_to: redirects, without_cookie: cookie}: {
  readonly statuses: readonly number[]; readonly redirect_to: readonly string[]; readonly without_cookie?: string | undefined;
}): readonly Finding[] {
  if (statuses.length > 0 || redirects.length > 0 || cookie !== undefined) return [];
  return [{path: [], needs: [['statuses'], ['redirect_to'], ['without_cookie']], found: 'nothing that would be a failure', allowed: 'at least one of statuses, redirect_to and without_cookie', remedy: 'say what a failed attempt looks like'}];
}

export interface GuardedFacts {
  readonly login_guards: readonly {readonly name: string; readonly paths: readonly string[]}[];
  readonly sites: readonly {readonly routes: readonly {readonly login_guard?: string | undefined; readonly pool?: string | undefined}[]}[];
}

/** What must hold between guards and the routes that name them. */
export function checkLoginGuards({login_guards: guards, sites}: GuardedFacts): readonly Finding[] {
  const known = guards.map((each) => each.name);
  const uses = sites.flatMap(({routes}, site) => routes.map((route, index) => ({...route, path: ['sites', site, 'routes', index, 'login_guard']})))
    .filter(({login_guard: used}) => used !== undefined);
  const used = new Set(uses.map((use) => use.login_guard));
  return [
    ...uses.filter((use) => use.pool === undefined).map(({path}): Finding => ({
      path, part: 'key', needs: [[...path.slice(0, -1), 'pool']], found: 'login_guard on a route without a pool', allowed: 'login_guard with `pool`: only an application can tell who has failed', remedy: 'remove the key',
    })),
    ...uses.filter((use) => !known.includes(use.login_guard ?? '')).map(({path, login_guard: name}): Finding => ({
      path, needs: [['login_guards']], found: `${JSON.stringify(name)}, a guard that does not exist`,
      allowed: known.length === 0 ? 'a guard of this customer (there is none)' : `a guard of this customer: ${known.join(', ')}`, remedy: 'correct the name, or add it under login_guards',
    })),
    ...guards.flatMap(({name, paths}, index): readonly Finding[] => (paths.length > 0 || used.has(name) ? [] : [{
      path: ['login_guards', index], needs: [['sites'], ['login_guards', index, 'paths']], found: `${JSON.stringify(name)}, which guards nothing`, allowed: 'a guard with `paths`, or with routes that name it', remedy: 'add paths, or login_guard to a route',
    }])),
  ];
}

export function compileLoginGuards(guards: z.output<typeof loginGuardsSection>): readonly LoginGuardSnapshot[] {
  return guards.map(({name: guardName, paths, methods, account, failure, limits, delay, ban, mode}) => ({
    name: guardName, paths, methods,
    account: account ?? null,
    failure: {statuses: failure.statuses, redirectPaths: failure.redirect_to, cookie: failure.without_cookie ?? null},
    windowMs: limits.window,
    pairFailures: limits.pair, clientFailures: limits.client, accountFailures: limits.account,
    delayMaxMs: delay,
    ban: ban === undefined ? null : {after: ban.after, forMs: ban.for, maxMs: Math.max(ban.for, ban.max)},
    isEnforced: mode === 'enforce',
  }));
}
