/** What must hold between the listeners of a node. */
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import type {Finding} from '#src/config/checks.ts';
import {addressesCollide} from '#src/config/own-addresses.ts';
import type {SocketAddress} from '#src/config/snapshot.ts';

export interface ListenerFacts {
  readonly name: string;
  readonly address: SocketAddress;
  readonly protocol: 'http' | 'https';
  readonly redirect_to_https: boolean | number;
}

interface NodeFacts {
  readonly listeners: readonly ListenerFacts[];
  readonly admin: {readonly address: SocketAddress};
  readonly fleet?: unknown;
  readonly limits: readonly {readonly scope: 'node' | 'fleet'}[];
}

/** The https listener that clients are sent to: the one on the same address, else the first one. */
export function findRedirectTarget(listener: ListenerFacts, listeners: readonly ListenerFacts[]): ListenerFacts | undefined {
  const targets = listeners.filter(({protocol}) => protocol === 'https');
  return targets.find(({address}) => address.address === listener.address.address) ?? targets[0];
}

export function checkNode(node: NodeFacts): readonly Finding[] {
  return [...checkRedirects(node), ...checkCollisions(node), ...checkScopes(node)];
}

function checkRedirects({listeners}: NodeFacts): readonly Finding[] {
  return listeners.flatMap((listener, index): readonly Finding[] => {
    if (listener.redirect_to_https === false) return [];
    const path = ['listeners', index, 'redirect_to_https'];
    if (listener.protocol === 'https') {
      return [{path, needs: [], found: 'a redirect to https on a https listener', allowed: 'redirect_to_https on listeners with protocol: http', remedy: 'remove the key'}];
    }
    const target = findRedirectTarget(listener, listeners);
    if (target === undefined) {
      return [{path, needs: [['listeners']], found: 'a redirect to https', allowed: 'redirect_to_https where there is a listener with protocol: https', remedy: 'add a https listener, or remove the key'}];
    }
    if (listener.redirect_to_https !== true || target.address.port !== 0) return [];
    return [{path, needs: [['listeners']], found: `a redirect to the listener ${target.name}, whose port is chosen by the system`, allowed: 'a https listener with a fixed port, or the port in place of true', remedy: 'give the https listener a port'}];
  });
}

function checkCollisions({listeners, admin}: NodeFacts): readonly Finding[] {
  const all = [{name: 'admin', address: admin.address}, ...listeners];
  return listeners.flatMap(({address}, index): readonly Finding[] => {
    const other = all.slice(0, index + 1).find((candidate) => addressesCollide(candidate.address, address));
    return other === undefined ? [] : [{
      path: ['listeners', index, 'address'], needs: other === all[0] ? [['admin']] : [],
      found: `${formatSocketAddress(address)}, which ${other.name} takes (${formatSocketAddress(other.address)})`,
      allowed: 'an address and port of its own for every listener',
      remedy: 'change the port of one of the two',
    }];
  });
}

function checkScopes({fleet, limits}: NodeFacts): readonly Finding[] {
  if (fleet !== undefined) return [];
  return limits.flatMap(({scope}, index) => (scope === 'node' ? [] : [{
    path: ['limits', index, 'scope'], needs: [['fleet'], ['limits', index]], found: 'scope: fleet without a fleet', allowed: '`fleet` with a store, or scope: node', remedy: 'add `fleet`, or remove the key',
  }]));
}
