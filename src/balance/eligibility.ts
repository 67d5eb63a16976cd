/** Which endpoints of a pool may get a request at this moment. One rule for every algorithm. */
import type {EndpointSlot} from '#src/shared/endpoint-slot.ts';

export interface Endpoint {
  /** IP literal and port: who the endpoint is, over reloads and threads. */
  readonly address: string;
  readonly port: number;
  /** A share of the pool's requests, above 0. */
  readonly weight: number;
  /** Only used while no other endpoint can be. */
  readonly backup: boolean;
  /** Gets no new requests. */
  readonly drain: boolean;
  readonly slot: EndpointSlot;
}

/** Tiers are better the lower they are. The three properties add up, the gravest weighs most. */
const PENDING = 1, BACKUP = 2, EJECTED = 4;
const INELIGIBLE = 8;

export class Eligibility {
  readonly #endpoints: readonly Endpoint[];
  readonly #isProbed: boolean;
  readonly #tiers: Uint8Array;
  #best = INELIGIBLE;

  constructor(endpoints: readonly Endpoint[], isProbed: boolean) {
    this.#endpoints = endpoints;
    this.#isProbed = isProbed;
    this.#tiers = new Uint8Array(endpoints.length);
  }

  /** Looks at all endpoints once, so that a pick sees one state though other threads change it. False where none is eligible. */
  refresh(nowMs: number, exclude: number): boolean {
    this.#best = INELIGIBLE;
    for (let index = 0; index < this.#endpoints.length; index++) {
      const endpoint = this.#endpoints[index];
      const tier = endpoint === undefined || index === exclude ? INELIGIBLE : this.#tierOf(endpoint, nowMs);
      this.#tiers[index] = tier;
      if (tier < this.#best) this.#best = tier;
    }
    return this.#best !== INELIGIBLE;
  }

  /** In the best tier that has an endpoint, as of the last refresh. */
  has(index: number): boolean {
    return this.#tiers[index] === this.#best;
  }

  /**
   * Endpoints that probes found down or that are drained never get a request. The passive mark is weaker than a probe: where nothing
   * else is left, an ejected endpoint is tried all the same, for a pool of one server must not go dark for its application's few errors.
   */
  #tierOf(endpoint: Endpoint, nowMs: number): number {
    const health = this.#isProbed ? endpoint.slot.health : 'up';
    if (endpoint.drain || health === 'down') return INELIGIBLE;
    return (endpoint.slot.isEjected(nowMs) ? EJECTED : 0) + (endpoint.backup ? BACKUP : 0) + (health === 'pending' ? PENDING : 0);
  }
}
