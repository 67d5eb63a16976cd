/**
 * A connection after its upgrade: bytes both ways between a client and an application, each side as fast as the other one reads. Nobody
 * looks at the bytes, and neither of the two connections is ever used for anything else.
 */
import type {ClientKey, PlaceAccount} from '#src/balance/fair-places.ts';
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ContentHandler, Downstream} from '#src/edge/request-handler.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {hardenResponseFields, type ResponsePlan} from '#src/policy/response-hardening.ts';
import {isAcceptance} from '#src/policy/websocket-handshake.ts';
import {Holding, type Holder} from '#src/transport/held-memory.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {ResponseBodyHandler, TunnelStream} from '#src/upstream/upstream-stream.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import type {LastingRequest} from '#src/proxy/lasting-requests.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export interface TunnelParts {
  readonly gateway: Gateway;
  readonly downstream: Downstream;
  readonly stream: TunnelStream;
  readonly endpoint: UpstreamEndpoint;
  /** Of the request that was upgraded. */
  readonly facts: RequestFacts;
  /** Called once. No fault: one of the two has ended it. */
  readonly onEnd: (fault: FaultCode | null) => void;
}

export class Tunnel extends Deadlined implements ContentHandler, ResponseBodyHandler, Holder, LastingRequest {
  readonly #parts: TunnelParts;
  readonly #holding = new Holding(this);
  #isOpen = false;
  #isRequestEnded = false;
  /** How long no byte may come, from either side. */
  #idleMs = 0;

  constructor(parts: TunnelParts) {
    super();
    this.#parts = parts;
  }

  /** Takes over both sides, if the application's 101 accepts what the client offered. Else nothing has happened, and the fault says why. */
  open(head: ResponseHead, plan: ResponsePlan): FaultCode | null {
    const {downstream, endpoint, facts: {upgrade}, gateway} = this.#parts;
    if (upgrade === null) throw new Error('an upgrade that nobody asked for');
    if (!isAcceptance(head, upgrade.offer)) {
      endpoint.recordFailure('upstream_upgrade_invalid', gateway.clock.nowMs);
      return 'upstream_upgrade_invalid';
    }
    endpoint.slot.recordSuccess();
    const objection = gateway.tunnels.findObjection(this, gateway);
    if (objection !== null) return objection;
    if (!downstream.beginTunnel(hardenResponseFields(head, plan, downstream.tls !== null), this)) return 'websocket_invalid';
    this.#isOpen = true;
    this.#idleMs = upgrade.idleMs;
    gateway.tunnels.add(this);
    gateway.lasting.add(this, this.facts, downstream);
    this.#stayOpen();
    return null;
  }

  get facts(): RequestFacts {
    return this.#parts.facts;
  }

  get downstream(): Downstream {
    return this.#parts.downstream;
  }

  get endpoint(): UpstreamEndpoint {
    return this.#parts.endpoint;
  }

  /** What goes to the client is held by its connection. */
  get heldBytes(): number {
    return this.#parts.stream.backlogBytes;
  }

  get heldFor(): ClientKey {
    const {downstream, facts} = this.#parts;
    return facts.client ?? downstream.peer;
  }

  get heldAccount(): PlaceAccount | null {
    return this.facts.site?.customer.places.buffers ?? null;
  }

  // From the client to the application.

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    const {gateway, stream, downstream} = this.#parts;
    this.#stayOpen();
    stream.sendContent(bytes, start, end);
    if (stream.backlogBytes >= LIMITS.heldBlockBytes) gateway.held.watch(this.#holding);
    if (stream.isBackedUp) downstream.pauseRequestBody();
  }

  onUpstreamDrain(): void {
    this.#parts.downstream.resumeRequestBody();
  }

  // From the application to the client.

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#stayOpen();
    this.#parts.downstream.writeBody(bytes, start, end);
  }

  onUpstreamReadEnd(): void {
    const {stream, downstream} = this.#parts;
    downstream.flush();
    if (downstream.isBackedUp) stream.pause();
  }

  onDownstreamBackedUp(): void {
    this.#parts.stream.pause();
  }

  onDownstreamDrain(): void {
    this.#parts.stream.resume();
  }

  // The end: what is on its way to the other side still leaves.

  /** One side only: a browser ends its side together with its close frame, and waits for the application's. */
  onRequestEnd(): void {
    this.#isRequestEnded = true;
    this.#idleMs = Math.min(this.#idleMs, LIMITS.tunnelFarewellMs);
    this.#stayOpen();
    this.#parts.stream.endRequest();
  }

  onDownstreamClosed(fault: FaultCode): void {
    this.#parts.stream.endTunnel();
    this.#end(fault === 'client_gone' ? null : fault);
  }

  onRequestFault(fault: FaultCode): void {
    this.#endBoth(fault);
  }

  onResponseEnd(): void {
    this.#parts.downstream.endResponse();
    this.#end(null);
  }

  onUpstreamFault(fault: FaultCode): void {
    this.#parts.downstream.endResponse();
    this.#end(fault);
  }

  onDeadline(): void {
    this.#endBoth(this.#isRequestEnded ? null : 'websocket_idle');
  }

  lose(fault: FaultCode): void {
    this.#parts.stream.endTunnel();
    this.#parts.downstream.abort();
    this.#end(fault);
  }

  /** A reload has taken away what the tunnel was opened under. */
  withdraw(): void {
    this.#endBoth('route_withdrawn');
  }

  banish(fault: FaultCode): void {
    this.#endBoth(fault);
  }

  #endBoth(fault: FaultCode | null): void {
    this.#parts.stream.endTunnel();
    this.#parts.downstream.endResponse();
    this.#end(fault);
  }

  #end(fault: FaultCode | null): void {
    if (!this.#isOpen) return;
    const {gateway, onEnd} = this.#parts;
    this.#isOpen = false;
    gateway.upstream.wheel.disarm(this);
    gateway.tunnels.delete(this);
    gateway.lasting.delete(this);
    gateway.held.drop(this.#holding);
    onEnd(fault);
  }

  #stayOpen(): void {
    const {gateway} = this.#parts;
    gateway.upstream.wheel.arm(this, gateway.clock.nowMs + this.#idleMs);
  }
}
