/** What must hold between the parts of a customer's file. */
import {isMetadataService} from '#src/core/dial-guard.ts';
import {cidrContains, parseCidr, parseIp} from '#src/core/ip.ts';
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {checkAuth, type AuthFacts} from '#src/config/auth-schema.ts';
import {type Finding, findRepeated} from '#src/config/checks.ts';
import {checkLoginGuards, type GuardedFacts} from '#src/config/login-schema.ts';
import {type ConfigPath, quote} from '#src/config/problem.ts';
import type {SocketAddress, UpstreamProtocol} from '#src/config/snapshot.ts';

interface CustomerFacts {
  readonly networks: readonly string[];
  readonly source_address?: {readonly ipv4?: string | undefined; readonly ipv6?: string | undefined} | undefined;
  readonly pools: Readonly<Record<string, {readonly protocol: UpstreamProtocol; readonly servers: readonly {readonly address: SocketAddress}[]}>>;
  readonly sites: readonly {readonly hosts: readonly string[]; readonly routes: readonly {readonly pool?: string | undefined; readonly websocket?: unknown; readonly grpc?: boolean | undefined}[]}[];
}

export function checkCustomer(customer: CustomerFacts & AuthFacts & GuardedFacts): readonly Finding[] {
  return [...checkServers(customer), ...checkSourceAddress(customer), ...checkHosts(customer), ...checkPools(customer), ...checkProtocols(customer), ...checkAuth(customer), ...checkLoginGuards(customer)];
}

function checkServers({networks, pools}: CustomerFacts): readonly Finding[] {
  if (networks.length === 0) return [];
  const cidrs = networks.map(parseCidr).filter((cidr) => cidr !== null);
  return Object.entries(pools).flatMap(([name, {servers}]) => servers.flatMap(({address}, index): readonly Finding[] => {
    const ip = parseIp(address.address);
    const place = {path: ['pools', name, 'servers', index, 'address'], needs: [['networks']], found: formatSocketAddress(address)};
    if (ip !== null && isMetadataService(ip)) return [{...place, allowed: 'no address at which a cloud hands out credentials', remedy: 'correct the address'}];
    if (ip !== null && cidrs.some((cidr) => cidrContains(cidr, ip))) return [];
    return [{
      ...place,
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

/** A WebSocket over HTTP/2 is another protocol (RFC 8441), which few applications speak; gRPC is nothing else than HTTP/2. */
function checkProtocols({pools, sites}: CustomerFacts): readonly Finding[] {
  return sites.flatMap(({routes}, siteIndex) => routes.flatMap(({pool, websocket, grpc}, index): readonly Finding[] => {
    const protocol = pool === undefined || !Object.hasOwn(pools, pool) ? undefined : pools[pool]?.protocol;
    if (pool === undefined || protocol === undefined) return [];
    const place = {path: ['sites', siteIndex, 'routes', index], pool, protocol};
    if (websocket !== undefined && protocol !== 'http1') return [describeProtocol({...place, key: 'websocket', allowed: 'protocol: http1'})];
    return grpc === true && protocol === 'http1' ? [describeProtocol({...place, key: 'grpc', allowed: 'protocol: h2 or h2c'})] : [];
  }));
}

interface ProtocolMismatch {
  /** Of the route. */
  readonly path: ConfigPath;
  readonly key: 'websocket' | 'grpc';
  readonly pool: string;
  readonly protocol: UpstreamProtocol;
  readonly allowed: string;
}

function describeProtocol({path, key, pool, protocol, allowed}: ProtocolMismatch): Finding {
  return {
    path: [...path, key], needs: [['pools', pool]],
    part: 'key',
    found: `${key} on a route to the pool ${pool}, which speaks ${protocol}`,
    allowed: `${key} on routes to pools with ${allowed}`,
    remedy: `remove the key, or give the route a pool of its own with ${allowed}`,
  };
}
