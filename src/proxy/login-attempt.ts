/** One attempt to log in, from its body to the application's answer. */
import {Deadlined} from '#src/core/deadline-wheel.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import {readAccount} from '#src/policy/login-account.ts';
import {judgeLogin} from '#src/policy/login-outcome.ts';
import {readLoginTarget, type LoginTarget} from '#src/policy/login-path.ts';
import type {PendingVerdict, Verdict, VerdictListener} from '#src/proxy/gate.ts';
import type {LoginGuard, LoginKeys, UsedUp} from '#src/proxy/login-guard.ts';
import type {RequestBody} from '#src/proxy/request-body.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export class LoginAttempt extends Deadlined implements PendingVerdict {
  readonly type = 'pending';
  isBegun = false;
  readonly #guard: LoginGuard;
  readonly #contentType: string;
  readonly #isEncoded: boolean;
  #keys: LoginKeys | null = null;
  #listener: VerdictListener | null = null;
  #user = '';
  #target: LoginTarget | null = null;

  constructor(guard: LoginGuard, head: RequestHead) {
    super();
    this.#guard = guard;
    this.#contentType = findOnly(head.fields, 'content-type');
    this.#isEncoded = findOnly(head.fields, 'content-encoding') !== '';
  }

  /** The body is here, or as much of it as is collected. */
  begin(body: RequestBody, facts: RequestFacts, listener: VerdictListener): Verdict | PendingVerdict {
    const {client} = facts;
    if (client === null) throw new Error('an admitted request has a client');
    this.isBegun = true;
    this.#user = facts.user;
    this.#target = readLoginTarget(facts.normalTarget);
    const guard = this.#guard;
    const usedUp = guard.findUsedUp(client);
    if (usedUp !== null) return this.#limit(usedUp, client, facts);
    // Who only observes refuses nothing, and counts the client at least.
    const account = this.#readAccount(body, facts.normalTarget) ?? (guard.snapshot.isEnforced ? null : '');
    if (account === null) return {type: 'refused', fault: 'login_unreadable'};
    const keys = guard.keysFor(client, account);
    const empty = guard.reserve(keys);
    if (empty !== null) return this.#limit(empty, client, facts);
    this.#keys = keys;
    return this.#delay(keys, facts, listener);
  }

  #limit({bucket: {detection}, waitMs}: UsedUp, client: ClientIdentity, facts: RequestFacts): Verdict {
    const guard = this.#guard;
    guard.count('limited', detection, client);
    // Whose account others try to break into has done nothing.
    if (detection !== 'spraying') guard.strike(client, detection);
    facts.retryAfterMs = waitMs;
    return guard.snapshot.isEnforced ? {type: 'refused', fault: 'login_limited'} : this.#admit();
  }

  /** Empty where accounts are not told apart, or the body names none; null where it cannot be told which. */
  #readAccount(body: RequestBody, target: string): string | null {
    const {account} = this.#guard.snapshot;
    if (account === null) return '';
    if (!body.isComplete || this.#isEncoded) return null;
    const question = target.indexOf('?');
    return readAccount(account, {contentType: this.#contentType, query: question < 0 ? '' : target.slice(question + 1), body: body.join()});
  }

  #delay(keys: LoginKeys, facts: RequestFacts, listener: VerdictListener): Verdict | PendingVerdict {
    const {snapshot, parts: {clock, wheel}} = this.#guard;
    const {delayMs, detection} = this.#guard.findDelay(keys);
    if (delayMs === 0) return this.#admit();
    this.#guard.count('delayed', detection, keys.client);
    if (!snapshot.isEnforced) return this.#admit();
    if (!this.#guard.beginWait()) {
      facts.retryAfterMs = delayMs;
      this.#release();
      return {type: 'refused', fault: 'login_limited'};
    }
    this.#listener = listener;
    wheel.arm(this, clock.nowMs + delayMs);
    return this;
  }

  #admit(): Verdict {
    return {type: 'admitted', user: this.#user, lines: ''};
  }

  onDeadline(): void {
    const listener = this.#listener;
    this.#listener = null;
    this.#guard.endWait();
    listener?.onVerdict(this.#admit());
  }

  lose(fault: FaultCode): void {
    const listener = this.#listener;
    this.cancel();
    listener?.onVerdict({type: 'refused', fault});
  }

  /** The client has gone while it waited: nothing was tried. */
  cancel(): void {
    if (this.#listener === null) return;
    this.#listener = null;
    this.#guard.endWait();
    this.#guard.parts.wheel.disarm(this);
    this.#release();
  }

  onResponse(head: ResponseHead): void {
    const keys = this.#keys, target = this.#target;
    if (keys === null || target === null) return;
    const outcome = judgeLogin(head, this.#guard.snapshot.failure, target);
    if (outcome === 'failure') {
      this.#keys = null;
      this.#guard.count('failed', 'none', keys.client);
      return;
    }
    this.#release();
    if (outcome === 'success') this.#guard.recordSuccess(keys);
  }

  /** There will be no answer of the application. A client that has gone is none of these cases: it may have read enough. */
  onUnanswered(): void {
    this.#release();
  }

  #release(): void {
    const keys = this.#keys;
    this.#keys = null;
    if (keys !== null) this.#guard.release(keys);
  }
}

/** Empty where the field is not there; and where it is there twice, which is as good as none. */
function findOnly(fields: FieldBlock, name: string): string {
  let value: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    if (fields.name(i).toLowerCase() !== name) continue;
    if (value !== null) return name === 'content-encoding' ? 'twice' : '';
    value = fields.value(i);
  }
  return value ?? '';
}
