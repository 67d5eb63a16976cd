/** How often each limit was exceeded, over all threads and their replacements. */
import type {LimitSnapshot, Snapshot} from '#src/config/snapshot.ts';
import type {LimitExcesses} from '#src/shared/messages.ts';

export class LimitTotals {
  #totals = new Map<string, number>();

  add(excesses: readonly LimitExcesses[]): void {
    for (const excess of excesses) {
      const key = keyOf(excess);
      this.#totals.set(key, (this.#totals.get(key) ?? 0) + excess.count);
    }
  }

  /** Every limit of the configuration, each once. Totals of others are forgotten: only the configuration decides how many there are. */
  list({node, customers}: Snapshot): readonly LimitExcesses[] {
    const listed = new Map<string, LimitExcesses>();
    const list = (customer: string, limits: readonly LimitSnapshot[]): void => {
      for (const {name: limit, isEnforced} of limits) {
        const total = {customer, limit, mode: isEnforced ? 'enforce' : 'observe'} as const;
        const key = keyOf(total);
        listed.set(key, {...total, count: this.#totals.get(key) ?? 0});
      }
    };
    list('', node.limits);
    for (const {name, limits, sites} of customers) {
      list(name, limits);
      for (const {routes} of sites) for (const route of routes) list(name, route.limits);
    }
    this.#totals = new Map(Array.from(listed, ([key, {count}]) => [key, count]));
    return [...listed.values()];
  }
}

function keyOf({customer, limit, mode}: Omit<LimitExcesses, 'count'>): string {
  return `${customer} ${limit} ${mode}`;
}
