/**
 * What is scarce and counted by place: of each kind for client networks, customers and the node. A place for buffers is a block of memory
 * (`LIMITS.heldBlockBytes`).
 */
import type {SlotRef} from '#src/shared/slots.ts';

export const PLACE_KINDS = ['connections', 'handshakes', 'requests', 'buffers'] as const;

export type PlaceKind = (typeof PLACE_KINDS)[number];

export function mapPlaceKinds<T>(make: (kind: PlaceKind) => T): Readonly<Record<PlaceKind, T>> {
  return {connections: make('connections'), handshakes: make('handshakes'), requests: make('requests'), buffers: make('buffers')};
}

/** The shared memory of one kind, but for what customers have. */
export interface PlaceMemory {
  /** Of the whole node, see `place-count.ts`. */
  readonly node: SlotRef;
  /** By client network, see `client-counts.ts`. */
  readonly clients: SharedArrayBuffer;
}
