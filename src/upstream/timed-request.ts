/** How long an endpoint may take for what it has to do, whatever a request is carried by. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {Waiting} from '#src/upstream/connection-phase.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

export abstract class TimedRequest extends Deadlined {
  protected readonly upstream: Upstream;
  protected waiting: Waiting = 'none';
  protected isRequestEnded = true;
  #timeouts: RouteTimeoutsSnapshot | null = null;
  #bodyIdleMs = 0;

  constructor(upstream: Upstream) {
    super();
    this.upstream = upstream;
  }

  abstract get isBackedUp(): boolean;
  /** The response is not read, because its client is the slower one. */
  protected abstract get isReadPaused(): boolean;

  setBodyIdle(ms: number): void { this.#bodyIdleMs = ms; }

  protected beginTiming(timeouts: RouteTimeoutsSnapshot): void {
    this.#timeouts = timeouts;
    this.#bodyIdleMs = timeouts.responseIdleMs;
    this.isRequestEnded = false;
  }

  /** While the client is the slower one, its own deadline counts: an upload may take as long as it goes on. */
  protected waitWithinRequest(): void {
    if (this.isRequestEnded) this.waitFor('head');
    else if (this.isBackedUp) this.waitFor('drain');
    else this.waiting = 'none';
  }

  /** The same for a response that came early: its application may be silent until it has the whole request, if it goes on reading it. */
  protected waitForBody(): void {
    if (!this.isReadPaused && (this.isRequestEnded || this.isBackedUp)) this.waitFor('body');
    else this.waiting = 'none';
  }

  protected waitFor(waiting: 'connect' | 'drain' | 'head' | 'body'): void {
    const timeouts = this.#timeouts;
    if (timeouts === null) return;
    switch (waiting) {
      case 'connect': return this.wait(waiting, timeouts.connectMs);
      case 'head': return this.wait(waiting, timeouts.responseHeadMs);
      case 'drain': return this.wait(waiting, timeouts.responseIdleMs);
      case 'body': return this.wait(waiting, this.#bodyIdleMs);
    }
  }

  protected wait(waiting: Waiting, timeoutMs: number): void {
    this.waiting = waiting;
    this.upstream.wheel.arm(this, this.upstream.clock.nowMs + timeoutMs);
  }
}
