/** The node file's validated document → what the daemon works with. */
import path from 'node:path';
import {LIMITS} from '#src/core/limits.ts';
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {compileLimits, refuseDuplicates, type RouteDefaults} from '#src/config/compile-shared.ts';
import {type NodeInput, nodeSchema} from '#src/config/node-schema.ts';
import {addressesCollide} from '#src/config/own-addresses.ts';
import type {Report} from '#src/config/report.ts';
import type {ListenerSnapshot, NodeSnapshot, TimeoutsSnapshot} from '#src/config/snapshot.ts';

export interface CompiledNode {
  readonly node: NodeSnapshot;
  readonly defaults: RouteDefaults;
}

export function compileNode(input: NodeInput, report: Report, cores: number): CompiledNode {
  const node: NodeSnapshot = {
    listeners: compileListeners(input, report),
    admin: input.admin.address,
    threads: input.threads === 'auto' ? Math.max(1, Math.min(cores, LIMITS.threadsMax)) : input.threads,
    trustedProxies: input.trusted_proxies,
    timeouts: compileTimeouts(input),
    limits: compileLimits(input.limits, report),
    caps: {connectionsMax: input.caps.connections, connectionsPerClientMax: input.caps.connections_per_client},
    log: {access: resolveAccessLog(input.log.access, report.file), level: input.log.level},
  };
  if (node.caps.connectionsPerClientMax > node.caps.connectionsMax) {
    report.problem(['caps', 'connections_per_client'], {
      found: String(node.caps.connectionsPerClientMax), allowed: `at most caps.connections (${node.caps.connectionsMax})`, remedy: 'lower it: one client could take every connection of the node',
    });
  }
  refuseCollisions(node, report);
  return {node, defaults: routeDefaultsOf(input)};
}

/** What customers inherit when the node file cannot be read: their own problems are worth knowing all the same. */
export function fallbackDefaults(): RouteDefaults {
  return routeDefaultsOf(nodeSchema.parse({listeners: [{name: 'http', address: '127.0.0.1:0', protocol: 'http'}]}));
}

function routeDefaultsOf(input: NodeInput): RouteDefaults {
  const {connectMs, requestBodyIdleMs, responseHeadMs, responseIdleMs} = compileTimeouts(input);
  return {
    timeouts: {connectMs, requestBodyIdleMs, responseHeadMs, responseIdleMs},
    maxBodyBytes: input.max_body,
    requestBufferBytes: input.request_buffer,
  };
}

function compileTimeouts({timeouts}: NodeInput): TimeoutsSnapshot {
  return {
    requestHeadMs: timeouts.request_head,
    requestBodyIdleMs: timeouts.request_body_idle,
    keepAliveMs: timeouts.keep_alive,
    connectMs: timeouts.connect,
    responseHeadMs: timeouts.response_head,
    responseIdleMs: timeouts.response_idle,
    tlsHandshakeMs: timeouts.tls_handshake,
    upstreamKeepAliveMs: timeouts.upstream_keep_alive,
    drainMs: timeouts.drain,
  };
}

function resolveAccessLog(access: string, file: string): string {
  return access === 'stdout' || access === 'off' ? access : path.resolve(path.dirname(file), access);
}

function compileListeners(input: NodeInput, report: Report): readonly ListenerSnapshot[] {
  refuseDuplicates(input.listeners.map((listener) => listener.name), (index) => ['listeners', index, 'name'], 'the name of another listener', report);
  return input.listeners.map((listener, index) => ({
    name: listener.name,
    ...listener.address,
    protocol: listener.protocol,
    redirectToHttpsPort: listener.redirect_to_https === false ? 0 : redirectPort(input, index, report),
  }));
}

/** The port that clients are sent to: the given one, else that of the https listener on the same address, else of the first one. */
function redirectPort(input: NodeInput, index: number, report: Report): number {
  const place = ['listeners', index, 'redirect_to_https'];
  const listener = input.listeners[index];
  if (listener?.protocol !== 'http') {
    report.problem(place, {found: 'a redirect to https on a https listener', allowed: 'redirect_to_https on listeners with protocol: http', remedy: 'remove the key'});
    return 0;
  }
  const targets = input.listeners.filter((candidate) => candidate.protocol === 'https');
  const target = targets.find((candidate) => candidate.address.address === listener.address.address) ?? targets[0];
  if (target === undefined) {
    report.problem(place, {found: 'a redirect to https', allowed: 'redirect_to_https where there is a listener with protocol: https', remedy: 'add a https listener, or remove the key'});
    return 0;
  }
  if (typeof listener.redirect_to_https === 'number') return listener.redirect_to_https;
  if (target.address.port === 0) {
    report.problem(place, {found: `a redirect to the listener ${target.name}, whose port is chosen by the system`, allowed: 'a https listener with a fixed port, or the port in place of true', remedy: 'give the https listener a port'});
  }
  return target.address.port;
}

function refuseCollisions(node: NodeSnapshot, report: Report): void {
  const taken: {name: string; address: string; port: number}[] = [{...node.admin, name: 'admin'}];
  for (const [index, listener] of node.listeners.entries()) {
    const other = taken.find((candidate) => addressesCollide(candidate, listener));
    if (other !== undefined) {
      report.problem(['listeners', index, 'address'], {
        found: `${formatSocketAddress(listener)}, which ${other.name} takes (${formatSocketAddress(other)})`,
        allowed: 'an address and port of its own for every listener',
        remedy: 'change the port of one of the two',
      });
    }
    taken.push(listener);
  }
}
