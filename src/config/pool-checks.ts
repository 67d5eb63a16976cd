/** What must hold within a pool. */
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {type Finding, findRepeated} from '#src/config/checks.ts';
import type {BalanceAlgorithm, HashKeySnapshot, SocketAddress, UpstreamProtocol} from '#src/config/snapshot.ts';

const PROBE_TIMEOUT_MS = 2_000;

interface HealthFacts {
  readonly type: 'http' | 'tcp';
  readonly path?: unknown;
  readonly host?: unknown;
  readonly expect?: unknown;
  readonly interval: number;
  readonly timeout?: number | undefined;
}

interface PoolFacts {
  readonly servers: readonly {readonly address: SocketAddress}[];
  readonly balance: BalanceAlgorithm;
  readonly hash?: unknown;
  readonly protocol: UpstreamProtocol;
  readonly tls?: unknown;
}

interface HashFacts {
  readonly key: HashKeySnapshot['source'];
  readonly name?: string | undefined;
}

/** Milliseconds. */
export function probeTimeoutOf({timeout, interval}: Pick<HealthFacts, 'timeout' | 'interval'>): number {
  return timeout ?? Math.min(PROBE_TIMEOUT_MS, interval);
}

export function checkHealth(health: HealthFacts): readonly Finding[] {
  const misplaced = (['path', 'host', 'expect'] as const).filter((key) => health.type === 'tcp' && health[key] !== undefined);
  const findings = misplaced.map((key): Finding => ({
    path: [key], part: 'key', needs: [], found: `${key} with type: tcp`, allowed: `${key} with type: http`, remedy: 'remove the key: a TCP probe only connects',
  }));
  const timeoutMs = probeTimeoutOf(health);
  if (timeoutMs <= health.interval) return findings;
  return [...findings, {
    path: ['timeout'], needs: [['timeout'], ['interval']], found: `a timeout of ${timeoutMs}ms with an interval of ${health.interval}ms`, allowed: 'a timeout that is not above the interval', remedy: 'lower the timeout, or raise the interval',
  }];
}

export function checkHash({key, name}: HashFacts): readonly Finding[] {
  if (key === 'client' && name !== undefined) {
    return [{path: ['name'], needs: [['key']], found: 'a name for the client address', allowed: '`name` with key: header or key: cookie', remedy: 'remove the key `name`, or change `key`'}];
  }
  if (key !== 'client' && name === undefined) {
    return [{path: [], needs: [['name']], found: `key: ${key} without a name`, allowed: `the name of the ${key}`, remedy: 'add the key `name`'}];
  }
  return [];
}

function checkProtocol({protocol, tls}: PoolFacts): readonly Finding[] {
  if (protocol === 'h2' && tls === undefined) {
    return [{path: ['protocol'], needs: [['tls']], found: 'protocol: h2 without tls', allowed: 'h2 with `tls`, or h2c', remedy: 'add the key `tls`, or write h2c for HTTP/2 in cleartext'}];
  }
  if (protocol === 'h2c' && tls !== undefined) {
    return [{path: ['protocol'], needs: [['tls']], found: 'protocol: h2c with tls', allowed: 'h2c without `tls`, or h2', remedy: 'write h2 for HTTP/2 over TLS, or remove the key `tls`'}];
  }
  return [];
}

export function checkPool(pool: PoolFacts): readonly Finding[] {
  const {servers, balance, hash} = pool;
  const addresses = servers.map(({address}, index) => ({text: formatSocketAddress(address), path: ['servers', index, 'address']}));
  const findings = [...findRepeated(addresses, 'the address of another server of the pool'), ...checkProtocol(pool)];
  if (hash === undefined || balance === 'consistent_hash') return findings;
  return [...findings, {path: ['hash'], part: 'key', needs: [['balance']], found: `hash with balance: ${balance}`, allowed: 'hash with balance: consistent_hash', remedy: 'remove `hash`, or change `balance`'}];
}
