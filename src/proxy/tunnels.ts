/** The tunnels of a proxy thread: how many there may be, and which of them a reload leaves standing. */
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {isAllowed} from '#src/policy/access.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {stripPathParameters} from '#src/policy/path-table.ts';
import type {ClientCounts} from '#src/shared/client-counts.ts';
import {CUSTOMER} from '#src/shared/counters.ts';
import {mayKeepSlashes} from '#src/proxy/encoded-slashes.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import {findBan} from '#src/proxy/lasting-requests.ts';
import type {Customer, Tables} from '#src/proxy/tables.ts';
import type {Tunnel} from '#src/proxy/tunnel.ts';

/** What tunnels of a customer are counted under, in the table that all threads share. */
export interface TunnelCaps {
  readonly keyHigh: number;
  readonly keyLow: number;
  readonly max: number;
  readonly perClientMax: number;
}

export function compileTunnelCaps({name, caps}: CustomerSnapshot, hash: KeyedHash): TunnelCaps {
  hash.hashText(`${name}\ntunnels`);
  return {keyHigh: hash.high, keyLow: hash.low, max: caps.websocketsMax, perClientMax: caps.websocketsPerClientMax};
}

/** What a tunnel is counted under: given back with exactly these keys, whatever a reload changes meanwhile. */
export interface TunnelPlace {
  readonly caps: TunnelCaps;
  readonly client: ClientIdentity;
}

export class Tunnels {
  readonly #counts: ClientCounts;
  readonly #byCustomer = new Map<string, Set<Tunnel>>();

  /** @param counts with two entries for each tunnel: its customer's, and its client's */
  constructor(counts: ClientCounts) {
    this.#counts = counts;
  }

  /** Counts a tunnel over all threads, or says which cap refuses it. */
  takePlace({caps, client}: TunnelPlace): FaultCode | null {
    if (!this.#counts.tryAdd(caps.keyHigh, caps.keyLow, caps.max)) return 'websockets_total';
    // Both halves of a key are secret hashes, so their combination is as good a key as any.
    if (this.#counts.tryAdd(caps.keyHigh ^ client.keyHigh, caps.keyLow ^ client.keyLow, caps.perClientMax)) return null;
    this.#counts.remove(caps.keyHigh, caps.keyLow);
    return 'websockets_per_client';
  }

  freePlace({caps, client}: TunnelPlace): void {
    this.#counts.remove(caps.keyHigh ^ client.keyHigh, caps.keyLow ^ client.keyLow);
    this.#counts.remove(caps.keyHigh, caps.keyLow);
  }

  add(tunnel: Tunnel): void {
    const {counters, name} = customerOf(tunnel);
    const known = this.#byCustomer.get(name);
    if (known === undefined) this.#byCustomer.set(name, new Set([tunnel]));
    else known.add(tunnel);
    counters[CUSTOMER.tunnelsOpened] = (counters[CUSTOMER.tunnelsOpened] as number) + 1;
  }

  delete(tunnel: Tunnel): void {
    const {counters, name} = customerOf(tunnel);
    const known = this.#byCustomer.get(name);
    known?.delete(tunnel);
    if (known?.size === 0) this.#byCustomer.delete(name);
    counters[CUSTOMER.tunnelsClosed] = (counters[CUSTOMER.tunnelsClosed] as number) + 1;
  }

  /** Why a tunnel must not begin: what happened while its application took its time to answer ended open tunnels only. */
  findObjection(tunnel: Tunnel, {bans, tables}: Pick<Gateway, 'bans' | 'tables'>): FaultCode | null {
    return findBan(tunnel, bans) ?? (stands(tunnel, customerOf(tunnel).name, tables) ? null : 'route_withdrawn');
  }

  /** Ends those tunnels of a customer whose handshake its configuration in force would no longer lead to the same server. */
  review(customer: string, tables: Tables): void {
    for (const tunnel of this.#byCustomer.get(customer) ?? []) {
      if (!stands(tunnel, customer, tables)) tunnel.withdraw();
    }
  }
}

function customerOf({facts}: Tunnel): Customer {
  if (facts.site === null) throw new Error('a tunnel belongs to a site');
  return facts.site.customer;
}

function stands({endpoint: {address, port}, facts}: Tunnel, customer: string, tables: Tables): boolean {
  const site = tables.hosts.find(facts.host);
  if (site === undefined || site.customer.name !== customer || facts.client === null) return false;
  const [path = ''] = facts.normalTarget.split('?', 1);
  const match = site.paths.find(stripPathParameters(path), facts.method);
  if (!match.found || match.value.websocket === null || !mayKeepSlashes(site, match.value, path, facts.method) || !isAllowed(match.value.access, facts.client.ip)) return false;
  return match.value.pool?.endpoints.some((endpoint) => endpoint.address === address && endpoint.port === port) ?? false;
}
