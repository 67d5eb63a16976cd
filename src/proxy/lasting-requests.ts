/**
 * Requests that may last for as long as their client likes: event streams, calls of gRPC and WebSockets. All others end by themselves, and a ban leaves
 * them; these would keep the client.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp, type Losable} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {Edge} from '#src/edge/edge.ts';
import {banFault, type ClientBans} from '#src/policy/client-bans.ts';
import type {Downstream} from '#src/edge/request-handler.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export interface LastingRequest extends Losable {
  /** Its client has been banned. */
  banish(fault: FaultCode): void;
}

/** Whose it is. */
interface Origin {
  readonly facts: RequestFacts;
  readonly downstream: Downstream;
}

export class LastingRequests {
  readonly #requests = new Map<LastingRequest, Origin>();
  /** As of the last look. */
  #banRevision = 0;
  #lookMs = Number.NEGATIVE_INFINITY;

  add(request: LastingRequest, facts: RequestFacts, downstream: Downstream): void {
    this.#requests.set(request, {facts, downstream});
    // Its client may have been banned since it was admitted.
    this.#banRevision = Number.NaN;
  }

  delete(request: LastingRequest): void {
    this.#requests.delete(request);
  }

  /** Ends those of clients that are banned by now. In a storm of bans it is looked once in a while. */
  endBanned({bans, clock: {nowMs}, reportBug}: Pick<Edge, 'bans' | 'clock' | 'reportBug'>): void {
    if (bans.revision === this.#banRevision || nowMs - this.#lookMs < LIMITS.lastingLookMs) return;
    this.#banRevision = bans.revision;
    this.#lookMs = nowMs;
    for (const [request, origin] of this.#requests) {
      try {
        const fault = findBan(origin, bans);
        if (fault !== null) request.banish(fault);
      } catch (error) {
        giveUp(request, error, reportBug);
      }
    }
  }
}

/** Null where the request's client is not banned. */
export function findBan({facts: {client, site}, downstream: {peer}}: Origin, bans: ClientBans): FaultCode | null {
  if (client === null || site === null) return null;
  return bans.isBannedFromNode(client.ip) || bans.isBanned(site.customer.banScope, client.ip) ? banFault(client, peer) : null;
}
