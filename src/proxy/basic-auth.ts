/** User name and password (RFC 7617): what was right lately passes at once, everything else is checked elsewhere. */
import {isDeepStrictEqual} from 'node:util';
import type {AuthSnapshot, BasicAuthSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import type {Clock} from '#src/core/clock.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {readBasicCredentials, type BasicCredentials} from '#src/policy/basic-credentials.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';
import type {Gate, PendingVerdict, Verdict, VerdictListener} from '#src/proxy/gate.ts';
import type {PasswordChecker, PasswordJob} from '#src/proxy/password-checker.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import {VerifiedCredentials} from '#src/proxy/verified-credentials.ts';

export interface BasicAuthParts {
  readonly clock: Clock;
  readonly hash: KeyedHash;
  readonly buckets: RateBuckets;
  readonly passwords: PasswordChecker;
}

export class BasicAuth implements Gate {
  readonly withheldFields: readonly string[];
  readonly identityFields: readonly string[] = [];
  readonly #parts: BasicAuthParts;
  readonly #customer: string;
  readonly #snapshot: BasicAuthSnapshot;
  readonly #hashes: ReadonlyMap<string, string>;
  readonly #challenge: string;
  readonly #verified = new VerifiedCredentials();
  /** Tells the failures of this way from those of every other. */
  readonly #seedHigh: number;
  readonly #seedLow: number;

  constructor(parts: BasicAuthParts, customer: string, snapshot: BasicAuthSnapshot) {
    this.#parts = parts;
    this.#customer = customer;
    this.#snapshot = snapshot;
    this.#hashes = new Map(snapshot.users);
    this.#challenge = `Basic realm="${snapshot.realm}", charset="UTF-8"`;
    this.withheldFields = snapshot.isAuthorizationPassed ? [] : ['authorization'];
    parts.hash.hashText(`wrong passwords\n${customer}\n${snapshot.name}`);
    this.#seedHigh = parts.hash.high;
    this.#seedLow = parts.hash.low;
  }

  matches(customer: CustomerSnapshot, auth: AuthSnapshot): boolean {
    return customer.name === this.#customer && isDeepStrictEqual(auth, this.#snapshot);
  }

  open(head: RequestHead, facts: RequestFacts, listener: VerdictListener): Verdict | PendingVerdict {
    const {client} = facts;
    if (client === null) throw new Error('an admitted request has a client');
    facts.challenge = this.#challenge;
    const credentials = readBasicCredentials(head.fields);
    if (credentials === 'missing') return refuse('credentials_missing');
    if (credentials === 'invalid') return refuse('credentials_wrong');
    const known = this.#hashes.get(credentials.user);
    const hash = known ?? this.#findDecoy(credentials.user);
    const isKnown = known !== undefined;
    const digest = this.#verified.digest(credentials, hash);
    if (isKnown && this.#verified.has(digest, this.#parts.clock.nowMs)) return admit(credentials);
    if (this.#isLimited(client, facts)) return refuse('credentials_limited');
    return this.#check({credentials, hash, isKnown, digest, client, facts, listener});
  }

  /**
   * The hash that is checked for a user who does not exist: an answer that comes at once would say so. Hashes differ in cost, so it is always
   * the same one for a name, on every thread, and nobody can foresee which.
   */
  #findDecoy(user: string): string {
    const {users} = this.#snapshot;
    const {hash} = this.#parts;
    hash.hashText(`decoy\n${this.#customer}\n${this.#snapshot.name}\n${user}`);
    return users[(hash.high >>> 0) % users.length]?.[1] ?? '';
  }

  #isLimited(client: ClientIdentity, facts: RequestFacts): boolean {
    const {buckets, clock} = this.#parts;
    facts.retryAfterMs = buckets.wait(this.#seedHigh ^ client.keyHigh, this.#seedLow ^ client.keyLow, clock.nowMs, LIMITS.credentialFailureIntervalMs, LIMITS.credentialFailuresBurst);
    return facts.retryAfterMs > 0;
  }

  #check(attempt: Attempt): Verdict | PendingVerdict {
    const {credentials, hash, client, facts, listener} = attempt;
    const state = {isWanted: true};
    const job: PasswordJob = {
      customer: this.#customer, hash, password: credentials.password,
      start: () => {
        if (!state.isWanted) return false;
        // Others of the same client may have failed while this one waited: a hundred at once are no way around the limit.
        if (!this.#isLimited(client, facts)) return true;
        listener.onVerdict(refuse('credentials_limited'));
        return false;
      },
      finish: (matches) => {
        const verdict = this.#judge(attempt, matches);
        if (state.isWanted) listener.onVerdict(verdict);
      },
    };
    if (!this.#parts.passwords.enqueue(job)) return refuse('credentials_unchecked');
    return {type: 'pending', cancel: () => { state.isWanted = false; }};
  }

  /** A failure counts even where the client has not waited for it. */
  #judge({credentials, isKnown, digest, client}: Attempt, matches: boolean | null): Verdict {
    const {buckets, clock} = this.#parts;
    if (matches === null) return refuse('credentials_unchecked');
    if (matches && isKnown) {
      this.#verified.add(digest, clock.nowMs);
      return admit(credentials);
    }
    buckets.take(this.#seedHigh ^ client.keyHigh, this.#seedLow ^ client.keyLow, clock.nowMs, LIMITS.credentialFailureIntervalMs, LIMITS.credentialFailuresBurst);
    return refuse('credentials_wrong');
  }
}

interface Attempt {
  readonly credentials: BasicCredentials;
  readonly hash: string;
  /** There is such a user. */
  readonly isKnown: boolean;
  readonly digest: string;
  readonly client: ClientIdentity;
  readonly facts: RequestFacts;
  readonly listener: VerdictListener;
}

function admit({user}: BasicCredentials): Verdict {
  return {type: 'admitted', user, lines: ''};
}

function refuse(fault: FaultCode): Verdict {
  return {type: 'refused', fault};
}
