/**
 * The streams that can send, in the order of RFC 9218 §10: the most urgent first; of one urgency those that are only of use as a whole one
 * after the other, and those that are of use in pieces by turns.
 */
import {URGENCY_LEVELS} from '#src/http2/priority.ts';
import type {Stream} from '#src/http2/stream.ts';

export class ReadyStreams<Context> {
  readonly #heads: (Stream<Context> | null)[] = Array.from({length: URGENCY_LEVELS}, () => null);
  readonly #tails: (Stream<Context> | null)[] = Array.from({length: URGENCY_LEVELS}, () => null);
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add(stream: Stream<Context>): void {
    if (stream.isReady) return;
    const {urgency} = stream.priority;
    const tail = this.#tails[urgency] ?? null;
    stream.isReady = true;
    stream.previousReady = tail;
    stream.nextReady = null;
    if (tail === null) this.#heads[urgency] = stream;
    else tail.nextReady = stream;
    this.#tails[urgency] = stream;
    this.#size++;
  }

  /** Its priority must be the one that it was added with. */
  remove(stream: Stream<Context>): void {
    if (!stream.isReady) return;
    const {urgency} = stream.priority;
    const {nextReady: next, previousReady: previous} = stream;
    if (previous === null) this.#heads[urgency] = next;
    else previous.nextReady = next;
    if (next === null) this.#tails[urgency] = previous;
    else next.previousReady = previous;
    stream.isReady = false;
    stream.nextReady = null;
    stream.previousReady = null;
    this.#size--;
  }

  first(): Stream<Context> | null {
    if (this.#size === 0) return null;
    for (const head of this.#heads) {
      if (head !== null) return head;
    }
    return null;
  }

  /** After a turn of the stream: one that is of use in pieces lets the others go first. */
  rotate(stream: Stream<Context>): void {
    if (!stream.priority.incremental || stream.nextReady === null) return;
    this.remove(stream);
    this.add(stream);
  }
}
