/**
 * Port 0 asks for a free port (tests and trials). All threads must bind the same one, so it is found here, and stays the same over
 * reloads. It cannot be left to the first thread: with SO_REUSEPORT the kernel may choose a port that another process shares.
 */
import {once} from 'node:events';
import net from 'node:net';
import type {ListenerSnapshot, Snapshot} from '#src/config/snapshot.ts';

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
    const port = this.#ports.get(key) ?? await findFreePort(address);
    this.#ports.set(key, port);
    return port;
  }
}

async function findFreePort(address: string): Promise<number> {
  const server = net.createServer().listen(0, address);
  await once(server, 'listening');
  const {port} = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
