/** What a client must pass before a route serves it: the one step of an exchange that may take its time. */
import type {FaultCode} from '#src/core/faults.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {AuthSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import type {UpstreamPool} from '#src/upstream/pool.ts';
import type {Answer} from '#src/proxy/answer.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export type Verdict =
  /** The request may be served. `user`: for the log, where it is known; `lines`: fields that the server is told besides. */
  | {readonly type: 'admitted'; readonly user: string; readonly lines: string}
  | {readonly type: 'refused'; readonly fault: FaultCode}
  /** Somebody else has decided what the client reads. */
  | {readonly type: 'answered'; readonly answer: Answer};

/** A verdict that is not there yet. */
export interface PendingVerdict {
  readonly type: 'pending';
  /** Nobody wants it any more: the listener is not called. */
  cancel(): void;
}

export interface VerdictListener {
  /** Once, and never before `Gate.open` has returned. */
  onVerdict(verdict: Verdict): void;
}

export interface Gate {
  /** Lower-case names of fields that the server must not see on the routes behind this gate. */
  readonly withheldFields: readonly string[];
  /** Lower-case names of fields that say who the client is: none of the customer's servers must ever see one that a client has sent. */
  readonly identityFields: readonly string[];
  /** The head is lent: what is needed later is taken out before returning. */
  open(head: RequestHead, facts: RequestFacts, listener: VerdictListener): Verdict | PendingVerdict;
  /** It is made of the same, so that it can be kept over a reload with all that it remembers. */
  matches(customer: CustomerSnapshot, auth: AuthSnapshot): boolean;
}

export type GateBuilder = (customer: string, auth: AuthSnapshot, pools: ReadonlyMap<string, UpstreamPool>) => Gate;
