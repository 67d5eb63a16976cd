/** What must hold within a route, a site and a pair of header changes. */
import type {Finding} from '#src/config/checks.ts';
import {quote} from '#src/config/problem.ts';

interface RedirectFacts {
  readonly to: string;
  readonly keep_path: boolean;
}

interface RespondFacts {
  readonly status: number;
  readonly body: string;
}

interface RouteFacts {
  readonly path: string;
  readonly match: 'prefix' | 'exact';
  readonly methods: readonly string[];
  readonly pool?: string | undefined;
  readonly redirect?: unknown;
  readonly respond?: unknown;
  readonly replace_prefix?: string | undefined;
  readonly strip_prefix?: true | undefined;
  readonly websocket?: unknown;
  readonly trailers?: boolean | undefined;
  readonly grpc?: boolean | undefined;
}

interface ChangesFacts {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export function checkRedirect({to, keep_path: keepPath}: RedirectFacts): readonly Finding[] {
  if (!keepPath || (to !== '/' && !/[?#]/.test(to))) return [];
  return [{
    path: ['to'], needs: [],
    found: `${quote(to)} with keep_path`,
    allowed: to === '/' ? 'a URL or path that differs from the request' : 'a URL or path without query and fragment, so that the path of the request can follow',
    remedy: 'correct it, or remove keep_path',
  }];
}

export function checkRespond({status, body}: RespondFacts): readonly Finding[] {
  if (body === '' || (status !== 204 && status !== 205 && status !== 304)) return [];
  return [{path: ['body'], needs: [], found: `a body with status ${status}`, allowed: 'no body with 204, 205 and 304 (RFC 9110 §15)', remedy: 'remove the body, or use another status'}];
}

export function checkRoute(route: RouteFacts): readonly Finding[] {
  return [...checkAction(route), ...checkPrefix(route), ...checkUpgrade(route), ...checkTrailers(route), ...checkCalls(route)];
}

/** `any` next to another origin would make that one look like a restriction. */
export function checkWebSocket({origins}: {readonly origins: readonly string[]}): readonly Finding[] {
  const index = origins.indexOf('any');
  if (index < 0 || origins.length === 1) return [];
  return [{path: ['origins', index], needs: [], found: 'any, with other origins', allowed: 'any alone, or a list of origins without it', remedy: 'remove any, or the others'}];
}

function checkUpgrade({methods, pool, websocket}: RouteFacts): readonly Finding[] {
  if (websocket === undefined) return [];
  if (pool === undefined) return [{path: ['websocket'], part: 'key', needs: [['pool']], found: 'websocket on a route without a pool', allowed: 'websocket with `pool`', remedy: 'remove the key'}];
  if (methods.length === 0 || methods.includes('GET')) return [];
  return [{path: ['websocket'], part: 'key', needs: [['methods']], found: 'websocket on a route without GET', allowed: 'GET among the methods: a WebSocket begins with it', remedy: 'add GET, or remove the key'}];
}

const ACTIONS = ['pool', 'redirect', 'respond'] as const;

function checkTrailers({pool, trailers}: RouteFacts): readonly Finding[] {
  if (trailers !== true || pool !== undefined) return [];
  return [{path: ['trailers'], part: 'key', needs: [['pool']], found: 'trailers on a route without a pool', allowed: 'trailers with `pool`', remedy: 'remove the key'}];
}

function checkCalls({methods, pool, grpc}: RouteFacts): readonly Finding[] {
  if (grpc !== true) return [];
  if (pool === undefined) return [{path: ['grpc'], part: 'key', needs: [['pool']], found: 'grpc on a route without a pool', allowed: 'grpc with `pool`', remedy: 'remove the key'}];
  if (methods.length === 0 || methods.includes('POST')) return [];
  return [{path: ['grpc'], part: 'key', needs: [['methods']], found: 'grpc on a route without POST', allowed: 'POST among the methods: every call is one', remedy: 'add POST, or remove the key'}];
}

function checkAction(route: RouteFacts): readonly Finding[] {
  const actions = ACTIONS.filter((key) => route[key] !== undefined);
  if (actions.length === 1) return [];
  return [{
    path: [], needs: actions.length === 0 ? ACTIONS.map((key) => [key]) : [],
    found: actions.length === 0 ? 'a route that says nothing about what to do' : `a route with ${actions.join(' and ')}`,
    allowed: 'exactly one of pool, redirect and respond',
    remedy: actions.length === 0 ? 'add one of them' : 'keep one of them',
  }];
}

function checkPrefix(route: RouteFacts): readonly Finding[] {
  const keys = (['replace_prefix', 'strip_prefix'] as const).filter((key) => route[key] !== undefined);
  const findings = keys.filter(() => route.match !== 'prefix' || route.pool === undefined).map((key): Finding => ({
    path: [key], part: 'key', needs: route.pool === undefined ? [['pool']] : [],
    found: `${key} on a route ${route.pool === undefined ? 'without a pool' : 'with match: exact'}`, allowed: `${key} with \`pool\` and match: prefix`, remedy: 'remove the key',
  }));
  if (keys.length < 2) return findings;
  return [...findings, {path: ['strip_prefix'], part: 'key', needs: [], found: 'strip_prefix with replace_prefix', allowed: 'one of the two', remedy: 'remove one: strip_prefix is the same as replace_prefix: /'}];
}

/** Two routes that match the same requests: one of them would never be used. */
export function checkSite({routes}: {readonly routes: readonly RouteFacts[]}): readonly Finding[] {
  const seen = new Map<string, number>();
  const findings: Finding[] = [];
  for (const [index, route] of routes.entries()) {
    const place = `${route.match} ${route.match === 'prefix' ? route.path.replace(/(?<=.)\/$/, '') : route.path}`;
    const keys = (route.methods.length === 0 ? ['*'] : [...new Set(route.methods)]).map((method) => `${method} ${place}`);
    const other = keys.map((key) => seen.get(key)).find((first) => first !== undefined);
    if (other !== undefined) {
      findings.push({path: ['routes', index, 'path'], needs: [['routes', other], ['routes', index]], found: `${quote(route.path)} for the second time`, allowed: 'one route for each path, match and method', remedy: 'remove one of the two, or give them different methods'});
    }
    for (const key of keys) seen.set(key, seen.get(key) ?? index);
  }
  return findings;
}

export function checkChanges({set, remove}: ChangesFacts): readonly Finding[] {
  return remove.flatMap((name, index) => (Object.hasOwn(set, name)
    ? [{path: ['remove', index], needs: [], found: `${quote(name)}, which is also set`, allowed: 'a field either set or removed', remedy: 'remove one of the two: a field that is set replaces what was there'}]
    : []));
}
