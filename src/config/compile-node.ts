/** The node file's validated document → what the daemon works with. */
import path from 'node:path';
import {LIMITS} from '#src/core/limits.ts';
import {compileLimits, type RouteDefaults} from '#src/config/compile-shared.ts';
import {findRedirectTarget, type ListenerFacts} from '#src/config/node-checks.ts';
import {type NodeInput, nodeSchema} from '#src/config/node-schema.ts';
import {compileRules} from '#src/config/rule-schema.ts';
import type {CapsSnapshot, FleetSnapshot, NodeSnapshot, TimeoutsSnapshot} from '#src/config/snapshot.ts';

export interface CompiledNode {
  readonly node: NodeSnapshot;
  readonly defaults: RouteDefaults;
}

/** What `auto` stands for. */
export interface Machine {
  readonly cores: number;
  /** That the process may use. */
  readonly memoryBytes: number;
}

export interface NodeContext {
  /** The node file, which relative paths are relative to. */
  readonly file: string;
  readonly machine: Machine;
  /** With what stands in the files that it names. */
  readonly fleet: FleetSnapshot | null;
}

export function compileNode(input: NodeInput, {file, machine, fleet}: NodeContext): CompiledNode {
  const node: NodeSnapshot = {
    listeners: input.listeners.map((listener) => ({
      name: listener.name,
      ...listener.address,
      protocol: listener.protocol,
      redirectToHttpsPort: redirectPortOf(listener, input.listeners),
      http2: listener.protocol === 'https' && listener.http2,
    })),
    admin: input.admin.address,
    threads: input.threads === 'auto' ? Math.max(1, Math.min(machine.cores, LIMITS.threadsMax)) : input.threads,
    trustedProxies: input.trusted_proxies,
    bans: input.bans,
    stateFolder: resolveOptional(input.state.path, file),
    adminSocket: resolveOptional(input.admin_socket, file),
    timeouts: compileTimeouts(input),
    fleet,
    limits: compileLimits(input.limits),
    rules: compileRules(input.rules),
    caps: compileCaps(input, machine),
    log: {access: resolveAccessLog(input.log.access, file), level: input.log.level},
  };
  return {node, defaults: routeDefaultsOf(input)};
}

/** What customers inherit when the node file cannot be read: their own problems are worth knowing all the same. */
export function fallbackDefaults(): RouteDefaults {
  return routeDefaultsOf(nodeSchema.parse({listeners: [{name: 'http', address: '127.0.0.1:0', protocol: 'http'}]}));
}

function redirectPortOf(listener: ListenerFacts, listeners: readonly ListenerFacts[]): number {
  if (typeof listener.redirect_to_https === 'number') return listener.redirect_to_https;
  return listener.redirect_to_https ? findRedirectTarget(listener, listeners)?.address.port ?? 0 : 0;
}

function routeDefaultsOf(input: NodeInput): RouteDefaults {
  const {connectMs, requestBodyIdleMs, requestBodyRateMin, responseHeadMs, responseIdleMs, responseRateMin, eventStreamIdleMs} = compileTimeouts(input);
  return {
    timeouts: {connectMs, requestBodyIdleMs, requestBodyRateMin, responseHeadMs, responseIdleMs, responseRateMin, eventStreamIdleMs},
    maxBodyBytes: input.max_body,
    requestBufferBytes: input.request_buffer,
  };
}

function compileTimeouts({timeouts}: NodeInput): TimeoutsSnapshot {
  return {
    requestHeadMs: timeouts.request_head,
    requestBodyIdleMs: timeouts.request_body_idle,
    requestBodyRateMin: timeouts.request_body_min_rate,
    keepAliveMs: timeouts.keep_alive,
    connectMs: timeouts.connect,
    responseHeadMs: timeouts.response_head,
    responseIdleMs: timeouts.response_idle,
    responseRateMin: timeouts.response_min_rate,
    eventStreamIdleMs: timeouts.event_stream_idle,
    tlsHandshakeMs: timeouts.tls_handshake,
    upstreamKeepAliveMs: timeouts.upstream_keep_alive,
    drainMs: timeouts.drain,
  };
}

/** The other half is for everything else: the program, the kernel's buffers of its sockets. */
const BUFFERED_PART = 1 / 2;

function compileCaps({caps}: NodeInput, {memoryBytes}: Machine): CapsSnapshot {
  const bufferedBytesMax = caps.buffered_bytes === 'auto' ? Math.floor(memoryBytes * BUFFERED_PART) : caps.buffered_bytes;
  return {
    connectionsMax: caps.connections,
    connectionsPerClientMax: caps.connections_per_client,
    handshakesMax: caps.handshakes ?? Math.ceil(caps.connections / 2),
    handshakesPerClientMax: caps.handshakes_per_client ?? Math.ceil(caps.connections_per_client / 4),
    requestsMax: caps.requests,
    requestsPerClientMax: caps.requests_per_client ?? Math.min(caps.requests, 2 * caps.connections_per_client),
    bufferedBytesMax,
    bufferedBytesPerClientMax: caps.buffered_bytes_per_client ?? Math.ceil(bufferedBytesMax / 8),
  };
}

function resolveOptional(written: string | undefined, file: string): string | null {
  return written === undefined ? null : path.resolve(path.dirname(file), written);
}

function resolveAccessLog(access: string, file: string): string {
  return access === 'stdout' || access === 'off' ? access : path.resolve(path.dirname(file), access);
}
