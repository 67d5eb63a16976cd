/** What node and customer files compile in the same way. */
import type {z} from 'zod';
import type {limitsSection, routeTimeoutsSection} from '#src/config/shared-sections.ts';
import type {LimitSnapshot, RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';

/** What holds for a route where neither it nor its site says otherwise. */
export interface RouteDefaults {
  readonly timeouts: RouteTimeoutsSnapshot;
  readonly maxBodyBytes: number;
  readonly requestBufferBytes: number;
}

export function compileLimits(limits: z.output<typeof limitsSection>): readonly LimitSnapshot[] {
  return limits.map(({name, key, key_name: keyName, rate, burst, mode, scope, announce}) => ({
    name, key, keyName: (key === 'header' ? keyName?.toLowerCase() : keyName) ?? '', intervalMs: rate.intervalMs, burst: burst ?? rate.count,
    isEnforced: mode === 'enforce', isFleetWide: scope === 'fleet', isAnnounced: announce === 'always' && mode === 'enforce',
  }));
}

export function overrideTimeouts(outer: RouteTimeoutsSnapshot, own: z.output<typeof routeTimeoutsSection>): RouteTimeoutsSnapshot {
  return {
    connectMs: own.connect ?? outer.connectMs,
    requestBodyIdleMs: own.request_body_idle ?? outer.requestBodyIdleMs,
    requestBodyRateMin: own.request_body_min_rate ?? outer.requestBodyRateMin,
    responseHeadMs: own.response_head ?? outer.responseHeadMs,
    responseIdleMs: own.response_idle ?? outer.responseIdleMs,
    responseRateMin: own.response_min_rate ?? outer.responseRateMin,
    eventStreamIdleMs: own.event_stream_idle ?? outer.eventStreamIdleMs,
  };
}
