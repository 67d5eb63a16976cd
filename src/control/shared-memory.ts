import {randomBytes} from 'node:crypto';
import {LIMITS} from '#src/core/limits.ts';
import {BanTable} from '#src/shared/ban-table.ts';
import {NODE, NODE_ROW_LENGTH, openRow, rowsByteLength} from '#src/shared/counters.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {RateTables} from '#src/shared/rate-tables.ts';
import {PlaceCount, placeCountByteLength} from '#src/shared/place-count.ts';
import {PLACE_KINDS, mapPlaceKinds} from '#src/shared/place-kinds.ts';

/**
 * Keys that limits tell apart at the same time (a client in one limit is one key), in each table. With more, those with the least debt
 * are evicted; see `RateBuckets`. docs/limits.md says how many.
 */
const RATE_KEYS_MAX = 2 ** 18;
/** Clients, accounts and pairs that fail at the same time. */
const LOGIN_KEYS_MAX = 2 ** 17;
const HASH_SECRET_BYTES = 32;

/** Room for a cap that is raised by a reload; untouched pages cost nothing. */
const CLIENTS_ROOM = 2 ** 17;

/**
 * `clientsMax`: the highest cap of the first configuration, and so how many clients there may be at once. `descriptorsMax`: how many file
 * descriptors the process may have open.
 */
export function createSharedMemory(threads: number, clientsMax: number, descriptorsMax = Infinity): SharedMemory {
  const room = Math.max(clientsMax, CLIENTS_ROOM);
  return {
    nodeCounters: {buffer: new SharedArrayBuffer(rowsByteLength(NODE_ROW_LENGTH, threads)), byteOffset: 0},
    places: mapPlaceKinds(() => ({
      node: {buffer: new SharedArrayBuffer(placeCountByteLength(threads)), byteOffset: 0},
      clients: new SharedArrayBuffer(ClientCounts.byteLength(threads, room)),
    })),
    rateTables: RateTables.createBuffers(RATE_KEYS_MAX),
    fleetLedger: new SharedArrayBuffer(FleetLedger.byteLength(LIMITS.fleetLedgerKeysMax)),
    loginBuckets: new SharedArrayBuffer(RateBuckets.byteLength(LOGIN_KEYS_MAX)),
    loginMemory: new SharedArrayBuffer(RateBuckets.byteLength(LOGIN_KEYS_MAX)),
    tunnels: new SharedArrayBuffer(ClientCounts.byteLength(threads, 2 * room)),
    clientsMax: room,
    descriptorsMax,
    banTable: new SharedArrayBuffer(BanTable.byteLength(LIMITS.bansMax)),
    hashSecret: randomBytes(HASH_SECRET_BYTES),
  };
}

/** Takes back what a dead thread had: what was opened minus what was closed is the number of open connections. */
export function forgetPlacesOfThread(memory: SharedMemory, threads: number, thread: number): void {
  for (const kind of PLACE_KINDS) {
    const {node, clients} = memory.places[kind];
    new PlaceCount(node, threads, thread).forgetThread();
    new ClientCounts(clients, threads, thread).forgetThread();
  }
  new ClientCounts(memory.tunnels, threads, thread).forgetThread();
  const row = openRow(memory.nodeCounters, NODE_ROW_LENGTH, thread);
  row[NODE.connectionsClosed] = row[NODE.connectionsOpened] ?? 0;
  row[NODE.upstreamConnectionsClosed] = row[NODE.upstreamConnectionsOpened] ?? 0;
}
