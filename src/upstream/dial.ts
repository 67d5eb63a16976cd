/** How a proxy thread connects to the servers of customers. */
import {connect, type OnReadOpts, type Socket} from 'node:net';
import {refuseDial, type DialScope, type DialTarget} from '#src/core/dial-guard.ts';

export interface UpstreamTarget extends DialTarget {
  /** The address to connect from; null leaves it to the system. */
  readonly sourceAddress: string | null;
}

/** Null where the target may not be dialled. */
export function dial(target: UpstreamTarget, scope: DialScope, onread: OnReadOpts): Socket | null {
  if (refuseDial(target, scope) !== null) return null;
  const {address: host, port, sourceAddress} = target;
  return connect({host, port, noDelay: true, onread, ...(sourceAddress === null ? {} : {localAddress: sourceAddress})});
}
