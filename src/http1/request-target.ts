/** Request targets and authorities (RFC 9110 §4.2, §7.2; RFC 9112 §3.2): which host and path a request means. */
import type {FaultCode} from '#src/core/faults.ts';
import {parseIp} from '#src/core/ip.ts';
import {LIMITS} from '#src/core/limits.ts';

/** Letters, digits, `-`, `_`, `.`, and a port without leading zeros. Anything else in a Host is an attack or a mistake. */
const AUTHORITY = /^([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)\.?(?::([1-9][0-9]{0,4}))?$/i;
const AUTHORITY_IPV6 = /^(\[[0-9a-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?$/i;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/;

export interface Authority {
  /** Lower case, without port and without the root dot. */
  readonly host: string;
  /** As it is sent on: host and, where given, port. */
  readonly text: string;
}

/** Null where the text is not a host with an optional port. Userinfo is never part of it. */
export function parseAuthority(text: string): Authority | null {
  if (text.length > LIMITS.hostBytesMax) return null;
  const match = AUTHORITY.exec(text) ?? AUTHORITY_IPV6.exec(text);
  // Lower case comes last: it would make a `k` of the Kelvin sign.
  const host = match?.[1]?.toLowerCase();
  if (match === null || host === undefined || host.includes('..')) return null;
  if (host.startsWith('[') && (!host.includes(':') || parseIp(host.slice(1, -1)) === null)) return null;
  const port = match[2];
  if (port === undefined) return {host, text: host};
  return Number(port) > 65_535 ? null : {host, text: `${host}:${port}`};
}

export interface TargetInput {
  readonly method: string;
  readonly target: string;
  /** Value of the Host field. */
  readonly host: string;
}

/**
 * The origin form of a target. An absolute form must name the scheme of the listener and the authority of the Host field
 * (RFC 9112 §3.2.2 lets the target win over Host; two servers that disagree about that are two victims, so it is refused).
 */
export function toOriginForm(input: TargetInput, scheme: 'http' | 'https'): string | {readonly fault: FaultCode} {
  const {target} = input;
  if (target.charCodeAt(0) === 0x2f) return target;
  const match = ABSOLUTE.exec(target);
  if (match === null) return {fault: 'target_invalid'};
  const [, givenScheme = '', givenAuthority = '', rest = ''] = match;
  if (givenScheme.toLowerCase() !== scheme) return {fault: 'target_invalid'};
  const authority = parseAuthority(givenAuthority);
  if (authority === null || authority.text !== parseAuthority(input.host)?.text) return {fault: 'host_invalid'};
  if (rest.startsWith('/')) return rest;
  return `/${rest}`;
}
