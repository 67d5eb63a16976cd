/** What login guards have found since it was last told. */
import type {LoginEvents} from '#src/shared/messages.ts';

export class LoginTally {
  readonly #events = new Map<string, LoginEvents>();
  /** Attempts that wait at this moment, for all guards. */
  delayed = 0;

  count(event: Omit<LoginEvents, 'count'>): void {
    const key = `${event.customer} ${event.guard} ${event.stage} ${event.detection}`;
    this.#events.set(key, {...event, count: (this.#events.get(key)?.count ?? 0) + 1});
  }

  /** What was counted since the last call. */
  take(): readonly LoginEvents[] {
    if (this.#events.size === 0) return [];
    const events = [...this.#events.values()];
    this.#events.clear();
    return events;
  }
}
