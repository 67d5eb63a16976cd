/** The configuration as it is handed to threads: a snapshot with its places in shared memory. */
import {isDeepStrictEqual} from 'node:util';
import {diffSnapshots} from '#src/config/diff.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import type {ConfigureMessage} from '#src/control/proxy-thread.ts';
import type {CustomerAssignment} from '#src/shared/messages.ts';

export interface Configuration {
  readonly snapshot: Snapshot;
  /** By customer name, in no order. */
  readonly assignments: ReadonlyMap<string, CustomerAssignment>;
}

/** The message that brings a thread from one configuration (null: a new thread) to another. */
export function buildConfigureMessage(from: Configuration | null, to: Configuration): ConfigureMessage {
  const {snapshot, assignments} = to;
  const message = {type: 'configure', revision: snapshot.revision} as const;
  if (from === null) return {...message, node: snapshot.node, customers: [...assignments.values()], removed: []};
  const {added, changed, removed} = diffSnapshots(from.snapshot, snapshot);
  return {
    ...message,
    node: isDeepStrictEqual(from.snapshot.node, snapshot.node) ? null : snapshot.node,
    customers: [...added, ...changed].map(({name}) => assignments.get(name)).filter(assignment => assignment !== undefined),
    removed,
  };
}
