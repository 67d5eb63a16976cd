/** Whom no ban reaches, whatever its scope: a ban by mistake must not take monitoring, the office or every client of a proxy off. */
import {parseCidrs, type Cidr} from '#src/core/ip.ts';
import type {NodeSnapshot} from '#src/config/snapshot.ts';

export interface NeverBanned {
  readonly network: Cidr;
  /** Continues "which is". */
  readonly because: string;
}

/** What the machine's own health checks come from. The rest of 127.0.0.0/8 is nobody's by default, so that bans can be tried out. */
const OWN_ADDRESSES = parseCidrs(['127.0.0.1', '::1']);

export function listNeverBanned({bans, trustedProxies}: Pick<NodeSnapshot, 'bans' | 'trustedProxies'>): readonly NeverBanned[] {
  return [
    ...OWN_ADDRESSES.map((network) => ({network, because: 'this machine itself'})),
    ...parseCidrs(trustedProxies).map((network) => ({network, because: 'in trusted_proxies'})),
    ...parseCidrs(bans.allow).map((network) => ({network, because: 'in bans.allow'})),
  ];
}
