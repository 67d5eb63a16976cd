/**
 * The one decision about everything that Torwart connects to: may this target be dialled for this purpose? Whoever dials asks here, at
 * the moment of the connect: the configuration has been checked, but a check at load time and a connection hours later are two things.
 *
 * Each purpose brings its own scope: a customer's servers and their probes the customer's networks, anything else an allow-list of its
 * own. What no purpose may ever reach is refused whatever the scope says.
 */
import {cidrContains, parseCidrs, parseIp, type Cidr, type IpAddress} from '#src/core/ip.ts';

export interface DialTarget {
  /** IP literal. A name would be resolved after the check, and whoever controls the answer would choose the target. */
  readonly address: string;
  readonly port: number;
}

/** Plain data, so that two scopes can be compared. */
export interface DialScope {
  readonly networks: readonly Cidr[];
  /** Where Torwart itself listens, the admin listener included. */
  readonly ownListeners: readonly DialTarget[];
}

/** In words that end a log line: "not dialled: …". */
export type DialRefusal =
  | 'not an IP address'
  | 'an unspecified, link-local, multicast or reserved address'
  | 'the metadata service of a cloud'
  | 'outside the permitted networks'
  | 'a listener of Torwart itself';

const LOOPBACK = parseCidrs(['127.0.0.0/8', '::1']);
const UNSPECIFIED = parseCidrs(['0.0.0.0', '::']);

/**
 * "This host" (which Linux connects to loopback), link-local (169.254.169.254 is where clouds hand out credentials), multicast and
 * reserved addresses (IANA special-purpose registries, RFC 6890). IPv4-mapped addresses count as the IPv4 address that they are.
 */
const NEVER_DIALLED = parseCidrs(['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4', '::', 'fe80::/10', 'ff00::/8']);

/**
 * The same of clouds at addresses that a customer's network may hold: of Amazon (with the credentials of pods), Google, Oracle, Scaleway over IPv6, and of
 * Alibaba.
 */
const METADATA_SERVICES = parseCidrs(['fd00:ec2::/32', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:42::42', '100.100.100.200']);

export function isMetadataService(ip: IpAddress): boolean {
  return isWithin(METADATA_SERVICES, ip);
}

/** Null where the target may be dialled. */
export function refuseDial(target: DialTarget, scope: DialScope): DialRefusal | null {
  const ip = parseIp(target.address);
  if (ip === null) return 'not an IP address';
  if (isWithin(NEVER_DIALLED, ip)) return 'an unspecified, link-local, multicast or reserved address';
  if (isMetadataService(ip)) return 'the metadata service of a cloud';
  if (!isWithin(scope.networks, ip)) return 'outside the permitted networks';
  return scope.ownListeners.some((listener) => reachesListener(target, listener)) ? 'a listener of Torwart itself' : null;
}

/**
 * Whether connecting to `target` ends at `listener`. A wildcard listener is on every address of the machine: loopback addresses are
 * certain to be among them.
 */
export function reachesListener(target: DialTarget, listener: DialTarget): boolean {
  if (target.port !== listener.port) return false;
  const ip = parseIp(target.address), own = parseIp(listener.address);
  if (ip === null || own === null || ip.family !== own.family) return false;
  return ip.words.every((word, index) => word === own.words[index]) || (isWithin(UNSPECIFIED, own) && isWithin(LOOPBACK, ip));
}

function isWithin(networks: readonly Cidr[], ip: IpAddress): boolean {
  return networks.some((network) => cidrContains(network, ip));
}
