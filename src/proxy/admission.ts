/**
 * May this request be served, and by which route? The stages in their order; the first that finds a fault ends it. Cheap refusals come
 * first: the limits before anything is looked up.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {equalTexts, flattenText} from '#src/core/text.ts';
import type {ConnectionMemo, Downstream} from '#src/edge/request-handler.ts';
import {normaliseTarget} from '#src/http1/path.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {parseAuthority, toOriginForm} from '#src/http1/request-target.ts';
import {isAllowed} from '#src/policy/access.ts';
import {banFault} from '#src/policy/client-bans.ts';
import {findForwardedClient, findForwardedRequestId, findForwardedScheme, identifyClient, type ClientIdentity} from '#src/policy/client-identity.ts';
import {isGrpcCall} from '#src/policy/grpc.ts';
import {stripPathParameters} from '#src/policy/path-table.ts';
import {RuleSubject, matchesRule, type RuleSet} from '#src/policy/rules.ts';
import {takeLimits, type CompiledLimit} from '#src/policy/request-limits.ts';
import {planDeadline} from '#src/proxy/call.ts';
import {mayKeepSlashes} from '#src/proxy/encoded-slashes.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import {LoginAttempt} from '#src/proxy/login-attempt.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import {findTimePayer, isServedOn} from '#src/proxy/time-payer.ts';
import {admitUpgrade} from '#src/proxy/upgrade.ts';

/** CONNECT would make this a tunnel; TRACE reflects credentials (RFC 9110 §9.3.6, §9.3.8). */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

/** Fills `facts`. Null where the request may be served by `facts.route`, or must be sent to `facts.httpsLocation`. */
export function admit(gateway: Gateway, downstream: Downstream, head: RequestHead, facts: RequestFacts): FaultCode | null {
  takeFacts(head, facts);
  facts.isGrpc = downstream.protocol === 'HTTP/2' && isGrpcCall(head);
  const client = findClient(gateway, downstream, head, facts);
  return checkNodeBan(gateway, downstream, client)
    ?? checkLimits(gateway, gateway.limits.onArrival, head, facts)
    ?? checkMethod(head)
    ?? findHost(gateway, head, downstream.memo, facts)
    ?? findTarget(head, downstream, facts)
    ?? checkExpectation(head)
    ?? findSite(gateway, downstream, facts)
    ?? checkCustomerBan(gateway, downstream, client, facts)
    ?? takeConnectionPlace(downstream, facts)
    ?? checkTurn(downstream, facts)
    ?? checkLimits(gateway, gateway.limits.onSite, head, facts)
    ?? checkLimits(gateway, facts.site?.customer.limits, head, facts)
    ?? checkRules(gateway, gateway.rules, head, facts)
    ?? checkRules(gateway, facts.site?.customer.rules ?? null, head, facts)
    ?? (findHttpsLocation(downstream, facts) ? null : findRoute(client, head, facts))
    ?? checkRouteLimits(gateway, head, facts)
    ?? checkRules(gateway, facts.route?.rules ?? null, head, facts)
    ?? planDeadline(head, facts)
    ?? checkMemory(gateway, client, facts)
    ?? checkUpgrade(gateway, head, facts)
    ?? takePlace(gateway, client, facts);
}

function takeFacts(head: RequestHead, facts: RequestFacts): void {
  facts.method = head.method;
  facts.target = head.target;
  facts.userAgent = head.userAgent;
  facts.referer = head.referer;
  facts.accept = head.accept;
  facts.isExtendedConnect = head.isExtendedConnect;
}

function findClient(gateway: Gateway, downstream: Downstream, head: RequestHead, facts: RequestFacts): ClientIdentity {
  const {peer} = downstream;
  facts.client = peer;
  if (gateway.trustedProxies.isEmpty || !gateway.trustedProxies.has(peer.ip)) return peer;
  const ip = findForwardedClient(peer.ip, head.fields, gateway.trustedProxies);
  const client = identifyClient(ip, findForwardedScheme(head.fields, peer.scheme), gateway.hash);
  facts.client = client;
  facts.requestId = findForwardedRequestId(head.fields) ?? facts.requestId;
  return client;
}

/** The peer of the connection was asked about when it was accepted: this is for bans that came later, and for clients of trusted proxies. */
function checkNodeBan(gateway: Gateway, downstream: Downstream, client: ClientIdentity): FaultCode | null {
  return gateway.bans.isBannedFromNode(client.ip) ? banFault(client, downstream.peer) : null;
}

function checkCustomerBan(gateway: Gateway, downstream: Downstream, client: ClientIdentity, facts: RequestFacts): FaultCode | null {
  const {site} = facts;
  return site !== null && gateway.bans.isBanned(site.customer.banScope, client.ip) ? banFault(client, downstream.peer) : null;
}

function checkLimits(gateway: Gateway, limits: readonly CompiledLimit[] | undefined, head: RequestHead, facts: RequestFacts): FaultCode | null {
  if (limits === undefined || limits.length === 0) return null;
  return takeLimits(limits, facts, head.fields, facts.startedMs, gateway.limitTally.count) ? null : 'rate_limited';
}

function checkRouteLimits(gateway: Gateway, head: RequestHead, facts: RequestFacts): FaultCode | null {
  const {route} = facts;
  return route === null ? null : checkLimits(gateway, gateway.limits.onRoute, head, facts) ?? checkLimits(gateway, route.limits, head, facts);
}

/**
 * A `post` is another method than `POST` (RFC 9110 §9.1), for which nothing is configured; but to Django, Werkzeug and other applications of WSGI it
 * is the same.
 */
function checkMethod({method}: RequestHead): FaultCode | null {
  if (method === 'GET' || method === 'POST') return null;
  return REFUSED_METHODS.has(method) || /[a-z]/.test(method) ? 'method_refused' : null;
}

function findHost(gateway: Gateway, head: RequestHead, memo: ConnectionMemo, facts: RequestFacts): FaultCode | null {
  memo.isHostRepeated = equalTexts(memo.host, head.host);
  if (!memo.isHostRepeated) rememberHost(gateway, head.host, memo);
  if (memo.hostName === '') return 'host_invalid';
  facts.host = memo.hostName;
  facts.authority = memo.authority;
  return null;
}

function rememberHost({tables}: Gateway, hostField: string, memo: ConnectionMemo): void {
  const name = tables.hosts.findName(hostField);
  memo.host = name ?? flattenText(hostField);
  const authority = name === undefined ? parseAuthority(memo.host) : null;
  memo.hostName = name ?? authority?.host ?? '';
  memo.authority = name ?? authority?.text ?? '';
  memo.forwardedLines = '';
}

function findTarget(head: RequestHead, downstream: Downstream, facts: RequestFacts): FaultCode | null {
  const origin = toOriginForm(head, downstream.peer.scheme);
  if (typeof origin !== 'string') return origin.fault;
  // Whether an encoded slash may stay is a matter of the route, which is found by the path.
  const normal = normaliseTarget(origin, true);
  if (normal === null) return 'path_ambiguous';
  facts.normalTarget = normal;
  return null;
}

function checkExpectation(head: RequestHead): FaultCode | null {
  return head.expect === '' || head.minorVersion === 0 || head.expect.toLowerCase() === '100-continue' ? null : 'expectation_failed';
}

function findSite(gateway: Gateway, downstream: Downstream, facts: RequestFacts): FaultCode | null {
  const {tables, upstream} = gateway, {memo, tls} = downstream, site = tables.hosts.find(facts.host);
  const time = findTimePayer(tables, tls, site, upstream.timeMeter.strangers);
  memo.requestsInARow = memo.time === time ? memo.requestsInARow + 1 : 0;
  memo.time = time;
  if (site === undefined) return 'host_unknown';
  facts.site = site;
  if (!isServedOn(tls, site)) return 'host_foreign';
  if (tls?.customer === '') tls.customer = site.customer.name;
  return null;
}

/** A connection of TLS has it since its handshake, where that told the customer. */
function takeConnectionPlace({memo}: Downstream, {site}: RequestFacts): FaultCode | null {
  return site === null ? null : memo.place.take(site.customer.places);
}

/** The customer has been over its share of the thread's time for so long that its requests come too late. */
function checkTurn({memo}: Downstream, {site}: RequestFacts): FaultCode | null {
  if (!memo.isLate) return null;
  site?.customer.time.count('timeRefusals', 1);
  return 'time_share_exceeded';
}

/** Every rule that matches is counted, up to the first that denies. */
function checkRules(gateway: Gateway, set: RuleSet | null, head: RequestHead, facts: RequestFacts): FaultCode | null {
  if (set === null) return null;
  const subject = new RuleSubject(head.method, facts.normalTarget, head.fields);
  for (const rule of set.rules) {
    if (!matchesRule(rule, subject)) continue;
    gateway.ruleTally.count(set.customer, rule);
    const isDenied = rule.action === 'deny';
    if (isDenied || facts.rule === '') facts.rule = rule.name;
    if (isDenied) return 'rule_denied';
  }
  return null;
}

/** Known hosts only: an address that is not ours is never put into a redirect. */
function findHttpsLocation(downstream: Downstream, facts: RequestFacts): boolean {
  const port = downstream.listener.redirectToHttpsPort;
  if (port === 0 || facts.client?.scheme === 'https') return false;
  facts.httpsLocation = `https://${facts.host}${port === 443 ? '' : `:${port}`}${facts.normalTarget}`;
  return true;
}

function findRoute(client: ClientIdentity, head: RequestHead, facts: RequestFacts): FaultCode | null {
  const {normalTarget, site} = facts;
  if (site === null) return 'route_unknown';
  const query = normalTarget.indexOf('?');
  const path = query < 0 ? normalTarget : normalTarget.slice(0, query);
  const match = site.paths.find(path.includes(';') ? stripPathParameters(path) : path, head.method);
  if (!match.found) {
    facts.allowedMethods = match.allow;
    return match.allow.length > 0 ? 'method_not_allowed' : 'route_unknown';
  }
  const route = match.value;
  facts.route = route;
  // Elsewhere it is a request like any other: else a client could choose by a field that its body is not collected, and that it may trickle.
  facts.isGrpc &&= route.snapshot.takesCalls;
  if (!mayKeepSlashes(site, route, path, head.method)) return 'path_ambiguous';
  if (!isAllowed(route.access, client.ip)) return 'access_denied';
  const guard = route.pool === null ? null : site.customer.logins?.find(head.method, normalTarget, route.snapshot.loginGuard) ?? null;
  if (guard !== null) facts.login = new LoginAttempt(guard, head);
  return head.bodyLength > route.snapshot.maxBodyBytes ? 'body_too_large' : null;
}

/** Whatever the request becomes: it may make this process hold more. */
function checkMemory({held}: Gateway, client: ClientIdentity, {route, site}: RequestFacts): FaultCode | null {
  return route === null || site === null ? null : held.judge(client, site.customer.places.buffers);
}

/** WebSockets have places of their own, which they keep for long. */
function takePlace({places}: Gateway, client: ClientIdentity, facts: RequestFacts): FaultCode | null {
  const {route, site, upgrade} = facts;
  if (route === null || site === null || upgrade !== null) return null;
  const account = site.customer.places.requests;
  const fault = places.requests.take(client, account);
  if (fault === null) facts.place = account;
  return fault;
}

/** It takes a place among the WebSockets. */
function checkUpgrade(gateway: Gateway, head: RequestHead, facts: RequestFacts): FaultCode | null {
  const websocket = facts.route?.websocket ?? null;
  if (websocket === null && head.isExtendedConnect) return 'websocket_not_served';
  return websocket === null || head.upgradeProtocol === '' ? null : admitUpgrade(gateway, websocket, head, facts);
}
