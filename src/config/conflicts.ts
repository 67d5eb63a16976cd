/** What two customers cannot both have: a name, a host, a network. Near linear in the number of customers. */
import {type Cidr, cidrIncludes, cidrsOverlap, parseCidr, parseCidrs} from '#src/core/ip.ts';
import {type Complaint, type ConfigPath, quote} from '#src/config/problem.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';

/** What a customer has for itself alone. */
export type Claims = Pick<CustomerSnapshot, 'name' | 'networks' | 'sourceAddress'> & {readonly sites: readonly Pick<CustomerSnapshot['sites'][number], 'hosts'>[]};

export interface Claimant {
  readonly file: string;
  readonly customer: Claims;
  /** What `listClaims(customer)` gives. */
  readonly claimed: ClaimLists;
}

/** A reload looks at the claims of everybody: they lie side by side, and not spread over the sites. */
export interface ClaimLists {
  readonly networks: readonly ClaimedNetwork[];
  /** Of all sites, wildcards included. */
  readonly hosts: readonly string[];
  /** Those of the hosts that begin with `*.`. */
  readonly wildcards: readonly string[];
}

/** A source address counts as a network of one address: firewalls must not take one customer for another. */
export interface ClaimedNetwork {
  /** Place in the customer's document. */
  readonly path: ConfigPath;
  readonly text: string;
  readonly cidr: Cidr;
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
  return [...findSameNames(claimants), ...findSameHosts(claimants), ...findOverlaps(claimants)];
}

/** With more changes, comparing each with everybody costs more than it saves. */
export const CHANGES_COMPARED_MAX = 32;

/**
 * Everybody who claims what one of the changed ones did not claim before, in their order. Where nobody was in conflict before these
 * changes, `findConflicts` finds the same in these as in all.
 */
export function findContested<C extends Claimant>(claimants: readonly C[], changes: readonly (readonly [old: C | null, fresh: C | null])[]): readonly C[] {
  const names = new Set<string>(), hosts = new Set<string>(), cidrs: Cidr[] = [];
  for (const [old, fresh] of changes) {
    if (fresh === null) continue;
    if (fresh.customer.name !== old?.customer.name) names.add(fresh.customer.name);
    const formerHosts = new Set(old?.claimed.hosts), formerNetworks = new Set(old?.claimed.networks.map(({text}) => text));
    for (const host of fresh.claimed.hosts) if (!formerHosts.has(host)) hosts.add(host);
    for (const {text, cidr} of fresh.claimed.networks) if (!formerNetworks.has(text)) cidrs.push(cidr);
  }
  const hasHost = ({claimed}: C): boolean => claimed.hosts.some((host) => hosts.has(host));
  const hasNetwork = ({claimed}: C): boolean => claimed.networks.some(({cidr}) => cidrs.some((other) => cidrsOverlap(cidr, other)));
  // Few reloads change anything of this, and fewer all of it.
  return claimants.filter((claimant) => (names.size > 0 && names.has(claimant.customer.name))
    || (hosts.size > 0 && hasHost(claimant)) || (cidrs.length > 0 && hasNetwork(claimant)));
}

function findSameNames<C extends Claimant>(claimants: readonly C[]): readonly Conflict<C>[] {
  const first = new Map<string, C>();
  const conflicts: Conflict<C>[] = [];
  for (const claimant of claimants) {
    const text = claimant.customer.name;
    const other = first.get(text);
    if (other === undefined) first.set(text, claimant);
    else conflicts.push({kind: 'customer', claims: [{claimant: other, path: ['customer'], text}, {claimant, path: ['customer'], text}]});
  }
  return conflicts;
}

/** Places are looked up only for what is in conflict: a reload looks at every host of the machine, and nearly none of them is. */
function findSameHosts<C extends Claimant>(claimants: readonly C[]): readonly Conflict<C>[] {
  const first = new Map<string, C>();
  const conflicts: Conflict<C>[] = [];
  for (const claimant of claimants) {
    for (const host of claimant.claimed.hosts) {
      const other = first.get(host);
      if (other === undefined) first.set(host, claimant);
      else if (other !== claimant) conflicts.push({kind: 'host', claims: [claimOfHost(other, host), claimOfHost(claimant, host)]});
    }
  }
  return conflicts;
}

/** A customer has each host once. */
function claimOfHost<C extends Claimant>(claimant: C, host: string): Claim<C> {
  const {sites} = claimant.customer;
  const site = sites.findIndex(({hosts}) => hosts.includes(host));
  return {claimant, path: ['sites', site, 'hosts', sites[site]?.hosts.indexOf(host) ?? 0], text: host};
}

interface NetworkClaim<C extends Claimant> extends Claim<C>, ClaimedNetwork {}

/**
 * Two networks overlap only if one includes the other. Sorted by first address and then by size, an including network stands before
 * what it includes, so one pass with a stack of the networks that are still open finds every customer that overlaps with another.
 */
function findOverlaps<C extends Claimant>(claimants: readonly C[]): readonly Conflict<C>[] {
  const claims: NetworkClaim<C>[] = [];
  for (const claimant of claimants) {
    for (const {path, text, cidr} of claimant.claimed.networks) claims.push({claimant, path, text, cidr});
  }
  claims.sort((a, b) => compareCidrs(a.cidr, b.cidr));
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

export function listClaims(claims: Claims): ClaimLists {
  const hosts = claims.sites.flatMap((site) => site.hosts);
  return {networks: listNetworks(claims), hosts, wildcards: hosts.filter((host) => host.startsWith('*.'))};
}

function listNetworks({networks, sourceAddress}: Claims): readonly ClaimedNetwork[] {
  const claimed: ClaimedNetwork[] = [];
  const claim = (text: string | null, path: ConfigPath): void => {
    const cidr = text === null ? null : parseCidr(text);
    if (text !== null && cidr !== null) claimed.push({path, text, cidr});
  };
  for (const [index, text] of networks.entries()) claim(text, ['networks', index]);
  claim(sourceAddress.ipv4, ['source_address', 'ipv4']);
  claim(sourceAddress.ipv6, ['source_address', 'ipv6']);
  return claimed;
}

function compareCidrs(a: Cidr, b: Cidr): number {
  const [a0, a1, a2, a3] = a.base.words, [b0, b1, b2, b3] = b.base.words;
  return a.base.family - b.base.family || a0 - b0 || a1 - b1 || a2 - b2 || a3 - b3 || a.prefixLength - b.prefixLength;
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
  return listNetworks(held).some(({cidr}) => contested.every((candidate) => cidrsOverlap(candidate, cidr)));
}

/** Hosts that lie under a wildcard of another customer: permitted, because the exact name wins, but worth knowing. */
export function findShadowedHosts<C extends Claimant>(claimants: readonly C[]): readonly {readonly claim: Claim<C>; readonly wildcard: Claim<C>}[] {
  const wildcards = new Map<string, C>();
  for (const claimant of claimants) {
    for (const host of claimant.claimed.wildcards) wildcards.set(host.slice(1), claimant);
  }
  if (wildcards.size === 0) return [];
  return claimants.flatMap((claimant) => claimant.claimed.hosts.flatMap((host) => {
    const suffix = findSuffix(host, wildcards);
    const owner = suffix === undefined ? undefined : wildcards.get(suffix);
    return owner === undefined || owner === claimant ? [] : [{claim: claimOfHost(claimant, host), wildcard: claimOfHost(owner, `*${suffix}`)}];
  }));
}

/** The longest suffix of the host, beginning with a dot, that is among these. */
function findSuffix(host: string, suffixes: ReadonlyMap<string, unknown>): string | undefined {
  for (let dot = host.indexOf('.', host.startsWith('*.') ? 2 : 0); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const suffix = host.slice(dot);
    if (suffixes.has(suffix)) return suffix;
  }
  return undefined;
}
