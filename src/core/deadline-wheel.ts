/**
 * Deadlines of many connections at once. A connection's deadline moves forward with almost every byte, and almost none ever fires, so
 * moving it must cost a field write and nothing else: a hashed wheel (Varghese and Lauck, 1987) of intrusive lists, in which an entry
 * whose deadline moved later stays where it is until its old slot comes up.
 */
import type {FaultCode} from '#src/core/faults.ts';

const SLOTS = 512;
/** Index behind the slots: the list of the entries that are due, while they are being fired. */
const DUE = SLOTS;
const UNARMED = -1;

/** Something with at most one deadline. The `wheel…` fields belong to the wheel that it is armed on. */
export abstract class Deadlined {
  /** NaN makes it a floating-point field from the start: a later fraction would change the shape of the object. */
  wheelDeadlineMs = Number.NaN;
  /** The tick at which the entry is looked at: at or before its deadline. */
  wheelTick = 0;
  wheelSlot = UNARMED;
  wheelNext: Deadlined | null = null;
  wheelPrevious: Deadlined | null = null;

  /** The deadline has passed; the entry is no longer armed and may be armed again. */
  abstract onDeadline(nowMs: number): void;

  /** Given up at once, whatever it is at. */
  abstract lose(fault: FaultCode): void;
}

/** Fires never early, and late by less than a tick and the time between two calls of `advance`. */
export class DeadlineWheel {
  readonly #tickMs: number;
  readonly #onError: (entry: Deadlined, error: unknown) => void;
  readonly #lists: (Deadlined | null)[] = Array.from({length: SLOTS + 1}, () => null);
  #tick: number;
  #size = 0;

  /**
   * Times are in milliseconds of one monotonic clock.
   * @param onError an entry's `onDeadline` has thrown: it has no deadline any more; the others still fire
   */
  constructor(tickMs: number, nowMs: number, onError: (entry: Deadlined, error: unknown) => void) {
    this.#tickMs = tickMs;
    this.#onError = onError;
    this.#tick = Math.floor(nowMs / tickMs);
  }

  /** Number of armed entries. */
  get size(): number {
    return this.#size;
  }

  /** Sets or moves the entry's deadline. One that has passed already fires with the next tick. */
  arm(entry: Deadlined, deadlineMs: number): void {
    if (!(deadlineMs >= 0)) throw new RangeError(`${deadlineMs} is not a deadline`);
    entry.wheelDeadlineMs = deadlineMs;
    if (entry.wheelSlot === UNARMED) {
      this.#size++;
    } else {
      if (deadlineMs >= entry.wheelTick * this.#tickMs) return;
      this.#unlink(entry);
    }
    this.#place(entry);
  }

  disarm(entry: Deadlined): void {
    if (entry.wheelSlot === UNARMED) return;
    this.#unlink(entry);
    entry.wheelSlot = UNARMED;
    this.#size--;
  }

  /**
   * Fires what is due, each entry once, in no particular order. However long the last call is ago, every slot is looked at once at
   * most. What an exception of `onError` left unfired is fired by the next call.
   */
  advance(nowMs: number): void {
    const tick = Math.floor(nowMs / this.#tickMs);
    const first = Math.max(this.#tick + 1, tick - SLOTS + 1);
    this.#tick = tick;
    for (let passed = first; passed <= tick; passed++) this.#sortSlot(passed % SLOTS, nowMs);
    for (let entry = this.#lists[DUE]; entry; entry = this.#lists[DUE]) this.#fire(entry, nowMs);
  }

  /** Nothing is fired before all slots are sorted: an entry that is armed while others fire can then not be met a second time. */
  #sortSlot(slot: number, nowMs: number): void {
    let entry = this.#lists[slot] ?? null;
    while (entry !== null) {
      const next: Deadlined | null = entry.wheelNext;
      this.#unlink(entry);
      if (entry.wheelDeadlineMs <= nowMs) this.#link(entry, DUE);
      else this.#place(entry);
      entry = next;
    }
  }

  /** The deadline is looked at again: another entry that fired before this one may have moved it. */
  #fire(entry: Deadlined, nowMs: number): void {
    this.#unlink(entry);
    if (entry.wheelDeadlineMs > nowMs) {
      this.#place(entry);
      return;
    }
    entry.wheelSlot = UNARMED;
    this.#size--;
    try {
      entry.onDeadline(nowMs);
    } catch (error) {
      this.#onError(entry, error);
    }
  }

  /** A deadline beyond the wheel's span is parked for a whole turn and then placed anew. */
  #place(entry: Deadlined): void {
    const dueTick = Math.ceil(entry.wheelDeadlineMs / this.#tickMs);
    entry.wheelTick = Math.min(Math.max(dueTick, this.#tick + 1), this.#tick + SLOTS);
    this.#link(entry, entry.wheelTick % SLOTS);
  }

  #link(entry: Deadlined, slot: number): void {
    const head = this.#lists[slot] ?? null;
    entry.wheelSlot = slot;
    entry.wheelPrevious = null;
    entry.wheelNext = head;
    if (head !== null) head.wheelPrevious = entry;
    this.#lists[slot] = entry;
  }

  #unlink(entry: Deadlined): void {
    const {wheelNext: next, wheelPrevious: previous} = entry;
    if (previous === null) this.#lists[entry.wheelSlot] = next;
    else previous.wheelNext = next;
    if (next !== null) next.wheelPrevious = previous;
    entry.wheelNext = null;
    entry.wheelPrevious = null;
  }
}
