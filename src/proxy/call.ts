/** Trailers and gRPC: what of them a request takes part in, and what becomes of them. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {withoutRates} from '#src/core/patience.ts';
import type {Downstream} from '#src/edge/request-handler.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {isEventStream} from '#src/policy/event-stream.ts';
import {grpcStatusLines, readCallTimeout} from '#src/policy/grpc.ts';
import {selectTrailers} from '#src/policy/trailers.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import type {Route} from '#src/proxy/tables.ts';

/** Fills in until when the client of a call waits. One that does not wait at all costs no application anything. */
export function planDeadline(head: RequestHead, facts: RequestFacts): FaultCode | null {
  if (!facts.isGrpc || facts.route === null) return null;
  const timeoutMs = readCallTimeout(head);
  if (timeoutMs === null) return 'grpc_timeout_invalid';
  facts.deadlineMs = facts.startedMs + timeoutMs;
  return timeoutMs === 0 ? 'grpc_deadline' : null;
}

/** Fills in whether trailers pass: where the route says so, and for gRPC, which cannot do without. */
export function planTrailers(route: Route, head: RequestHead, facts: RequestFacts, {protocol}: Downstream): void {
  facts.passesTrailers = route.snapshot.trailers || facts.isGrpc;
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

/** Of calls and event streams: the response may be silent for as long as there is nothing to say. True where it is one of these. */
export function allowSilence(head: ResponseHead, {timeouts}: Route['snapshot'], {isGrpc}: RequestFacts, upstream: UpstreamStream | null, downstream: Downstream): boolean {
  if (!isGrpc && !isEventStream(head)) return false;
  upstream?.setBodyIdle(timeouts.eventStreamIdleMs);
  downstream.setPatience(withoutRates(timeouts));
  return true;
}

/** Ends a call that had an answer already: its status is in the trailers. False where it has to be cut. */
export function endCall(fault: FaultCode, {isGrpc}: RequestFacts, downstream: Downstream): boolean {
  if (!isGrpc || FAULTS[fault].status === 0) return false;
  downstream.endResponse(grpcStatusLines(fault));
  return true;
}
