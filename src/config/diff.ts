/** What a reload changes. */
import {isDeepStrictEqual} from 'node:util';
import {pairChanges} from '#src/config/sorted-lists.ts';
import type {CustomerSnapshot, NodeSnapshot, Snapshot} from '#src/config/snapshot.ts';

/**
 * Settings of the node that only a restart changes: threads are shared memory's shape, and the admin listener, its socket and the state
 * folder must not move away from those who look for them.
 */
export type RestartSetting = 'threads' | 'admin' | 'stateFolder' | 'adminSocket';
export type ReloadableNode = Omit<NodeSnapshot, RestartSetting>;

const RESTART_SETTINGS: readonly RestartSetting[] = ['threads', 'admin', 'stateFolder', 'adminSocket'];

export interface SnapshotDiff {
  /** The new settings of the node that can be changed at once; null where they are the same. */
  readonly node: ReloadableNode | null;
  readonly needsRestart: readonly RestartSetting[];
  readonly added: readonly CustomerSnapshot[];
  readonly changed: readonly CustomerSnapshot[];
  /** Names. */
  readonly removed: readonly string[];
}

/** Customers are told apart by name and compared by revision. */
export function diffSnapshots(before: Snapshot, after: Snapshot): SnapshotDiff {
  const node = reloadableOf(after.node);
  const added: CustomerSnapshot[] = [], changed: CustomerSnapshot[] = [], removed: string[] = [];
  for (const [old, fresh] of pairChanges(before.customers, after.customers, ({name}) => name)) {
    if (fresh === null) removed.push(old.name);
    else if (old === null) added.push(fresh);
    else if (old.revision !== fresh.revision) changed.push(fresh);
  }
  return {
    node: isDeepStrictEqual(reloadableOf(before.node), node) ? null : node,
    needsRestart: changedRestartSettings(before.node, after.node),
    added, changed, removed,
  };
}

export function changedRestartSettings(before: NodeSnapshot, after: NodeSnapshot): readonly RestartSetting[] {
  return RESTART_SETTINGS.filter((setting) => !isDeepStrictEqual(before[setting], after[setting]));
}

/** The new settings as far as they can take effect without a restart. */
export function keepRestartSettings(running: NodeSnapshot, next: NodeSnapshot): NodeSnapshot {
  const {threads, admin, stateFolder, adminSocket} = running;
  return {...next, threads, admin, stateFolder, adminSocket};
}

function reloadableOf({threads: _threads, admin: _admin, stateFolder: _stateFolder, adminSocket: _adminSocket, ...reloadable}: NodeSnapshot): ReloadableNode {
  return reloadable;
}
