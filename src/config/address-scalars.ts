/** The values that are network addresses. All come out in canonical text. */
import {type Cidr, formatCidr, formatIp, isInternalCidr, parseCidr, parseIp} from '#src/core/ip.ts';
import {readText, scalar} from '#src/config/scalars.ts';
import type {SocketAddress} from '#src/config/snapshot.ts';

const PORT_MAX = 65_535;

/** `192.0.2.1:80` or `[2001:db8::1]:80`; null for anything else, names included. */
function parseSocketAddress(text: string): SocketAddress | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null) return null;
  const ip = parseIp(match[1] ?? match[2] ?? '');
  const port = Number(match[3]);
  if (ip === null || port > PORT_MAX) return null;
  // An IPv4-mapped address in brackets would be a second spelling of the same server.
  if ((ip.family === 6) !== (match[1] !== undefined)) return null;
  return {address: formatIp(ip), port};
}

export function formatSocketAddress({address, port}: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

const socketAddressJson = {type: 'string', pattern: '^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+):\\d{1,5}$'};

export const listenAddress = scalar({
  type: 'address',
  allowed: 'an IP address of this machine and a port, in quotes',
  remedy: 'write for example "0.0.0.0:8443" or "[::]:8443"',
  json: socketAddressJson,
  read: readText(parseSocketAddress),
});

export const adminAddress = scalar({
  type: 'address',
  allowed: 'an internal IP address (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 or loopback) and a port',
  remedy: 'write for example "127.0.0.1:9180": metrics and the operator page are never served to the public',
  json: socketAddressJson,
  read: readText((text) => {
    const socket = parseSocketAddress(text);
    const cidr = socket === null ? null : parseCidr(socket.address);
    return cidr !== null && isInternalCidr(cidr) ? socket : null;
  }),
});

/** What the node itself connects to, for its own purposes. */
export const storeAddress = scalar({
  type: 'address',
  allowed: 'an internal IP address (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 or loopback) and a port from 1 to 65535; host names are not resolved',
  remedy: 'write for example "10.0.9.10:6379"',
  json: socketAddressJson,
  read: readText((text) => {
    const socket = parseSocketAddress(text);
    const cidr = socket === null ? null : parseCidr(socket.address);
    return socket !== null && socket.port > 0 && cidr !== null && isInternalCidr(cidr) ? socket : null;
  }),
});

/** Where a customer's servers are connected to from. */
export function sourceAddress(family: 4 | 6) {
  return scalar({
    type: 'IP address',
    allowed: `an internal IPv${family} address of this machine`,
    remedy: family === 4 ? 'write for example 10.20.1.2' : 'write for example "fd00:20:1::2"',
    json: {type: 'string', pattern: family === 4 ? '^[0-9.]+$' : '^[0-9a-fA-F:.]+$'},
    read: readText((text) => {
      // An IPv4-mapped address would be a second spelling.
      const isWritten = text.includes(':') === (family === 6) && !text.includes('/');
      const cidr = isWritten ? parseCidr(text) : null;
      return cidr?.base.family === family && isInternalCidr(cidr) ? formatIp(cidr.base) : null;
    }),
  });
}

/** Names are resolved by nobody on the data path: what is connected to is what was checked. */
export const serverAddress = scalar({
  type: 'address',
  allowed: 'an IP address and a port from 1 to 65535; host names are not resolved',
  remedy: (value) => (typeof value === 'string' && /[g-z]/i.test(value)
    ? 'write the IP address of the server in place of its name'
    : 'write for example "10.20.1.11:3000" or "[fd00:20:1::11]:3000"'),
  json: socketAddressJson,
  read: readText((text) => {
    const socket = parseSocketAddress(text);
    return socket !== null && socket.port > 0 ? socket : null;
  }),
});

function cidrRemedy(value: unknown, example = '203.0.113.0/24, 203.0.113.7 or "2001:db8::/32"'): string {
  const match = typeof value === 'string' ? /^(.+)\/(\d{1,3})$/.exec(value) : null;
  if (match !== null && parseIp(match[1] ?? '') !== null) return 'clear the bits behind the prefix length, or correct the length';
  return `write for example ${example}`;
}

const cidrJson = {type: 'string', pattern: '^[0-9a-fA-F:.]+(/\\d{1,3})?$'};

/** A network or a single address. */
export const network = scalar({
  type: 'network',
  allowed: 'a network in CIDR notation without host bits, or a single IP address',
  remedy: (value) => cidrRemedy(value),
  json: cidrJson,
  read: readText((text) => formatted(parseCidr(text))),
});

/** Believing everybody's X-Forwarded-For is the same as letting every client choose its address. */
export const trustedNetwork = scalar({
  type: 'network',
  allowed: 'a network in CIDR notation without host bits that is not the whole internet, or a single IP address',
  remedy: (value) => (typeof value === 'string' && parseCidr(value) !== null ? 'name the proxies that stand in front of this node' : cidrRemedy(value)),
  json: cidrJson,
  read: readText((text) => {
    const cidr = parseCidr(text);
    return cidr !== null && cidr.prefixLength > 0 ? formatCidr(cidr) : null;
  }),
});

/** Link-local networks are not internal: 169.254.169.254 is where clouds hand out credentials. */
export const internalNetwork = scalar({
  type: 'network',
  allowed: 'a network inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7, 127.0.0.0/8 or ::1, without host bits',
  remedy: (value) => (typeof value === 'string' && parseCidr(value) !== null
    ? "use the customer's internal network: public and link-local addresses are never connected to"
    : cidrRemedy(value, '10.20.1.0/24 or "fd00:20:1::/64"')),
  json: cidrJson,
  read: readText((text) => {
    const cidr = parseCidr(text);
    return cidr !== null && isInternalCidr(cidr) ? formatCidr(cidr) : null;
  }),
});

function formatted(cidr: Cidr | null): string | null {
  return cidr === null ? null : formatCidr(cidr);
}
