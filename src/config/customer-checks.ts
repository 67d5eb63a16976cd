/** What must hold between the parts of a customer's file. */
import {cidrContains, parseCidr, parseIp} from '#src/core/ip.ts';
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {checkAuth, type AuthFacts} from '#src/config/auth-schema.ts';
import {type Finding, findRepeated} from '#src/config/checks.ts';
import {quote} from '#src/config/problem.ts';
import type {SocketAddress, UpstreamProtocol} from '#src/config/snapshot.ts';

interface CustomerFacts {
  readonly networks: readonly string[];
  readonly source_address?: {readonly ipv4?: string | undefined; readonly ipv6?: string | undefined} | undefined;
  readonly pools: Readonly<Record<string, {readonly protocol: UpstreamProtocol; readonly servers: readonly {readonly address: SocketAddress}[]}>>;
  readonly sites: readonly {readonly hosts: readonly string[]; readonly routes: readonly {readonly pool?: string | undefined; readonly websocket?: unknown}[]}[];
}

export function checkCustomer(customer: CustomerFacts & AuthFacts): readonly Finding[] {
  return [...checkServers(customer), ...checkSourceAddress(customer), ...checkHosts(customer), ...checkPools(customer), ...checkWebSocketPools(customer), ...checkAuth(customer)];
}

function checkServers({networks, pools}: CustomerFacts): readonly Finding[] {
  if (networks.length === 0) return [];
  const cidrs = networks.map(parseCidr).filter((cidr) => cidr !== null);
  return Object.entries(pools).flatMap(([name, {servers}]) => servers.flatMap(({address}, index): readonly Finding[] => {
    const ip = parseIp(address.address);
    if (ip !== null && cidrs.some((cidr) => cidrContains(cidr, ip))) return [];
    return [{
      path: ['pools', name, 'servers', index, 'address'], needs: [['networks']],
      found: formatSocketAddress(address),
      allowed: "an address inside the customer's own networks",
      remedy: 'correct the address, or add its network to `networks`',
    }];
  }));
}

/** A server that is connected to from an address of the system's choice would look like no customer's. */
function checkSourceAddress({source_address: source, pools}: CustomerFacts): readonly Finding[] {
  if (source === undefined) return [];
  const addresses = Object.values(pools).flatMap(({servers}) => servers.map(({address}) => address.address));
  const families = [['ipv4', addresses.some((address) => !address.includes(':'))], ['ipv6', addresses.some((address) => address.includes(':'))]] as const;
  return families.filter(([family, isNeeded]) => isNeeded && source[family] === undefined).map(([family]) => ({
    path: ['source_address'], needs: [['source_address', family]],
    found: `no ${family} address, although there are servers of that family`,
    allowed: 'a source address for each family that servers have',
    remedy: `add the key ${family}`,
  }));
}

function checkHosts({sites}: CustomerFacts): readonly Finding[] {
  const hosts = sites.flatMap((site, siteIndex) => site.hosts.map((text, index) => ({text, path: ['sites', siteIndex, 'hosts', index]})));
  return findRepeated(hosts, 'a host that the customer already has');
}

function checkPools({pools, sites}: CustomerFacts): readonly Finding[] {
  const known = Object.keys(pools);
  return sites.flatMap(({routes}, siteIndex) => routes.flatMap(({pool}, index): readonly Finding[] => (pool === undefined || Object.hasOwn(pools, pool) ? [] : [{
    path: ['sites', siteIndex, 'routes', index, 'pool'], needs: [['pools', pool]],
    found: `${quote(pool)}, a pool that does not exist`,
    allowed: known.length === 0 ? 'a pool of this customer (there is none)' : `a pool of this customer: ${known.join(', ')}`,
    remedy: 'correct the name, or add the pool',
  }])));
}

/** A WebSocket over HTTP/2 is another protocol (RFC 8441), which few applications speak. */
function checkWebSocketPools({pools, sites}: CustomerFacts): readonly Finding[] {
  return sites.flatMap(({routes}, siteIndex) => routes.flatMap(({pool, websocket}, index): readonly Finding[] => {
    const protocol = pool === undefined || !Object.hasOwn(pools, pool) ? undefined : pools[pool]?.protocol;
    if (pool === undefined || websocket === undefined || protocol === undefined || protocol === 'http1') return [];
    return [{
      path: ['sites', siteIndex, 'routes', index, 'websocket'], needs: [['pools', pool]],
      part: 'key',
      found: `websocket on a route to the pool ${pool}, which speaks ${protocol}`,
      allowed: 'websocket on routes to pools with protocol: http1',
      remedy: 'remove the key, or give the route a pool of its own with protocol: http1',
    }];
  }));
}
