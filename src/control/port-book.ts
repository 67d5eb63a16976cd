/**
 * Port 0 asks for a free port (tests and trials). All threads must bind the same one, so it is found here, and stays the same over
 * reloads. It cannot be left to the first thread: with SO_REUSEPORT the kernel may choose a port that another process shares.
 *
 * For the same reason a port that the configuration names is tried here first: another daemon of the same user that listens there is no
 * error to a socket with SO_REUSEPORT, the two would share the connections.
 */
import {once} from 'node:events';
import net from 'node:net';
import type {ListenerSnapshot, Snapshot} from '#src/config/snapshot.ts';

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

export class PortBook {
  /** By name and address of the listener. */
  readonly #ports = new Map<string, number>();

  async resolve(snapshot: Snapshot): Promise<Snapshot> {
    const listeners: ListenerSnapshot[] = [];
    for (const listener of snapshot.node.listeners) listeners.push(listener.port === 0 ? {...listener, port: await this.#findPort(listener)} : listener);
    return {...snapshot, node: {...snapshot.node, listeners}};
  }

  async #findPort({name, address}: ListenerSnapshot): Promise<number> {
    const key = `${name} ${address}`;
    const port = this.#ports.get(key) ?? await bindOnce(address, 0);
    this.#ports.set(key, port);
    return port;
  }
}

/** Rejects where something else listens on an address that `next` adds to those in force. */
export async function tryNewAddresses(next: readonly ListenerSnapshot[], inForce: readonly ListenerSnapshot[]): Promise<void> {
  for (const {address, port} of next) {
    if (!inForce.some(own => own.port === port && covers(own.address, address))) await bindOnce(address, port);
  }
}

/** Whether listening on both needs SO_REUSEPORT: the same address, or one that stands for all of its family. */
function covers(own: string, address: string): boolean {
  return own === address || (net.isIP(own) === net.isIP(address) && (WILDCARDS.has(own) || WILDCARDS.has(address)));
}

/** Binds without SO_REUSEPORT, which fails where anybody listens, and lets go again. */
async function bindOnce(host: string, wanted: number): Promise<number> {
  const server = net.createServer().listen({host, port: wanted, ipv6Only: true});
  await once(server, 'listening');
  const {port} = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
