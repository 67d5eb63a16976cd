/**
 * Counters in shared memory. Each thread writes only its own row and the scrape sums the rows, so counting takes no lock and no
 * atomic operation. A row is a Float64Array: integers are exact up to 2^53 and a reader never sees half a number on a 64-bit machine.
 */
import {FAULT_CODES, faultPosition, type FaultCode} from '#src/core/faults.ts';
import type {SlotRef} from '#src/shared/slots.ts';

/** Columns of a table in their order. */
type Columns = readonly string[];

function indexColumns<const C extends Columns>(columns: C): {readonly [K in C[number]]: number} {
  return Object.fromEntries(columns.map((name, index) => [name, index])) as {[K in C[number]]: number};
}

const NODE_COLUMNS = [
  'connectionsOpened', 'connectionsClosed', 'tlsHandshakes', 'tlsResumed', 'requests', 'fieldsDropped', 'logLinesDropped',
  'upstreamConnectionsOpened', 'upstreamConnectionsClosed', 'upstreamConnectionsReused', 'retries',
] as const;

/** Columns of a thread's row in the node table; the fault counters follow them. */
export const NODE = indexColumns(NODE_COLUMNS);
export type NodeColumn = (typeof NODE_COLUMNS)[number];
export const NODE_ROW_LENGTH = NODE_COLUMNS.length + FAULT_CODES.length;

export function faultColumn(code: FaultCode): number {
  return NODE_COLUMNS.length + faultPosition(code);
}

/** @param row a thread's own row of the node table */
export function count(row: Float64Array, column: NodeColumn, by = 1): void {
  const at = NODE[column];
  row[at] = (row[at] as number) + by;
}

/** @param row a thread's own row of the node table */
export function countFault(row: Float64Array, code: FaultCode): void {
  const at = faultColumn(code);
  row[at] = (row[at] as number) + 1;
}

/** Upper bounds in seconds of the buckets of a duration histogram; one more bucket takes the rest. */
export const DURATION_BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

const CUSTOMER_COLUMNS = ['bytesReceived', 'bytesSent', 'tunnelsOpened', 'tunnelsClosed', 'durationSumMs', 'timeWaits', 'timeWaitedMs', 'timeRefusals'] as const;
/** Columns of a customer's row; the buckets of the duration histogram follow them. */
export const CUSTOMER = indexColumns(CUSTOMER_COLUMNS);
export const DURATION_COLUMN = CUSTOMER_COLUMNS.length;
export const CUSTOMER_ROW_LENGTH = CUSTOMER_COLUMNS.length + DURATION_BOUNDS_S.length + 1;

/** A pool's row: column = status class (0 for a request that ended without a status, 1 to 5). */
export const POOL_ROW_LENGTH = 6;

/** Bytes of a slot that holds one row a thread. */
export function rowsByteLength(rowLength: number, threads: number): number {
  return rowLength * threads * Float64Array.BYTES_PER_ELEMENT;
}

/** The row of one thread in a slot. */
export function openRow(slot: SlotRef, rowLength: number, thread: number): Float64Array {
  return new Float64Array(slot.buffer, slot.byteOffset + thread * rowLength * Float64Array.BYTES_PER_ELEMENT, rowLength);
}

/** All rows of a slot added up. */
export function sumRows(slot: SlotRef, rowLength: number, threads: number): Float64Array {
  const sum = new Float64Array(rowLength);
  for (let thread = 0; thread < threads; thread++) {
    const row = openRow(slot, rowLength, thread);
    for (let column = 0; column < rowLength; column++) sum[column] = (sum[column] ?? 0) + (row[column] ?? 0);
  }
  return sum;
}

/** Column of the histogram bucket that a duration falls into. */
export function durationColumn(durationMs: number): number {
  let bucket = 0;
  while (bucket < DURATION_BOUNDS_S.length && durationMs > (DURATION_BOUNDS_S[bucket] ?? 0) * 1000) bucket++;
  return DURATION_COLUMN + bucket;
}
