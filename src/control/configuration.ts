/** The configuration as it is handed to threads: a snapshot with its places in shared memory. */
import {isDeepStrictEqual} from 'node:util';
import type {Snapshot} from '#src/config/snapshot.ts';
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
