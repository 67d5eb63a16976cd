/** A site's routes: what the site says for all of them is merged into each one. */
import {NO_AUTH} from '#src/config/auth-schema.ts';
import type {RouteInput, SiteInput} from '#src/config/customer-schema.ts';
import {compileLimits, overrideTimeouts, type RouteDefaults} from '#src/config/compile-shared.ts';
import {compileRules} from '#src/config/rule-schema.ts';
import type {FieldChangesSnapshot, RouteActionSnapshot, RouteSnapshot, SiteSnapshot, WebSocketSnapshot} from '#src/config/snapshot.ts';

type Changes = SiteInput['headers']['request'];

export function compileSite(site: SiteInput, defaults: RouteDefaults): SiteSnapshot {
  const siteDefaults: RouteDefaults = {
    timeouts: overrideTimeouts(defaults.timeouts, site.timeouts),
    maxBodyBytes: site.max_body ?? defaults.maxBodyBytes,
    requestBufferBytes: site.request_buffer ?? defaults.requestBufferBytes,
  };
  return {hosts: site.hosts, routes: site.routes.map((route) => compileRoute(route, site, siteDefaults))};
}

function compileRoute(route: RouteInput, site: SiteInput, defaults: RouteDefaults): RouteSnapshot {
  return {
    path: route.path,
    match: route.match,
    methods: route.methods,
    action: compileAction(route),
    replacePrefix: route.replace_prefix ?? (route.strip_prefix === true ? '/' : null),
    allow: route.allow,
    deny: route.deny,
    auth: compileAuthReference(route.auth ?? site.auth),
    rules: compileRules([...site.rules, ...route.rules]),
    limits: compileLimits(route.limits),
    maxBodyBytes: route.max_body ?? defaults.maxBodyBytes,
    requestBufferBytes: route.request_buffer ?? defaults.requestBufferBytes,
    timeouts: overrideTimeouts(defaults.timeouts, route.timeouts),
    requestFields: mergeChanges(site.headers.request, route.headers.request),
    responseFields: mergeChanges(site.headers.response, route.headers.response),
    encodedSlashAllowed: route.encoded_slash === 'allow',
    loginGuard: route.login_guard ?? null,
    trailers: route.trailers,
    takesCalls: route.grpc,
    websocket: compileWebSocket(route.websocket),
  };
}

function compileAuthReference(name: string | undefined): string | null {
  return name === undefined || name === NO_AUTH ? null : name;
}

function compileWebSocket(websocket: RouteInput['websocket']): WebSocketSnapshot | null {
  if (websocket === undefined) return null;
  return {origins: websocket.origins, isMissingOriginAllowed: websocket.missing_origin === 'allow', idleMs: websocket.idle};
}

/** The schema has made sure that exactly one of them is there. */
function compileAction({pool, redirect, respond}: RouteInput): RouteActionSnapshot {
  if (redirect !== undefined) {
    const {to, status, keep_path: keepTarget} = redirect;
    // The target of the request begins with a slash of its own.
    return {type: 'redirect', status, location: keepTarget ? to.replace(/\/$/, '') : to, keepTarget};
  }
  if (respond !== undefined) return {type: 'respond', status: respond.status, contentType: respond.content_type, body: respond.body};
  if (pool === undefined) throw new Error('the schema lets no route without an action pass');
  return {type: 'pool', pool};
}

/** The route's changes on top of the site's: what a route sets is not removed, and what it removes is not set. */
function mergeChanges(site: Changes, route: Changes): FieldChangesSnapshot {
  const removedByRoute = new Set(route.remove);
  const setByRoute = new Set(Object.keys(route.set));
  const inherited = Object.entries(site.set).filter(([name]) => !setByRoute.has(name) && !removedByRoute.has(name));
  const remove = new Set([...site.remove.filter((name) => !setByRoute.has(name)), ...route.remove]);
  return {set: [...inherited, ...Object.entries(route.set)], remove: [...remove]};
}
