/** A site's routes: what the site says for all of them is merged into each one. */
import type {RouteInput, SiteInput} from '#src/config/customer-schema.ts';
import {overrideTimeouts, type RouteDefaults} from '#src/config/compile-shared.ts';
import {type ConfigPath, quote} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';
import type {FieldChangesSnapshot, RouteActionSnapshot, RouteSnapshot, SiteSnapshot} from '#src/config/snapshot.ts';

type Changes = SiteInput['headers']['request'];

export function compileSite(site: SiteInput, path: ConfigPath, defaults: RouteDefaults, report: Report): SiteSnapshot {
  refuseContradictions(site.headers, path, report);
  refuseRepeatedRoutes(site, path, report);
  const siteDefaults: RouteDefaults = {
    timeouts: overrideTimeouts(defaults.timeouts, site.timeouts),
    maxBodyBytes: site.max_body ?? defaults.maxBodyBytes,
    requestBufferBytes: site.request_buffer ?? defaults.requestBufferBytes,
  };
  return {
    hosts: site.hosts,
    routes: site.routes.map((route, index) => compileRoute(route, site, [...path, 'routes', index], siteDefaults, report)),
  };
}

function compileRoute(route: RouteInput, site: SiteInput, path: ConfigPath, defaults: RouteDefaults, report: Report): RouteSnapshot {
  refuseContradictions(route.headers, path, report);
  return {
    path: route.path,
    match: route.match,
    methods: route.methods,
    action: compileAction(route, path, report),
    replacePrefix: compilePrefix(route, path, report),
    allow: route.allow,
    deny: route.deny,
    maxBodyBytes: route.max_body ?? defaults.maxBodyBytes,
    requestBufferBytes: route.request_buffer ?? defaults.requestBufferBytes,
    timeouts: overrideTimeouts(defaults.timeouts, route.timeouts),
    requestFields: mergeChanges(site.headers.request, route.headers.request),
    responseFields: mergeChanges(site.headers.response, route.headers.response),
    encodedSlashAllowed: route.encoded_slash === 'allow',
  };
}

function compileAction(route: RouteInput, path: ConfigPath, report: Report): RouteActionSnapshot {
  const actions = (['pool', 'redirect', 'respond'] as const).filter((key) => route[key] !== undefined);
  if (actions.length !== 1) {
    report.problem(path, {
      found: actions.length === 0 ? 'a route that says nothing about what to do' : `a route with ${actions.join(' and ')}`,
      allowed: 'exactly one of pool, redirect and respond',
      remedy: actions.length === 0 ? 'add one of them' : 'keep one of them',
    });
  }
  if (route.redirect !== undefined) return compileRedirect(route.redirect, path, report);
  if (route.respond !== undefined) return compileRespond(route.respond, path, report);
  return {type: 'pool', pool: route.pool ?? ''};
}

function compileRedirect({to, status, keep_path: keepTarget}: NonNullable<RouteInput['redirect']>, path: ConfigPath, report: Report): RouteActionSnapshot {
  if (!keepTarget) return {type: 'redirect', status, location: to, keepTarget};
  const location = to.replace(/\/$/, '');
  if (/[?#]/.test(to) || location === '') {
    report.problem([...path, 'redirect', 'to'], {
      found: `${quote(to)} with keep_path`,
      allowed: location === '' ? 'a URL or path that differs from the request' : 'a URL or path without query and fragment, so that the path of the request can follow',
      remedy: 'correct it, or remove keep_path',
    });
  }
  return {type: 'redirect', status, location, keepTarget};
}

function compileRespond({status, content_type: contentType, body}: NonNullable<RouteInput['respond']>, path: ConfigPath, report: Report): RouteActionSnapshot {
  if (body !== '' && (status === 204 || status === 205 || status === 304)) {
    report.problem([...path, 'respond', 'body'], {found: `a body with status ${status}`, allowed: 'no body with 204, 205 and 304 (RFC 9110 §15)', remedy: 'remove the body, or use another status'});
  }
  return {type: 'respond', status, contentType, body};
}

function compilePrefix(route: RouteInput, path: ConfigPath, report: Report): string | null {
  const keys = (['replace_prefix', 'strip_prefix'] as const).filter((key) => route[key] !== undefined);
  const [key] = keys;
  if (key === undefined) return null;
  if (keys.length === 2) {
    report.problem([...path, 'strip_prefix'], {found: 'strip_prefix with replace_prefix', allowed: 'one of the two', remedy: 'remove one: strip_prefix is the same as replace_prefix: /'}, 'key');
  }
  if (route.match !== 'prefix' || route.pool === undefined) {
    report.problem([...path, key], {found: `${key} on a route ${route.pool === undefined ? 'without a pool' : 'with match: exact'}`, allowed: `${key} with \`pool\` and match: prefix`, remedy: 'remove the key'}, 'key');
  }
  return route.replace_prefix ?? '/';
}

/** The route's changes on top of the site's: what a route sets is not removed, and what it removes is not set. */
function mergeChanges(site: Changes, route: Changes): FieldChangesSnapshot {
  const removedByRoute = new Set(route.remove);
  const setByRoute = new Set(Object.keys(route.set));
  const inherited = Object.entries(site.set).filter(([name]) => !setByRoute.has(name) && !removedByRoute.has(name));
  const remove = new Set([...site.remove.filter((name) => !setByRoute.has(name)), ...route.remove]);
  return {set: [...inherited, ...Object.entries(route.set)], remove: [...remove]};
}

function refuseContradictions(headers: SiteInput['headers'], path: ConfigPath, report: Report): void {
  for (const direction of ['request', 'response'] as const) {
    for (const [index, name] of headers[direction].remove.entries()) {
      if (!Object.hasOwn(headers[direction].set, name)) continue;
      report.problem([...path, 'headers', direction, 'remove', index], {found: `${quote(name)}, which is also set`, allowed: 'a field either set or removed', remedy: 'remove one of the two: a field that is set replaces what was there'});
    }
  }
}

/** Two routes that match the same requests: one of them would never be used. */
function refuseRepeatedRoutes(site: SiteInput, path: ConfigPath, report: Report): void {
  const seen = new Set<string>();
  for (const [index, route] of site.routes.entries()) {
    const place = `${route.match} ${route.match === 'prefix' ? route.path.replace(/(?<=.)\/$/, '') : route.path}`;
    const keys = (route.methods.length === 0 ? ['*'] : [...new Set(route.methods)]).map((method) => `${method} ${place}`);
    if (keys.some((key) => seen.has(key))) {
      report.problem([...path, 'routes', index, 'path'], {found: `${quote(route.path)} for the second time`, allowed: 'one route for each path, match and method', remedy: 'remove one of the two, or give them different methods'});
    }
    for (const key of keys) seen.add(key);
  }
}
