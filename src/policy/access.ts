/** Who may use a route, by network. */
import {CidrSet, parseCidrs, type IpAddress} from '#src/core/ip.ts';

export interface AccessRule {
  readonly allow: CidrSet;
  readonly deny: CidrSet;
}

/** @param cidrs texts that the configuration has checked */
export function compileNetworks(cidrs: readonly string[]): CidrSet {
  return new CidrSet(parseCidrs(cidrs));
}

/** Null where every client may. */
export function compileAccess(allow: readonly string[], deny: readonly string[]): AccessRule | null {
  return allow.length === 0 && deny.length === 0 ? null : {allow: compileNetworks(allow), deny: compileNetworks(deny)};
}

export function isAllowed(rule: AccessRule | null, client: IpAddress): boolean {
  if (rule === null) return true;
  return !rule.deny.has(client) && (rule.allow.isEmpty || rule.allow.has(client));
}
