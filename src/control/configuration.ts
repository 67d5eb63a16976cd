/** The configuration as it is handed to threads: a snapshot with its places in shared memory. */
import {isDeepStrictEqual} from 'node:util';
import type {ListenerSnapshot, NodeSnapshot, Snapshot} from '#src/config/snapshot.ts';
import type {ConfigureMessage} from '#src/control/proxy-thread.ts';
import type {CustomerAssignment} from '#src/shared/messages.ts';

export interface Configuration {
  readonly snapshot: Snapshot;
  /** By customer name. */
  readonly assignments: ReadonlyMap<string, CustomerAssignment>;
}

/** The message that brings a thread from one configuration (null: a new thread) to another. */
export function buildConfigureMessage(from: Configuration | null, to: Configuration): ConfigureMessage {
  const assignments = [...to.assignments.values()];
  return {
    type: 'configure',
    revision: to.snapshot.revision,
    node: from !== null && isDeepStrictEqual(from.snapshot.node, to.snapshot.node) ? null : to.snapshot.node,
    customers: assignments.filter(({snapshot}) => from?.assignments.get(snapshot.name)?.snapshot.revision !== snapshot.revision),
    removed: from === null ? [] : [...from.assignments.keys()].filter(name => !to.assignments.has(name)),
  };
}

/**
 * Port 0 asks the system for a free port. All threads must share it (`SO_REUSEPORT`), so the first thread's answer is written
 * into what the others get, and into what every later configuration says of that listener.
 */
export class PortBook {
  readonly #ports = new Map<string, number>();

  isOpen(node: NodeSnapshot | null): boolean {
    return node?.listeners.some(listener => this.#resolve(listener).port === 0) ?? false;
  }

  resolve(node: NodeSnapshot | null): NodeSnapshot | null {
    return node === null ? null : {...node, listeners: node.listeners.map(listener => this.#resolve(listener))};
  }

  learn(node: NodeSnapshot, listening: Readonly<Record<string, number>>): void {
    for (const listener of node.listeners) {
      const port = listening[listener.name];
      if (listener.port === 0 && port !== undefined) this.#ports.set(portKey(listener), port);
    }
  }

  #resolve(listener: ListenerSnapshot): ListenerSnapshot {
    return listener.port === 0 ? {...listener, port: this.#ports.get(portKey(listener)) ?? 0} : listener;
  }
}

function portKey(listener: ListenerSnapshot): string {
  return `${listener.name} ${listener.address}`;
}
