/** Trailers and gRPC: what of them a request takes part in, and what becomes of them. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import type {Downstream} from '#src/edge/request-handler.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {grpcStatusLines} from '#src/policy/grpc.ts';
import {selectTrailers} from '#src/policy/trailers.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import type {Route} from '#src/proxy/tables.ts';

/** Fills in whether trailers pass: where the route says so, and for gRPC, which cannot do without. */
export function planTrailers({pool, snapshot}: Route, head: RequestHead, facts: RequestFacts, {protocol}: Downstream): void {
  facts.passesTrailers = snapshot.trailers || (facts.isGrpc && pool !== null && pool.snapshot.protocol !== 'http1');
  facts.takesTrailers = facts.passesTrailers && (protocol === 'HTTP/2' || acceptsTrailers(head));
}

/** RFC 9110 §10.1.4. Over HTTP/2 everybody reads them or throws them away. */
function acceptsTrailers({fields}: RequestHead): boolean {
  for (let i = 0; i < fields.count; i++) {
    if (/^te$/i.test(fields.name(i)) && fields.value(i).split(',').some((member) => member.trim().toLowerCase() === 'trailers')) return true;
  }
  return false;
}

export function requestTrailers(trailers: FieldBlock | null, {passesTrailers, route}: RequestFacts): string {
  return trailers === null || !passesTrailers || route === null ? '' : selectTrailers(trailers, route.requestPlan);
}

export function responseTrailers(trailers: FieldBlock | null, {route, takesTrailers}: RequestFacts): string {
  return trailers === null || !takesTrailers || route === null ? '' : selectTrailers(trailers, route.responsePlan);
}

/** A call may be silent like an event stream, in both directions. */
export function patienceOf(timeouts: RouteTimeoutsSnapshot, {isGrpc}: RequestFacts): RouteTimeoutsSnapshot {
  return isGrpc ? {...timeouts, requestBodyIdleMs: timeouts.eventStreamIdleMs, requestBodyRateMin: 0, responseRateMin: 0} : timeouts;
}

/** Ends a call that had an answer already: its status is in the trailers. False where it has to be cut. */
export function endCall(fault: FaultCode, {isGrpc}: RequestFacts, downstream: Downstream): boolean {
  if (!isGrpc || downstream.protocol !== 'HTTP/2' || FAULTS[fault].status === 0) return false;
  downstream.endResponse(grpcStatusLines(fault));
  return true;
}
