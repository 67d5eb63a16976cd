/**
 * What all threads know of one endpoint (a server of a customer's pool): its health and its load, in a slot of shared memory.
 *
 * Totals are atomic; each thread also keeps its own share of them, so that the control thread can take back the share of a thread
 * that died without leaving the endpoint looking busy for ever.
 */
import type {SlotRef} from '#src/shared/slots.ts';

export const HEALTH_STATES = ['pending', 'up', 'down'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

const HEALTH = 0, EJECTED_UNTIL = 1, FAILURES = 2, REQUESTS = 3, CONNECTIONS = 4, OPENED = 5, FAILED = 6, THREADS = 8;
const COLUMNS_PER_THREAD = 2;

export function endpointSlotByteLength(threads: number): number {
  return (THREADS + threads * COLUMNS_PER_THREAD) * Int32Array.BYTES_PER_ELEMENT;
}

/** Times are milliseconds of the process-wide monotonic clock; they are kept in tenths of a second, good for 6.8 years of uptime. */
const toTenths = (ms: number): number => Math.ceil(ms / 100);

export class EndpointSlot {
  readonly #cells: Int32Array;
  readonly #requestsOfThread: number;
  readonly #connectionsOfThread: number;

  constructor(slot: SlotRef, threads: number, thread: number) {
    this.#cells = new Int32Array(slot.buffer, slot.byteOffset, THREADS + threads * COLUMNS_PER_THREAD);
    this.#requestsOfThread = THREADS + thread * COLUMNS_PER_THREAD;
    this.#connectionsOfThread = this.#requestsOfThread + 1;
  }

  get health(): HealthState {
    return HEALTH_STATES[Atomics.load(this.#cells, HEALTH)] ?? 'pending';
  }

  set health(state: HealthState) {
    Atomics.store(this.#cells, HEALTH, HEALTH_STATES.indexOf(state));
  }

  /** Requests in flight over all threads. */
  get requests(): number {
    return Atomics.load(this.#cells, REQUESTS);
  }

  /** Open connections over all threads. */
  get connections(): number {
    return Atomics.load(this.#cells, CONNECTIONS);
  }

  /** Connections ever opened. */
  get connectionsOpened(): number {
    return Atomics.load(this.#cells, OPENED);
  }

  /** Failures of real traffic ever counted. */
  get failures(): number {
    return Atomics.load(this.#cells, FAILED);
  }

  /** The passive mark of real traffic: left out until then. */
  isEjected(nowMs: number): boolean {
    return Atomics.load(this.#cells, EJECTED_UNTIL) > nowMs / 100;
  }

  /** False, and nothing changed, where the cap over all threads is reached. */
  tryBeginRequest(requestsMax: number): boolean {
    if (Atomics.add(this.#cells, REQUESTS, 1) >= requestsMax) {
      Atomics.sub(this.#cells, REQUESTS, 1);
      return false;
    }
    this.#addOwn(this.#requestsOfThread, 1);
    return true;
  }

  endRequest(): void {
    Atomics.sub(this.#cells, REQUESTS, 1);
    this.#addOwn(this.#requestsOfThread, -1);
  }

  openConnection(): void {
    Atomics.add(this.#cells, CONNECTIONS, 1);
    this.#addOwn(this.#connectionsOfThread, 1);
    Atomics.add(this.#cells, OPENED, 1);
  }

  closeConnection(): void {
    Atomics.sub(this.#cells, CONNECTIONS, 1);
    this.#addOwn(this.#connectionsOfThread, -1);
  }

  recordSuccess(): void {
    if (Atomics.load(this.#cells, FAILURES) !== 0) Atomics.store(this.#cells, FAILURES, 0);
  }

  /** Counts a failure of real traffic and leaves the endpoint out for `ejectForMs` after `failuresMax` in a row (0: never). */
  recordFailure(nowMs: number, failuresMax: number, ejectForMs: number): void {
    Atomics.add(this.#cells, FAILED, 1);
    if (failuresMax === 0) return;
    if (Atomics.add(this.#cells, FAILURES, 1) + 1 < failuresMax) return;
    Atomics.store(this.#cells, FAILURES, 0);
    Atomics.store(this.#cells, EJECTED_UNTIL, toTenths(nowMs + ejectForMs));
  }

  /** Takes back what the thread of this view had counted: it died. Called by the control thread. */
  forgetThread(): void {
    Atomics.sub(this.#cells, REQUESTS, Atomics.exchange(this.#cells, this.#requestsOfThread, 0));
    Atomics.sub(this.#cells, CONNECTIONS, Atomics.exchange(this.#cells, this.#connectionsOfThread, 0));
  }

  #addOwn(cell: number, change: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + change;
  }
}
