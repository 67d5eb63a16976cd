/** Who sent a request: the peer of the connection, or, behind a trusted proxy, whom that proxy names. */
import {LIMITS} from '#src/core/limits.ts';
import {clientNetwork, formatIp, parseIp, type CidrSet, type IpAddress} from '#src/core/ip.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {FIELD} from '#src/http1/field-names.ts';
import {isToken} from '#src/http1/characters.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';

export type Scheme = 'http' | 'https';

export interface ClientIdentity {
  readonly ip: IpAddress;
  /** Canonical text of the address. */
  readonly address: string;
  /** Keyed hash of what counts as one client: the IPv4 address, the IPv6 /64. */
  readonly keyHigh: number;
  readonly keyLow: number;
  readonly scheme: Scheme;
  /** The fields that say who the client is, up to where the host belongs: see `forwardedLines`. */
  readonly lines: string;
}

export function identifyClient(ip: IpAddress, scheme: Scheme, hash: KeyedHash): ClientIdentity {
  const address = formatIp(ip);
  const [a, b, c, d] = clientNetwork(ip).words;
  hash.hashWords(a, b, c, d);
  // RFC 7239 §6: an IPv6 address is quoted and bracketed.
  const node = ip.family === 6 ? `"[${address}]"` : address;
  const lines = `x-forwarded-for: ${address}\r\nx-real-ip: ${address}\r\nx-forwarded-proto: ${scheme}\r\nforwarded: for=${node};proto=${scheme};host=`;
  return {ip, address, keyHigh: hash.high, keyLow: hash.low, scheme, lines};
}

/**
 * What the upstream is told of the client and of the host that it asked for: the Host field and all forwarded fields but the request's
 * id, which alone differs from one request of a connection to the next.
 */
export function forwardedLines(client: ClientIdentity, authority: string): string {
  const colon = authority.lastIndexOf(':');
  const hasPort = colon > 0 && !authority.endsWith(']');
  const port = hasPort ? authority.slice(colon + 1) : client.scheme === 'https' ? '443' : '80';
  const host = colon > 0 ? `"${authority}"` : authority;
  return `host: ${authority}\r\n${client.lines}${host}\r\nx-forwarded-host: ${authority}\r\nx-forwarded-port: ${port}\r\n`;
}

/**
 * The address that the forwarded-for chain of a trusted peer leads to, read from right to left: each hop is believed as long as it is
 * itself trusted, and the first that is not is the client. What stands further left was written by the client and is worth nothing.
 */
export function findForwardedClient(peer: IpAddress, fields: FieldBlock, trusted: CidrSet): IpAddress {
  const chain = collectValues(fields, FIELD['x-forwarded-for']);
  let client = peer;
  for (let i = chain.length - 1, hops = 0; i >= 0 && hops < LIMITS.forwardedHopsMax; i--, hops++) {
    const hop = parseHop(chain[i] ?? '');
    if (hop === null) return client;
    client = hop;
    if (!trusted.has(hop)) return client;
  }
  return client;
}

/** The scheme that a trusted peer says the client used; the connection's own where it says nothing valid. */
export function findForwardedScheme(fields: FieldBlock, own: Scheme): Scheme {
  const values = collectValues(fields, FIELD['x-forwarded-proto']);
  const last = values.at(-1)?.toLowerCase();
  return last === 'http' || last === 'https' ? last : own;
}

/** The request id of a trusted peer, so that one id follows a request through all hops. Null where there is no valid one. */
export function findForwardedRequestId(fields: FieldBlock): string | null {
  const values = collectValues(fields, FIELD['x-request-id']);
  const id = values.length === 1 ? values[0] ?? '' : '';
  return id.length <= LIMITS.requestIdBytesMax && isToken(id) ? id : null;
}

/** List members of all lines of a field, in their order. */
function collectValues(fields: FieldBlock, number: number): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] === number) values.push(...fields.value(i).split(',').map((value) => value.trim()));
  }
  return values;
}

/** An address, perhaps in brackets, perhaps with a port (some load balancers write it). */
function parseHop(text: string): IpAddress | null {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?$/.exec(text);
  if (bracketed !== null) return parseIp(bracketed[1] ?? '');
  const withPort = /^([0-9.]+):[0-9]{1,5}$/.exec(text);
  return parseIp(withPort?.[1] ?? text);
}
