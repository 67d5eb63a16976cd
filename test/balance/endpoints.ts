/** Endpoints with real slots in shared memory. */
import {EndpointSlot, endpointSlotByteLength} from '#src/shared/endpoint-slot.ts';
import type {Endpoint} from '#src/balance/eligibility.ts';

export interface EndpointTraits {
  readonly weight?: number;
  readonly backup?: boolean;
  readonly drain?: boolean;
}

/** `port` makes the address: endpoints of the same port are the same endpoint. */
export function createEndpoint(port: number, {weight = 1, backup = false, drain = false}: EndpointTraits = {}): Endpoint {
  const slot = new EndpointSlot({buffer: new SharedArrayBuffer(endpointSlotByteLength(1)), byteOffset: 0}, 1, 0);
  slot.health = 'up';
  return {address: '10.0.0.1', port, weight, backup, drain, slot};
}

export function createEndpoints(traits: readonly EndpointTraits[]): Endpoint[] {
  return traits.map((each, index) => createEndpoint(3_000 + index, each));
}

export function beginRequests(endpoint: Endpoint | undefined, requests: number): void {
  for (let i = 0; i < requests; i++) endpoint?.slot.tryBeginRequest(Infinity);
}

/** Left out until `untilMs`. */
export function eject(endpoint: Endpoint | undefined, untilMs: number): void {
  endpoint?.slot.recordFailure(0, 1, untilMs);
}
