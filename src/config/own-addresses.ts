/** The addresses that Torwart itself listens on: a server with one of them would be a loop, or a way into the admin listener. */
import {reachesListener} from '#src/core/dial-guard.ts';
import type {CustomerSnapshot, NodeSnapshot, SocketAddress} from '#src/config/snapshot.ts';

const WILDCARDS: Readonly<Record<string, 4 | 6>> = {'0.0.0.0': 4, '::': 6};

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

/** Whether one of the two would take the other's connections. Port 0 gets a free port and never collides. */
export function addressesCollide(a: SocketAddress, b: SocketAddress): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  if (a.address === b.address) return true;
  return WILDCARDS[a.address] === familyOf(b.address) || WILDCARDS[b.address] === familyOf(a.address);
}

/** Where Torwart listens, see `core/dial-guard.ts`. */
export function ownListenersOf({listeners, admin}: Pick<NodeSnapshot, 'listeners' | 'admin'>): readonly SocketAddress[] {
  return [...listeners, admin].map(({address, port}) => ({address, port}));
}

/** What no server of a customer can be, see `core/dial-guard.ts`: the listeners, and the store of the fleet. */
export function ownSocketsOf(node: Pick<NodeSnapshot, 'listeners' | 'admin' | 'fleet'>): readonly SocketAddress[] {
  const {fleet} = node;
  return fleet === null ? ownListenersOf(node) : [...ownListenersOf(node), {address: fleet.address, port: fleet.port}];
}

export interface OwnAddressUse {
  readonly pool: string;
  /** Position in the pool. */
  readonly server: number;
  /** What listens there. */
  readonly listener: string;
}

/** Where the node listens. `admin` is null where the node file gives a wrong one. */
export type NodeAddresses = Pick<NodeSnapshot, 'listeners'> & {readonly admin: SocketAddress | null; readonly fleet: SocketAddress | null};

/** Servers of the customer that are Torwart itself. */
export function findOwnAddresses(customer: Pick<CustomerSnapshot, 'pools'>, {listeners, admin, fleet}: NodeAddresses): readonly OwnAddressUse[] {
  const own = listeners.map(({name, address, port}) => ({name: `the listener ${name}`, address, port}));
  if (admin !== null) own.push({...admin, name: 'the admin listener'});
  if (fleet !== null) own.push({...fleet, name: 'the store of the fleet'});
  const uses: OwnAddressUse[] = [];
  for (const pool of customer.pools) {
    for (const [server, address] of pool.servers.entries()) {
      const listener = own.find((candidate) => reachesListener(address, candidate));
      if (listener !== undefined) uses.push({pool: pool.name, server, listener: listener.name});
    }
  }
  return uses;
}
