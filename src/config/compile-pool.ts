/** A pool of servers. */
import type {PoolInput} from '#src/config/customer-schema.ts';
import {probeTimeoutOf} from '#src/config/pool-checks.ts';
import type {CertificateSnapshot, HashKeySnapshot, HealthSnapshot, PoolSnapshot, PoolTlsSnapshot} from '#src/config/snapshot.ts';

export interface PoolContext {
  /** For probes that name no host. */
  readonly probeHost: string;
  /** What `tls.ca` and `tls.cert` have been read as; null where they are not there or cannot be used. */
  readonly roots: CertificateSnapshot | null;
  readonly certificate: CertificateSnapshot | null;
}

export function compilePool(name: string, input: PoolInput, context: PoolContext): PoolSnapshot {
  return {
    name,
    protocol: input.protocol,
    tls: compileTls(input, context),
    servers: input.servers.map(({address, weight, backup, drain}) => ({...address, weight, backup, drain})),
    balance: input.balance,
    hashKey: compileHashKey(input),
    health: compileHealth(input, context.probeHost),
    passive: {failures: input.passive.failures, forMs: input.passive.for},
    connectionsMax: input.connections,
  };
}

function compileTls({tls}: PoolInput, {roots, certificate}: PoolContext): PoolTlsSnapshot | null {
  if (tls === undefined) return null;
  return {caPem: roots?.certPem ?? null, serverName: tls.server_name ?? '', certificate, isVerified: tls.insecure === undefined, versionMin: tls.min_version};
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
