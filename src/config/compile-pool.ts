/** A pool of servers. */
import {type Cidr, cidrContains, parseIp} from '#src/core/ip.ts';
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {refuseDuplicates} from '#src/config/compile-shared.ts';
import type {PoolInput} from '#src/config/customer-schema.ts';
import type {Report} from '#src/config/report.ts';
import type {HashKeySnapshot, HealthSnapshot, PoolSnapshot} from '#src/config/snapshot.ts';

const PROBE_TIMEOUT_MS = 2_000;

export interface PoolContext {
  readonly networks: readonly Cidr[];
  /** Host field of probes that name none. */
  readonly probeHost: string;
  readonly report: Report;
}

export function compilePool(name: string, input: PoolInput, context: PoolContext): PoolSnapshot {
  const servers = input.servers.map(({address, weight, backup, drain}) => ({...address, weight, backup, drain}));
  const {report} = context;
  refuseDuplicates(servers.map(formatSocketAddress), (index) => ['pools', name, 'servers', index, 'address'], 'the address of another server of the pool', report);
  for (const [index, server] of servers.entries()) {
    const ip = parseIp(server.address);
    if (ip !== null && context.networks.some((network) => cidrContains(network, ip))) continue;
    report.problem(['pools', name, 'servers', index, 'address'], {
      found: formatSocketAddress(server),
      allowed: "an address inside the customer's own networks",
      remedy: 'correct the address, or add its network to `networks`',
    });
  }
  return {
    name,
    servers,
    balance: input.balance,
    hashKey: compileHashKey(name, input, report),
    health: compileHealth(name, input, context),
    passive: {failures: input.passive.failures, forMs: input.passive.for},
    connectionsMax: input.connections,
  };
}

function compileHashKey(pool: string, {balance, hash}: PoolInput, report: Report): HashKeySnapshot {
  if (hash === undefined) return {source: 'client', name: ''};
  const place = ['pools', pool, 'hash'];
  if (balance !== 'consistent_hash') {
    report.problem(place, {found: `hash with balance: ${balance}`, allowed: 'hash with balance: consistent_hash', remedy: 'remove `hash`, or change `balance`'}, 'key');
  }
  if (hash.key === 'client' && hash.name !== undefined) {
    report.problem([...place, 'name'], {found: 'a name for the client address', allowed: '`name` with key: header or key: cookie', remedy: 'remove the key `name`, or change `key`'});
  }
  if (hash.key !== 'client' && hash.name === undefined) {
    report.problem(place, {found: `key: ${hash.key} without a name`, allowed: `the name of the ${hash.key}`, remedy: 'add the key `name`'});
  }
  const name = hash.name ?? '';
  return {source: hash.key, name: hash.key === 'header' ? name.toLowerCase() : name};
}

function compileHealth(pool: string, {health}: PoolInput, {report, probeHost}: PoolContext): HealthSnapshot | null {
  if (health === undefined) return null;
  const isHttp = health.type === 'http';
  for (const key of ['path', 'host', 'expect'] as const) {
    if (isHttp || health[key] === undefined) continue;
    report.problem(['pools', pool, 'health', key], {found: `${key} with type: tcp`, allowed: `${key} with type: http`, remedy: 'remove the key: a TCP probe only connects'}, 'key');
  }
  const timeoutMs = health.timeout ?? Math.min(PROBE_TIMEOUT_MS, health.interval);
  if (timeoutMs > health.interval) {
    report.problem(['pools', pool, 'health', 'timeout'], {
      found: `a timeout of ${timeoutMs}ms with an interval of ${health.interval}ms`, allowed: 'a timeout that is not above the interval', remedy: 'lower the timeout, or raise the interval',
    });
  }
  return {
    type: health.type,
    path: isHttp ? health.path ?? '/' : '',
    host: isHttp ? health.host ?? probeHost : '',
    expect: isHttp ? health.expect ?? [[200, 399]] : [],
    intervalMs: health.interval,
    timeoutMs,
    rise: health.rise,
    fall: health.fall,
  };
}
