/** When an endpoint counts as healthy, from the answers to its probes. Pure. */
import type {HealthState} from '#src/shared/endpoint-slot.ts';

export interface HealthProgress {
  readonly state: HealthState;
  /** Probes in a row that contradict `state`. */
  readonly contradictions: number;
}

export const UNPROBED: HealthProgress = {state: 'pending', contradictions: 0};

/**
 * `rise` successes in a row bring an endpoint back, `fall` failures in a row take it out. A pending one is up with its first
 * success: nothing speaks against it yet, and a start should not take `rise` intervals.
 */
export function recordProbe(progress: HealthProgress, healthy: boolean, rule: {readonly rise: number; readonly fall: number}): HealthProgress {
  if (healthy && progress.state === 'pending') return {state: 'up', contradictions: 0};
  if (progress.state === (healthy ? 'up' : 'down')) return progress.contradictions === 0 ? progress : {state: progress.state, contradictions: 0};
  const contradictions = progress.contradictions + 1;
  if (contradictions < (healthy ? rule.rise : rule.fall)) return {state: progress.state, contradictions};
  return {state: healthy ? 'up' : 'down', contradictions: 0};
}
