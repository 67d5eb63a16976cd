/** The picking algorithms. A picker belongs to one pool of one thread; it allocates nothing per pick. */
import type {BalanceAlgorithm} from '#src/config/snapshot.ts';
import {Eligibility, type Endpoint} from '#src/balance/eligibility.ts';

export interface Picker {
  /**
   * Index of the endpoint for a request, or -1 where none is eligible. `hash` is what `consistent_hash` looks at (an unsigned or signed
   * word of a keyed hash), `random` is in [0, 1), `exclude` is the index of the endpoint that has just failed, or -1.
   */
  pick(nowMs: number, hash: number, random: number, exclude: number): number;
}

/** Requests in flight over all threads, for one unit of weight. */
function loadOf(endpoint: Endpoint): number {
  return endpoint.slot.requests / endpoint.weight;
}

/** Smooth weighted round robin (nginx): heavy endpoints are spread out and not served in bursts. */
class RoundRobin implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #eligibility: Eligibility;
  /** What each endpoint is owed. */
  readonly #credits: Float64Array;

  constructor(endpoints: readonly Endpoint[], eligibility: Eligibility) {
    this.#endpoints = endpoints;
    this.#eligibility = eligibility;
    this.#credits = new Float64Array(endpoints.length);
  }

  pick(nowMs: number, _hash: number, _random: number, exclude: number): number {
    if (!this.#eligibility.refresh(nowMs, exclude)) return -1;
    let best = -1, bestCredit = -Infinity, weights = 0;
    for (let index = 0; index < this.#endpoints.length; index++) {
      if (!this.#eligibility.has(index)) continue;
      const weight = this.#endpoints[index]?.weight ?? 0;
      const credit = (this.#credits[index] ?? 0) + weight;
      this.#credits[index] = credit;
      weights += weight;
      if (credit > bestCredit) {
        best = index;
        bestCredit = credit;
      }
    }
    this.#credits[best] = bestCredit - weights;
    return best;
  }
}

/** Where `position` falls when the shares are laid end to end. -1 where there is none. */
function pickByShare(shares: Float64Array, position: number): number {
  let rest = position, last = -1;
  for (let index = 0; index < shares.length; index++) {
    const share = shares[index] ?? 0;
    if (share === 0) continue;
    last = index;
    rest -= share;
    if (rest < 0) break;
  }
  return last;
}

/** The fewest requests in flight for its weight. Ties go by weighted chance: without it every thread would send to the same one. */
class LeastRequests implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #eligibility: Eligibility;
  /** Weights of those that are tied for the least load, and 0 for all others. */
  readonly #shares: Float64Array;

  constructor(endpoints: readonly Endpoint[], eligibility: Eligibility) {
    this.#endpoints = endpoints;
    this.#eligibility = eligibility;
    this.#shares = new Float64Array(endpoints.length);
  }

  pick(nowMs: number, _hash: number, random: number, exclude: number): number {
    if (!this.#eligibility.refresh(nowMs, exclude)) return -1;
    let least = Infinity, weights = 0;
    for (let index = 0; index < this.#endpoints.length; index++) {
      const endpoint = this.#endpoints[index];
      this.#shares[index] = 0;
      if (endpoint === undefined || !this.#eligibility.has(index)) continue;
      // Read once: other threads change it meanwhile.
      const load = loadOf(endpoint);
      if (load > least) continue;
      if (load < least) {
        least = load;
        weights = 0;
        this.#shares.fill(0, 0, index);
      }
      this.#shares[index] = endpoint.weight;
      weights += endpoint.weight;
    }
    return pickByShare(this.#shares, random * weights);
  }
}

/**
 * Two endpoints by weighted chance, then the less loaded one (Mitzenmacher, 2001): nearly as even as `least_requests`, and without its
 * herd of threads that all send to the endpoint which has just come back.
 */
class RandomTwo implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #eligibility: Eligibility;
  /** Weights of the eligible ones, and 0 for all others. */
  readonly #shares: Float64Array;

  constructor(endpoints: readonly Endpoint[], eligibility: Eligibility) {
    this.#endpoints = endpoints;
    this.#eligibility = eligibility;
    this.#shares = new Float64Array(endpoints.length);
  }

  pick(nowMs: number, _hash: number, random: number, exclude: number): number {
    if (!this.#eligibility.refresh(nowMs, exclude)) return -1;
    for (let index = 0; index < this.#endpoints.length; index++) {
      this.#shares[index] = this.#eligibility.has(index) ? this.#endpoints[index]?.weight ?? 0 : 0;
    }
    const weights = this.#sumBefore(this.#shares.length);
    const position = random * weights;
    const first = pickByShare(this.#shares, position);
    const one = this.#endpoints[first];
    if (one === undefined || one.weight >= weights) return first;
    // Where in the first one's weight the position fell is as random as the position was: it chooses the second.
    const fraction = Math.min(Math.max((position - this.#sumBefore(first)) / one.weight, 0), 1);
    this.#shares[first] = 0;
    const second = pickByShare(this.#shares, fraction * (weights - one.weight));
    const two = this.#endpoints[second];
    return two !== undefined && loadOf(two) < loadOf(one) ? second : first;
  }

  #sumBefore(end: number): number {
    let sum = 0;
    for (let index = 0; index < end; index++) sum += this.#shares[index] ?? 0;
    return sum;
  }
}

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar, 1998): each endpoint draws a time from the key, exponentially distributed with its
 * weight as rate, and the earliest wins. An endpoint that leaves moves only its own keys, in proportion to the others' weights, and
 * they come back with it. A ring or a Maglev table would be faster for thousands of endpoints, but moves more, and costs memory per pool.
 */
class ConsistentHash implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #eligibility: Eligibility;
  /** By address and not by position, so that a reload which adds or removes an endpoint leaves the others their keys. */
  readonly #seeds: Int32Array;

  constructor(endpoints: readonly Endpoint[], eligibility: Eligibility) {
    this.#endpoints = endpoints;
    this.#eligibility = eligibility;
    this.#seeds = Int32Array.from(endpoints, ({address, port}) => seedOf(`${address} ${port}`));
  }

  pick(nowMs: number, hash: number, _random: number, exclude: number): number {
    if (!this.#eligibility.refresh(nowMs, exclude)) return -1;
    let best = -1, bestTime = Infinity;
    for (let index = 0; index < this.#endpoints.length; index++) {
      if (!this.#eligibility.has(index)) continue;
      const uniform = (mixWord(hash ^ (this.#seeds[index] ?? 0)) + 0.5) / 2 ** 32;
      const time = -Math.log(uniform) / (this.#endpoints[index]?.weight ?? 1);
      if (time < bestTime) {
        best = index;
        bestTime = time;
      }
    }
    return best;
  }
}

/** FNV-1a: the text is configuration, and only has to differ between endpoints. */
function seedOf(text: string): number {
  let seed = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) seed = Math.imul(seed ^ text.charCodeAt(i), 0x01000193);
  return mixWord(seed) | 0;
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the output. Unsigned. */
function mixWord(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const PICKERS: Readonly<Record<BalanceAlgorithm, new (endpoints: readonly Endpoint[], eligibility: Eligibility) => Picker>> = {
  round_robin: RoundRobin,
  least_requests: LeastRequests,
  random_two: RandomTwo,
  consistent_hash: ConsistentHash,
};

/** `probed`: active probes keep the endpoints' health. Without them, every endpoint counts as up. */
export function createPicker(algorithm: BalanceAlgorithm, endpoints: readonly Endpoint[], probed: boolean): Picker {
  for (const {weight} of endpoints) {
    if (!(weight > 0)) throw new RangeError(`${weight} is not a weight`);
  }
  return new PICKERS[algorithm](endpoints, new Eligibility(endpoints, probed));
}
