/** Forward authentication: another application of the same customer decides whether a request may be served, and says whose it is. */
import type {AuthSnapshot, CustomerSnapshot, ForwardAuthSnapshot} from '#src/config/snapshot.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {FOLDING_KNOWN, FOLDING_NAME, JOINED_COOKIE, NAMED_BY_CONNECTION} from '#src/http1/field-names.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {forwardedLines} from '#src/policy/client-identity.ts';
import type {UpstreamPool} from '#src/upstream/pool.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import {AuthRequest} from '#src/proxy/auth-request.ts';
import type {Gate, PendingVerdict, Verdict, VerdictListener} from '#src/proxy/gate.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export interface ForwardAuthParts {
  readonly upstream: Upstream;
  readonly pool: UpstreamPool;
  /** In [0, 1). */
  readonly random: () => number;
}

export class ForwardAuth implements Gate {
  readonly withheldFields: readonly string[] = [];
  readonly identityFields: readonly string[];
  readonly #parts: ForwardAuthParts;
  readonly #snapshot: ForwardAuthSnapshot;
  readonly #sentFields: ReadonlySet<string>;

  constructor(parts: ForwardAuthParts, snapshot: ForwardAuthSnapshot) {
    this.#parts = parts;
    this.#snapshot = snapshot;
    this.#sentFields = new Set(snapshot.sentFields);
    this.identityFields = snapshot.identityFields;
  }

  /** It remembers nothing, and its pool is a new one after each reload. */
  matches(_customer: CustomerSnapshot, _auth: AuthSnapshot): boolean {
    return false;
  }

  open(head: RequestHead, facts: RequestFacts, listener: VerdictListener): Verdict | PendingVerdict {
    const {accept, authority, client, method, normalTarget, requestId} = facts;
    if (client === null) throw new Error('an admitted request has a client');
    const lines = `${forwardedLines(client, authority)}x-forwarded-method: ${method}\r\nx-forwarded-uri: ${normalTarget}\r\nx-request-id: ${requestId}\r\n`;
    const request = new AuthRequest({
      ...this.#parts, listener, requestId, accept,
      head: `GET ${this.#snapshot.path} HTTP/1.1\r\n${lines}${selectFields(head.fields, this.#sentFields)}`,
      hash: client.keyLow,
      timeoutMs: this.#snapshot.timeoutMs,
      identityFields: this.identityFields,
    });
    return request.send();
  }
}

function selectFields(fields: FieldBlock, names: ReadonlySet<string>): string {
  let lines = '';
  for (let i = 0; i < fields.count; i++) {
    const number = fields.numbers[i];
    if (number === FOLDING_NAME || number === FOLDING_KNOWN || number === JOINED_COOKIE || number === NAMED_BY_CONNECTION || !names.has(fields.name(i).toLowerCase())) continue;
    lines += `${fields.name(i)}: ${fields.value(i)}\r\n`;
  }
  return lines;
}
