/** How often each limit was exceeded since that was last told: the control thread adds up what all threads tell. */
import type {CompiledLimit} from '#src/policy/request-limits.ts';
import type {LimitExcesses} from '#src/shared/messages.ts';

export class LimitTally {
  readonly #counts = new Map<CompiledLimit, number>();
  /** For those who are handed a function. */
  readonly count = (limit: CompiledLimit): void => {
    this.#counts.set(limit, (this.#counts.get(limit) ?? 0) + 1);
  };

  /** What was counted since the last call. */
  take(): readonly LimitExcesses[] {
    if (this.#counts.size === 0) return [];
    const excesses = Array.from(this.#counts, ([{customer, name: limit, isEnforced}, count]) => ({customer, limit, mode: isEnforced ? 'enforce' : 'observe', count}) as const);
    this.#counts.clear();
    return excesses;
  }
}
