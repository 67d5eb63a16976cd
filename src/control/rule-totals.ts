/** How often each rule has matched, over all threads and their replacements. */
import type {RuleSnapshot, Snapshot} from '#src/config/snapshot.ts';
import type {RuleMatches} from '#src/shared/messages.ts';

export class RuleTotals {
  #totals = new Map<string, number>();

  add(matches: readonly RuleMatches[]): void {
    for (const match of matches) {
      const key = keyOf(match);
      this.#totals.set(key, (this.#totals.get(key) ?? 0) + match.count);
    }
  }

  /** Every rule of the configuration, each once. Totals of others are forgotten: only the configuration decides how many there are. */
  list({node, customers}: Snapshot): readonly RuleMatches[] {
    const listed = new Map<string, RuleMatches>();
    const list = (customer: string, rules: readonly RuleSnapshot[]): void => {
      for (const {name: rule, action} of rules) {
        const key = keyOf({customer, rule, action});
        listed.set(key, {customer, rule, action, count: this.#totals.get(key) ?? 0});
      }
    };
    list('', node.rules);
    for (const {name, rules, sites} of customers) {
      list(name, rules);
      for (const {routes} of sites) for (const route of routes) list(name, route.rules);
    }
    this.#totals = new Map(Array.from(listed, ([key, {count}]) => [key, count]));
    return [...listed.values()];
  }
}

function keyOf({customer, rule, action}: Omit<RuleMatches, 'count'>): string {
  return `${customer} ${rule} ${action}`;
}
