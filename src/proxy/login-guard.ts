/**
 * One login guard of a customer: counts failed logins of clients, accounts and pairs of both in shared memory, so that the numbers are
 * exact over all threads and no request waits for another thread.
 *
 * An attempt takes its tokens before it is tried and gets them back when it did not fail: a hundred at once are no way around a limit.
 */
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import type {Clock} from '#src/core/clock.ts';
import type {DeadlineWheel} from '#src/core/deadline-wheel.ts';
import {clientCidr} from '#src/core/ip.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {raiseBanLevel} from '#src/shared/ban-level.ts';
import type {BanOrder, LoginDetection, LoginStage} from '#src/shared/messages.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';
import type {LoginTally} from '#src/proxy/login-tally.ts';

export interface LoginGuardParts {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly hash: KeyedHash;
  readonly buckets: RateBuckets;
  /** Buckets of days. */
  readonly memory: RateBuckets;
  readonly tally: LoginTally;
  readonly ban: (order: BanOrder) => void;
}

/** Attempts of a customer that wait at this moment. */
export interface WaitingLogins {
  count: number;
}

interface Bucket {
  readonly keyHigh: number;
  readonly keyLow: number;
  readonly intervalMs: number;
  readonly burst: number;
  /** What it means when it is empty. */
  readonly detection: LoginDetection;
}

/** An empty bucket, and how long to wait for its next token. */
export interface UsedUp {
  readonly bucket: Bucket;
  readonly waitMs: number;
}

/** Whom an attempt counts for. */
export interface LoginKeys {
  readonly client: ClientIdentity;
  readonly pair: Bucket;
  /** The pair is among them. */
  readonly buckets: readonly Bucket[];
  /** Remembers that this client has logged in with this account; null without an account. */
  readonly trust: Pick<Bucket, 'keyHigh' | 'keyLow'> | null;
}

export class LoginGuard {
  readonly snapshot: LoginGuardSnapshot;
  readonly parts: LoginGuardParts;
  readonly #customer: string;
  readonly #waiting: WaitingLogins;

  constructor(parts: LoginGuardParts, customer: string, snapshot: LoginGuardSnapshot, waiting: WaitingLogins) {
    this.parts = parts;
    this.#waiting = waiting;
    this.#customer = customer;
    this.snapshot = snapshot;
  }

  /** @param account empty where there is none */
  keysFor(client: ClientIdentity, account: string): LoginKeys {
    const {pairFailures, accountFailures} = this.snapshot;
    const pair = this.#bucket('pair', account, client, pairFailures, 'brute_force');
    const buckets = [pair, this.#clientBucket(client)];
    if (account === '') return {client, pair, buckets, trust: null};
    const trust = this.#bucket('trust', account, client, 1, 'none');
    // Whoever wants to lock somebody out only has to fail often: not those who have logged in to the account before.
    const isTrusted = this.parts.memory.debt(trust.keyHigh, trust.keyLow, this.parts.clock.nowMs) > 0;
    return {client, pair, trust, buckets: isTrusted ? buckets : [...buckets, this.#bucket('account', account, null, accountFailures, 'spraying')]};
  }

  #bucket(kind: string, account: string, client: ClientIdentity | null, burst: number, detection: LoginDetection): Bucket {
    const {hash} = this.parts;
    hash.hashText(`login\n${this.#customer}\n${this.snapshot.name}\n${kind}\n${account}`);
    return {keyHigh: hash.high ^ (client?.keyHigh ?? 0), keyLow: hash.low ^ (client?.keyLow ?? 0), burst, intervalMs: this.snapshot.windowMs / burst, detection};
  }

  /** What nobody has to read an account for: the client's own number, where it is used up. */
  findUsedUp(client: ClientIdentity): UsedUp | null {
    const {clock, buckets} = this.parts;
    const bucket = this.#clientBucket(client);
    const waitMs = buckets.wait(bucket.keyHigh, bucket.keyLow, clock.nowMs, bucket.intervalMs, bucket.burst);
    return waitMs === 0 ? null : {bucket, waitMs};
  }

  #clientBucket(client: ClientIdentity): Bucket {
    const {account, clientFailures} = this.snapshot;
    return this.#bucket('client', '', client, clientFailures, account === null ? 'brute_force' : 'stuffing');
  }

  /** Takes a token of every bucket, or none. */
  reserve({buckets}: LoginKeys): UsedUp | null {
    const {clock, buckets: table} = this.parts;
    for (const [index, bucket] of buckets.entries()) {
      const waitMs = table.take(bucket.keyHigh, bucket.keyLow, clock.nowMs, bucket.intervalMs, bucket.burst);
      if (waitMs === 0) continue;
      for (const taken of buckets.slice(0, index)) table.giveBack(taken.keyHigh, taken.keyLow, taken.intervalMs);
      return {bucket, waitMs};
    }
    return null;
  }

  release({buckets}: LoginKeys): void {
    for (const {keyHigh, keyLow, intervalMs} of buckets) this.parts.buckets.giveBack(keyHigh, keyLow, intervalMs);
  }

  /** The pair begins anew, and the client is known for the account. */
  recordSuccess({pair, trust}: LoginKeys): void {
    const {buckets, memory, clock} = this.parts;
    buckets.clear(pair.keyHigh, pair.keyLow);
    if (trust !== null) memory.take(trust.keyHigh, trust.keyLow, clock.nowMs, LIMITS.loginTrustMs, 1);
  }

  /** How long an attempt waits: nothing up to half of a limit, all of it at the limit. */
  findDelay({buckets}: LoginKeys): {readonly delayMs: number; readonly detection: LoginDetection} {
    const {clock, buckets: table} = this.parts;
    let worst = {share: 0, detection: 'none' as LoginDetection};
    for (const {keyHigh, keyLow, intervalMs, burst, detection} of buckets) {
      // The attempt's own token has been taken, and says nothing yet.
      const share = (table.debt(keyHigh, keyLow, clock.nowMs) / intervalMs - 1) / (burst - 1);
      if (share > worst.share) worst = {share, detection};
    }
    return {delayMs: Math.max(0, worst.share - 0.5) * 2 * this.snapshot.delayMaxMs, detection: worst.detection};
  }

  /** False where too many wait: of all customers, or of this one, so that nobody takes the places of others. */
  beginWait(): boolean {
    const {tally} = this.parts;
    if (tally.delayed >= LIMITS.loginsDelayedMax || this.#waiting.count >= LIMITS.loginsDelayedPerCustomerMax) return false;
    tally.delayed++;
    this.#waiting.count++;
    return true;
  }

  endWait(): void {
    this.parts.tally.delayed--;
    this.#waiting.count--;
  }

  /** An attempt has been refused. Whoever goes on is banned. */
  strike(client: ClientIdentity, detection: LoginDetection): void {
    const {ban, windowMs, isEnforced, name} = this.snapshot;
    if (ban === null) return;
    const {clock, buckets, memory} = this.parts;
    const strikes = this.#bucket('strikes', '', client, ban.after, detection);
    if (buckets.take(strikes.keyHigh, strikes.keyLow, clock.nowMs, windowMs / ban.after, ban.after) === 0) return;
    buckets.clear(strikes.keyHigh, strikes.keyLow);
    const level = this.#bucket('level', '', client, LIMITS.banLevelMax, detection);
    const doublings = raiseBanLevel(memory, level.keyHigh, level.keyLow, clock.nowMs);
    this.count('banned', detection, client);
    if (!isEnforced) return;
    this.parts.ban({customer: this.#customer, network: clientCidr(client.ip), reason: `login guard ${name}: ${detection}`, forMs: Math.min(ban.forMs * 2 ** doublings, ban.maxMs)});
  }

  count(stage: LoginStage, detection: LoginDetection, client: ClientIdentity): void {
    this.parts.tally.count({customer: this.#customer, guard: this.snapshot.name, stage, detection, client: client.address});
  }
}
