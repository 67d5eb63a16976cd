/**
 * How many file descriptors the process may spend on clients. Without descriptors nothing works any more: no upstream is reached, no log
 * is reopened, and the kernel's queue of new connections is emptied by closing them unseen. So new clients are refused before that, and a
 * reserve is kept for the work that is already here.
 */
import {NODE, NODE_ROW_LENGTH, openRow} from '#src/shared/counters.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import type {PlaceCount} from '#src/shared/place-count.ts';

/** Share of the descriptors that clients never get: it is for files, the runtime, and more upstream connections than clients. */
const RESERVED_SHARE = 1 / 8;
/** Descriptors that the runtime of the process and each of its threads hold from the beginning. */
const PROCESS_DESCRIPTORS = 32;
const THREAD_DESCRIPTORS = 16;

export class DescriptorBudget {
  readonly #rows: readonly Float64Array[];
  readonly #connections: PlaceCount;
  readonly #socketsMax: number;

  constructor(memory: SharedMemory, threads: number, connections: PlaceCount) {
    this.#connections = connections;
    this.#rows = Array.from({length: threads}, (_, thread) => openRow(memory.nodeCounters, NODE_ROW_LENGTH, thread));
    this.#socketsMax = memory.descriptorsMax * (1 - RESERVED_SHARE) - PROCESS_DESCRIPTORS - threads * THREAD_DESCRIPTORS;
  }

  /** One more client fits, and an upstream connection for each that is here then: whoever is let in is served. */
  get hasRoom(): boolean {
    const clients = this.#connections.total + 1;
    let upstreams = 0;
    for (const row of this.#rows) upstreams += (row[NODE.upstreamConnectionsOpened] ?? 0) - (row[NODE.upstreamConnectionsClosed] ?? 0);
    return clients + Math.max(clients, upstreams) <= this.#socketsMax;
  }
}
