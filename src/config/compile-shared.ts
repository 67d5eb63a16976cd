/** What node and customer files compile in the same way. */
import type {z} from 'zod';
import {type ConfigPath, quote} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';
import type {limitsSection, routeTimeoutsSection} from '#src/config/shared-sections.ts';
import type {LimitSnapshot, RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';

/** What holds for a route where neither it nor its site says otherwise. */
export interface RouteDefaults {
  readonly timeouts: RouteTimeoutsSnapshot;
  readonly maxBodyBytes: number;
  readonly requestBufferBytes: number;
}

export function compileLimits(limits: z.output<typeof limitsSection>, report: Report): readonly LimitSnapshot[] {
  refuseDuplicates(limits.map((limit) => limit.name), (index) => ['limits', index, 'name'], 'the name of another limit', report);
  return limits.map(({name, key, rate, burst}) => ({name, key, intervalMs: rate.intervalMs, burst: burst ?? rate.count}));
}

export function overrideTimeouts(outer: RouteTimeoutsSnapshot, own: z.output<typeof routeTimeoutsSection>): RouteTimeoutsSnapshot {
  return {
    connectMs: own.connect ?? outer.connectMs,
    requestBodyIdleMs: own.request_body_idle ?? outer.requestBodyIdleMs,
    responseHeadMs: own.response_head ?? outer.responseHeadMs,
    responseIdleMs: own.response_idle ?? outer.responseIdleMs,
  };
}

/** `what` continues "found": for example `the name of another listener`. */
export function refuseDuplicates(values: readonly string[], pathOf: (index: number) => ConfigPath, what: string, report: Report): void {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) report.problem(pathOf(index), {found: `${quote(value)}, ${what}`, allowed: 'each once', remedy: 'remove or change one of the two'});
    seen.add(value);
  }
}
