import {randomBytes} from 'node:crypto';
import {LIMITS} from '#src/core/limits.ts';
import {BanTable} from '#src/shared/ban-table.ts';
import {NODE, NODE_ROW_LENGTH, openRow, rowsByteLength} from '#src/shared/counters.ts';
import {ConnectionTable} from '#src/shared/connection-table.ts';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {RateTables} from '#src/shared/rate-tables.ts';
import {PlaceCount, placeCountByteLength} from '#src/shared/place-count.ts';

/**
 * Keys that limits tell apart at the same time (a client in one limit is one key), in each table. With more, those with the least debt
 * are evicted; see `RateBuckets`. docs/limits.md says how many.
 */
const RATE_KEYS_MAX = 2 ** 18;
/** Clients, accounts and pairs that fail at the same time. */
const LOGIN_KEYS_MAX = 2 ** 17;
const HASH_SECRET_BYTES = 32;

/** Room for a cap that is raised by a reload; untouched pages cost nothing. */
const CONNECTIONS_ROOM = 2 ** 17;

/**
 * `connectionsMax`: the cap on open connections in the first configuration. `descriptorsMax`: how many file descriptors the process
 * may have open.
 */
export function createSharedMemory(threads: number, connectionsMax: number, descriptorsMax = Infinity): SharedMemory {
  const room = Math.max(connectionsMax, CONNECTIONS_ROOM);
  return {
    nodeCounters: {buffer: new SharedArrayBuffer(rowsByteLength(NODE_ROW_LENGTH, threads)), byteOffset: 0},
    nodeRequests: {buffer: new SharedArrayBuffer(placeCountByteLength(threads)), byteOffset: 0},
    rateTables: RateTables.createBuffers(RATE_KEYS_MAX),
    fleetLedger: new SharedArrayBuffer(FleetLedger.byteLength(LIMITS.fleetLedgerKeysMax)),
    loginBuckets: new SharedArrayBuffer(RateBuckets.byteLength(LOGIN_KEYS_MAX)),
    loginMemory: new SharedArrayBuffer(RateBuckets.byteLength(LOGIN_KEYS_MAX)),
    connectionTable: new SharedArrayBuffer(ConnectionTable.byteLength(threads, room)),
    handshakeTable: new SharedArrayBuffer(ConnectionTable.byteLength(threads, room)),
    tunnelTable: new SharedArrayBuffer(ConnectionTable.byteLength(threads, 2 * room)),
    connectionsMax: room,
    descriptorsMax,
    banTable: new SharedArrayBuffer(BanTable.byteLength(LIMITS.bansMax)),
    hashSecret: randomBytes(HASH_SECRET_BYTES),
  };
}

/** Takes back what a dead thread had open: what was opened minus what was closed is the number of open connections. */
export function forgetConnectionsOfThread(memory: SharedMemory, threads: number, thread: number): void {
  new ConnectionTable(memory.connectionTable, threads, thread, memory.connectionsMax).forgetThread(thread);
  new ConnectionTable(memory.handshakeTable, threads, thread, memory.connectionsMax).forgetThread(thread);
  new ConnectionTable(memory.tunnelTable, threads, thread, 2 * memory.connectionsMax).forgetThread(thread);
  new PlaceCount(memory.nodeRequests, threads, thread).forgetThread();
  const row = openRow(memory.nodeCounters, NODE_ROW_LENGTH, thread);
  row[NODE.connectionsClosed] = row[NODE.connectionsOpened] ?? 0;
  row[NODE.upstreamConnectionsClosed] = row[NODE.upstreamConnectionsOpened] ?? 0;
}
