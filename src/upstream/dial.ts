/**
 * The guard that everything which dials for a customer passes. The configuration has been checked, but a check at load time and a
 * connection hours later are two things: the address is compared with the customer's networks again at every connect.
 */
import {connect, type OnReadOpts, type Socket} from 'node:net';
import {parseIp, type CidrSet} from '#src/core/ip.ts';

export interface DialTarget {
  /** IP literal. A name would be resolved here, and whoever controls the answer would choose the target. */
  readonly address: string;
  readonly port: number;
  readonly networks: CidrSet;
}

/** Null where the target is not inside the customer's networks. */
export function dial(target: DialTarget, onread: OnReadOpts): Socket | null {
  const ip = parseIp(target.address);
  if (ip === null || !target.networks.has(ip)) return null;
  return connect({host: target.address, port: target.port, noDelay: true, onread});
}
