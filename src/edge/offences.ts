/**
 * What clients do wrong over HTTP/2 and TLS, added up over their connections and all threads: a flood that one connection is ended for can be spread
 * over many, or begun anew with the next. Whoever goes on is banned from the node, and from then on refused before TLS.
 */
import type {Clock} from '#src/core/clock.ts';
import {clientCidr} from '#src/core/ip.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientBans} from '#src/policy/client-bans.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {raiseBanLevel} from '#src/shared/ban-level.ts';
import type {BanOrder} from '#src/shared/messages.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';

const REASON = 'floods or violations of HTTP/2 or TLS';

export interface OffencesParts {
  readonly clock: Clock;
  readonly hash: KeyedHash;
  readonly bans: ClientBans;
  readonly buckets: RateBuckets;
  readonly glitchBuckets: RateBuckets;
  /** How often somebody has been banned. */
  readonly memory: RateBuckets;
  readonly ban: (order: BanOrder) => void;
}

export class Offences {
  readonly #parts: OffencesParts;
  readonly #seedHigh: number;
  readonly #seedLow: number;
  readonly #glitchSeedHigh: number;
  readonly #glitchSeedLow: number;

  constructor(parts: OffencesParts) {
    this.#parts = parts;
    parts.hash.hashText('offences');
    this.#seedHigh = parts.hash.high;
    this.#seedLow = parts.hash.low;
    parts.hash.hashText('glitches');
    this.#glitchSeedHigh = parts.hash.high;
    this.#glitchSeedLow = parts.hash.low;
  }

  /** @param quarters of what is borne at once of one connection */
  recordGlitches(client: ClientIdentity, quarters: number): void {
    const {glitchBuckets, clock} = this.#parts;
    const keyHigh = this.#glitchSeedHigh ^ client.keyHigh, keyLow = this.#glitchSeedLow ^ client.keyLow;
    const waitMs = glitchBuckets.take(keyHigh, keyLow, clock.nowMs, LIMITS.clientGlitchQuarterMs * quarters, LIMITS.clientGlitchQuartersMax / quarters);
    if (waitMs > 0) this.record(client, LIMITS.offencePointsOfGlitches);
  }

  record(client: ClientIdentity, points: number): void {
    const {bans, buckets, clock, memory, ban} = this.#parts;
    // A proxy that is trusted carries many clients, of whom each may do one thing wrong.
    if (!bans.mayBeBanned(client.ip)) return;
    // Both halves of a key are secret hashes, so their combination is as good a key as any.
    const keyHigh = this.#seedHigh ^ client.keyHigh, keyLow = this.#seedLow ^ client.keyLow;
    for (let i = 0; i < points; i++) {
      if (buckets.take(keyHigh, keyLow, clock.nowMs, LIMITS.offencePointMs, LIMITS.offencePointsMax) === 0) continue;
      buckets.clear(keyHigh, keyLow);
      const doublings = raiseBanLevel(memory, keyHigh, keyLow, clock.nowMs);
      ban({customer: null, network: clientCidr(client.ip), reason: REASON, forMs: Math.min(LIMITS.offenceBanMs * 2 ** doublings, LIMITS.offenceBanMsMax)});
      return;
    }
  }
}
