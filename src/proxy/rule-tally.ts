/** How often each rule has matched since it was last told: the control thread adds up what all threads tell. */
import type {CompiledRule} from '#src/policy/rules.ts';
import type {RuleMatches} from '#src/shared/messages.ts';

export class RuleTally {
  readonly #matches = new Map<string, {-readonly [K in keyof RuleMatches]: RuleMatches[K]}>();

  count(customer: string, {name: rule, action}: CompiledRule): void {
    const key = `${customer} ${rule} ${action}`;
    const known = this.#matches.get(key);
    if (known === undefined) this.#matches.set(key, {customer, rule, action, count: 1});
    else known.count++;
  }

  /** What was counted since the last call. */
  take(): readonly RuleMatches[] {
    if (this.#matches.size === 0) return [];
    const matches = [...this.#matches.values()];
    this.#matches.clear();
    return matches;
  }
}
