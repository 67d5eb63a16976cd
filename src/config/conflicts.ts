/** What two customers cannot both have: a name, a host, a network. Near linear in the number of customers. */
import {type Cidr, cidrIncludes, cidrsOverlap, parseCidr, parseCidrs} from '#src/core/ip.ts';
import {type Complaint, type ConfigPath, quote} from '#src/config/problem.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';

export interface Claimant {
  readonly file: string;
  readonly customer: CustomerSnapshot;
}

export interface Claim<C extends Claimant> {
  readonly claimant: C;
  /** Place in the claimant's document. */
  readonly path: ConfigPath;
  readonly text: string;
}

export interface Conflict<C extends Claimant> {
  readonly kind: 'customer' | 'host' | 'network';
  readonly claims: readonly [Claim<C>, Claim<C>];
}

export function findConflicts<C extends Claimant>(claimants: readonly C[]): readonly Conflict<C>[] {
  const names = claimants.map((claimant): Claim<C> => ({claimant, path: ['customer'], text: claimant.customer.name}));
  const hosts = claimants.flatMap((claimant) => claimant.customer.sites.flatMap((site, siteIndex) =>
    site.hosts.map((text, index): Claim<C> => ({claimant, path: ['sites', siteIndex, 'hosts', index], text}))));
  return [...findEqual('customer', names), ...findEqual('host', hosts), ...findOverlaps(claimants)];
}

function findEqual<C extends Claimant>(kind: 'customer' | 'host', claims: readonly Claim<C>[]): readonly Conflict<C>[] {
  const first = new Map<string, Claim<C>>();
  const conflicts: Conflict<C>[] = [];
  for (const claim of claims) {
    const other = first.get(claim.text);
    if (other === undefined) first.set(claim.text, claim);
    else if (other.claimant !== claim.claimant) conflicts.push({kind, claims: [other, claim]});
  }
  return conflicts;
}

interface NetworkClaim<C extends Claimant> extends Claim<C> {
  readonly cidr: Cidr;
}

/**
 * Two networks overlap only if one includes the other. Sorted by first address and then by size, an including network stands before
 * what it includes, so one pass with a stack of the networks that are still open finds every customer that overlaps with another.
 */
function findOverlaps<C extends Claimant>(claimants: readonly C[]): readonly Conflict<C>[] {
  const claims = claimants.flatMap((claimant) => networksClaimedBy(claimant.customer).map((network): NetworkClaim<C> => ({claimant, ...network}))).sort((a, b) => compareCidrs(a.cidr, b.cidr));
  const conflicts: Conflict<C>[] = [];
  const open: NetworkClaim<C>[] = [];
  for (const claim of claims) {
    while (open.length > 0 && !cidrIncludes((open.at(-1) as NetworkClaim<C>).cidr, claim.cidr)) open.pop();
    const other = open.findLast((candidate) => candidate.claimant !== claim.claimant);
    if (other !== undefined) conflicts.push({kind: 'network', claims: [other, claim]});
    open.push(claim);
  }
  return conflicts;
}

/** A source address counts as a network of one address: firewalls must not take one customer for another. */
function networksClaimedBy({networks, sourceAddress}: CustomerSnapshot): readonly {readonly path: ConfigPath; readonly text: string; readonly cidr: Cidr}[] {
  const places = [
    ...networks.map((text, index) => ({path: ['networks', index], text})),
    ...(['ipv4', 'ipv6'] as const).map((family) => ({path: ['source_address', family], text: sourceAddress[family]})),
  ];
  return places.flatMap(({path, text}) => {
    const cidr = text === null ? null : parseCidr(text);
    return text === null || cidr === null ? [] : [{path, text, cidr}];
  });
}

function compareCidrs(a: Cidr, b: Cidr): number {
  if (a.base.family !== b.base.family) return a.base.family - b.base.family;
  for (const [index, word] of a.base.words.entries()) {
    const difference = word - (b.base.words[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.prefixLength - b.prefixLength;
}

const ALLOWED = {
  customer: 'one file for each customer',
  host: 'a host or wildcard that no other customer has',
  network: "networks and source addresses that overlap with no other customer's",
} as const;

/** The complaint about one side of a conflict. */
export function describeConflict<C extends Claimant>({kind, claims}: Conflict<C>, side: 0 | 1): Complaint {
  const own = claims[side], other = claims[side === 0 ? 1 : 0];
  return {
    found: `${quote(own.text)}, ${kind === 'network' ? `which overlaps with ${other.text}` : 'which is also'} in ${other.claimant.file}`,
    allowed: ALLOWED[kind],
    remedy: 'change or remove one of the two',
  };
}

/** Whether the customer had, in `held`, what the conflict is about. */
export function holds<C extends Claimant>({kind, claims}: Conflict<C>, held: CustomerSnapshot): boolean {
  const [{text}, {text: otherText}] = claims;
  if (kind === 'customer') return held.name === text;
  if (kind === 'host') return held.sites.some((site) => site.hosts.includes(text));
  const contested = parseCidrs([text, otherText]);
  return networksClaimedBy(held).some(({cidr}) => contested.every((candidate) => cidrsOverlap(candidate, cidr)));
}

/** Hosts that lie under a wildcard of another customer: permitted, because the exact name wins, but worth knowing. */
export function findShadowedHosts<C extends Claimant>(claimants: readonly C[]): readonly {readonly claim: Claim<C>; readonly wildcard: Claim<C>}[] {
  const hosts = claimants.flatMap((claimant) => claimant.customer.sites.flatMap((site, siteIndex) =>
    site.hosts.map((text, index): Claim<C> => ({claimant, path: ['sites', siteIndex, 'hosts', index], text}))));
  const wildcards = new Map(hosts.filter(({text}) => text.startsWith('*.')).map((claim) => [claim.text.slice(1), claim]));
  return hosts.flatMap((claim) => {
    const wildcard = wildcards.size === 0 ? undefined : findWildcardAbove(claim.text, wildcards);
    return wildcard === undefined || wildcard.claimant === claim.claimant ? [] : [{claim, wildcard}];
  });
}

function findWildcardAbove<T>(host: string, wildcards: ReadonlyMap<string, T>): T | undefined {
  for (let dot = host.indexOf('.', host.startsWith('*.') ? 2 : 0); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const wildcard = wildcards.get(host.slice(dot));
    if (wildcard !== undefined) return wildcard;
  }
  return undefined;
}
