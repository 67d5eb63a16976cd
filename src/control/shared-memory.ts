import {randomBytes} from 'node:crypto';
import {NODE, NODE_ROW_LENGTH, openRow, rowsByteLength} from '#src/shared/counters.ts';
import {ConnectionTable} from '#src/shared/connection-table.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {RateBuckets} from '#src/shared/rate-buckets.ts';

/**
 * Keys that a limit tells apart at the same time (a client in one limit is one key). With more, those with the least debt are
 * evicted; see `RateBuckets`.
 */
const RATE_KEYS_MAX = 2 ** 18;
const HASH_SECRET_BYTES = 32;

/** `connectionsMax`: the largest cap on open connections that this process will ever be able to enforce. */
export function createSharedMemory(threads: number, connectionsMax: number): SharedMemory {
  return {
    nodeCounters: {buffer: new SharedArrayBuffer(rowsByteLength(NODE_ROW_LENGTH, threads)), byteOffset: 0},
    rateBuckets: new SharedArrayBuffer(RateBuckets.byteLength(RATE_KEYS_MAX)),
    connectionTable: new SharedArrayBuffer(ConnectionTable.byteLength(threads, connectionsMax)),
    hashSecret: randomBytes(HASH_SECRET_BYTES),
  };
}

/** What a dead thread had open is closed: the difference of the two counters is the number of open connections. */
export function closeConnectionsOfThread(memory: SharedMemory, thread: number): void {
  const row = openRow(memory.nodeCounters, NODE_ROW_LENGTH, thread);
  row[NODE.connectionsClosed] = row[NODE.connectionsOpened] ?? 0;
  row[NODE.upstreamConnectionsClosed] = row[NODE.upstreamConnectionsOpened] ?? 0;
}
