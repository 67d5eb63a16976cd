/** The streams of a connection: those that are alive, and what has to be known of the others. */
import {LIMITS} from '#src/core/limits.ts';
import type {Priority} from '#src/http2/priority.ts';
import type {Stream} from '#src/http2/stream.ts';

/**
 * `idle`: never opened; `reset`: ended here while its client could still send, so that frames of it are no offence (RFC 9113 §5.1);
 * `over`: it ended in a way that its client knows of.
 */
export type Absence = 'idle' | 'reset' | 'over';

export class StreamRegistry<Context> {
  /** The highest that the client has opened. */
  lastStreamId = 0;
  readonly #live = new Map<number, Stream<Context>>();
  /** The newest streams that were reset here, in a ring. */
  #reset: Int32Array | null = null;
  #resetCount = 0;
  readonly #earlyPriorities = new Map<number, Priority>();

  get size(): number {
    return this.#live.size;
  }

  get live(): Iterable<Stream<Context>> {
    return this.#live.values();
  }

  get(streamId: number): Stream<Context> | undefined {
    return this.#live.get(streamId);
  }

  /** What is the matter with a stream that is not alive. */
  absence(streamId: number): Absence {
    // Streams with even numbers are the server's, and this one opens none.
    if (streamId > this.lastStreamId || streamId % 2 === 0) return 'idle';
    // What has been forgotten may be one of those: siblings must not pay for that.
    return this.#reset?.includes(streamId) === true || this.#resetCount > LIMITS.h2ResetsRemembered ? 'reset' : 'over';
  }

  add(stream: Stream<Context>): void {
    this.#live.set(stream.id, stream);
  }

  delete(stream: Stream<Context>): void {
    this.#live.delete(stream.id);
  }

  /** All that were alive; none is any more. */
  clear(): readonly Stream<Context>[] {
    const streams = [...this.#live.values()];
    this.#live.clear();
    return streams;
  }

  rememberReset(streamId: number): void {
    this.#reset ??= new Int32Array(LIMITS.h2ResetsRemembered);
    this.#reset[this.#resetCount++ % LIMITS.h2ResetsRemembered] = streamId;
  }

  /** A priority for a stream that does not exist yet (RFC 9218 §7.1). */
  keepPriority(streamId: number, priority: Priority): void {
    if (this.#earlyPriorities.size < LIMITS.h2EarlyPrioritiesMax || this.#earlyPriorities.has(streamId)) this.#earlyPriorities.set(streamId, priority);
  }

  takePriority(streamId: number): Priority | undefined {
    if (this.#earlyPriorities.size === 0) return undefined;
    const priority = this.#earlyPriorities.get(streamId);
    this.#earlyPriorities.delete(streamId);
    return priority;
  }
}
