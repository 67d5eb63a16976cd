/** A pool of servers. */
import type {PoolInput} from '#src/config/customer-schema.ts';
import {probeTimeoutOf} from '#src/config/pool-checks.ts';
import type {HashKeySnapshot, HealthSnapshot, PoolSnapshot} from '#src/config/snapshot.ts';

/** `probeHost` is for probes that name no host. */
export function compilePool(name: string, input: PoolInput, probeHost: string): PoolSnapshot {
  return {
    name,
    tls: null,
    servers: input.servers.map(({address, weight, backup, drain}) => ({...address, weight, backup, drain})),
    balance: input.balance,
    hashKey: compileHashKey(input),
    health: compileHealth(input, probeHost),
    passive: {failures: input.passive.failures, forMs: input.passive.for},
    connectionsMax: input.connections,
  };
}

function compileHashKey({hash}: PoolInput): HashKeySnapshot {
  if (hash === undefined) return {source: 'client', name: ''};
  const name = hash.name ?? '';
  return {source: hash.key, name: hash.key === 'header' ? name.toLowerCase() : name};
}

function compileHealth({health}: PoolInput, probeHost: string): HealthSnapshot | null {
  if (health === undefined) return null;
  const {interval: intervalMs, rise, fall} = health;
  const timing = {intervalMs, timeoutMs: probeTimeoutOf(health), rise, fall};
  if (health.type === 'tcp') return {type: 'tcp', path: '', host: '', expect: [], ...timing};
  return {type: 'http', path: health.path ?? '/', host: health.host ?? probeHost, expect: health.expect ?? [[200, 399]], ...timing};
}
