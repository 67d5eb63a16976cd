/** Which gate stands for which way to prove who one is. */
import type {Upstream} from '#src/upstream/upstream.ts';
import {BasicAuth, type BasicAuthParts} from '#src/proxy/basic-auth.ts';
import {ForwardAuth} from '#src/proxy/forward-auth.ts';
import type {GateBuilder} from '#src/proxy/gate.ts';

export interface GateParts extends BasicAuthParts {
  readonly upstream: Upstream;
  readonly random: () => number;
}

export function createGateBuilder(parts: GateParts): GateBuilder {
  return (customer, auth, pools) => {
    if (auth.type === 'basic') return new BasicAuth(parts, customer, auth);
    const pool = pools.get(auth.pool);
    if (pool === undefined) throw new Error(`the way ${auth.name} names the unknown pool ${auth.pool}`);
    return new ForwardAuth({upstream: parts.upstream, random: parts.random, pool}, auth);
  };
}
