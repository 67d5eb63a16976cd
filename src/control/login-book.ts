/** What login guards have found: totals for the metrics, and an audit line for each thing that was done to somebody. */
import type {Snapshot} from '#src/config/snapshot.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import {LOGIN_DETECTIONS, LOGIN_STAGES, type LoginEvents} from '#src/shared/messages.ts';

export type LoginTotal = Omit<LoginEvents, 'client'>;

const MESSAGES = {
  failed: 'logins have failed', delayed: 'logins are delayed', limited: 'logins are refused', banned: 'a client is banned for its logins',
} as const;

export class LoginBook {
  readonly #log: DaemonLog;
  #totals = new Map<string, number>();

  constructor(log: DaemonLog) {
    this.#log = log;
  }

  add(events: readonly LoginEvents[]): void {
    for (const event of events) {
      const key = keyOf(event);
      this.#totals.set(key, (this.#totals.get(key) ?? 0) + event.count);
      // Single failures are everyday life; their number is in the metrics.
      if (event.stage !== 'failed') this.#log.warn({audit: 'login', ...event}, MESSAGES[event.stage]);
    }
  }

  /** Every combination of the configuration; totals of others are forgotten. */
  list({customers}: Snapshot): readonly LoginTotal[] {
    const combinations = LOGIN_STAGES.flatMap((stage) => LOGIN_DETECTIONS.filter((detection) => (stage === 'failed') === (detection === 'none')).map((detection) => ({stage, detection})));
    const totals = customers.flatMap(({name: customer, loginGuards}) => loginGuards.flatMap(({name: guard}) => combinations.map((combination): LoginTotal => {
      const total = {customer, guard, ...combination};
      return {...total, count: this.#totals.get(keyOf(total)) ?? 0};
    })));
    this.#totals = new Map(totals.map((total) => [keyOf(total), total.count]));
    return totals;
  }
}

function keyOf({customer, guard, stage, detection}: Omit<LoginTotal, 'count'>): string {
  return `${customer} ${guard} ${stage} ${detection}`;
}
