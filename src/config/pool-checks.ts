/** What must hold within a pool. */
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {type Finding, findRepeated} from '#src/config/checks.ts';
import type {BalanceAlgorithm, HashKeySnapshot, SocketAddress} from '#src/config/snapshot.ts';

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

export function checkPool({servers, balance, hash}: PoolFacts): readonly Finding[] {
  const addresses = servers.map(({address}, index) => ({text: formatSocketAddress(address), path: ['servers', index, 'address']}));
  const repeated = findRepeated(addresses, 'the address of another server of the pool');
  if (hash === undefined || balance === 'consistent_hash') return repeated;
  return [...repeated, {path: ['hash'], part: 'key', needs: [['balance']], found: `hash with balance: ${balance}`, allowed: 'hash with balance: consistent_hash', remedy: 'remove `hash`, or change `balance`'}];
}
