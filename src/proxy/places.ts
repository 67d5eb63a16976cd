/** The places of a proxy thread: of each kind those of client networks, customers and the node. */
import {FairPlaces, type PlaceCaps} from '#src/balance/fair-places.ts';
import type {NodeSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {Clock} from '#src/core/clock.ts';
import type {Places} from '#src/edge/edge.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import type {ThreadStart} from '#src/shared/messages.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {PLACE_KINDS, mapPlaceKinds, type PlaceKind} from '#src/shared/place-kinds.ts';
import type {Tables} from '#src/proxy/tables.ts';

export function createPlaces({memory, thread, threads}: ThreadStart, node: NodeSnapshot, clock: Clock, tables: Tables): Places {
  const caps = placeCapsOf(node);
  return mapPlaceKinds((kind) => new FairPlaces(kind, {
    clock,
    node: new PlaceCount(memory.places[kind].node, threads, thread),
    clients: new ClientCounts(memory.places[kind].clients, threads, thread),
    accounts: () => tables.accounts(kind),
  }, caps[kind]));
}

export function configurePlaces(places: Places, node: NodeSnapshot): void {
  const caps = placeCapsOf(node);
  for (const kind of PLACE_KINDS) places[kind].configure(caps[kind]);
}

function placeCapsOf({caps}: NodeSnapshot): Readonly<Record<PlaceKind, PlaceCaps>> {
  return {
    connections: {max: caps.connectionsMax, perClientMax: caps.connectionsPerClientMax},
    handshakes: {max: caps.handshakesMax, perClientMax: caps.handshakesPerClientMax},
    requests: {max: caps.requestsMax, perClientMax: caps.requestsPerClientMax},
    buffers: {max: caps.bufferedBytesMax / LIMITS.heldBlockBytes, perClientMax: caps.bufferedBytesPerClientMax / LIMITS.heldBlockBytes},
  };
}
