/** One question to an application that authenticates, and what its answer means. Whatever goes wrong with it, nobody is let in. */
import {Deadlined} from '#src/core/deadline-wheel.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {reasonPhrase} from '#src/http1/encode.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {NAMED_BY_CONNECTION} from '#src/http1/field-names.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {renderErrorPage} from '#src/policy/error-page.ts';
import {acquireStream} from '#src/upstream/acquire.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {UpstreamPool} from '#src/upstream/pool.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import {NO_BODY, type ResponseHandler, type UpstreamStream} from '#src/upstream/upstream-stream.ts';
import type {PendingVerdict, Verdict, VerdictListener} from '#src/proxy/gate.ts';

export interface AuthRequestParts {
  readonly upstream: Upstream;
  readonly pool: UpstreamPool;
  readonly random: () => number;
  readonly listener: VerdictListener;
  /** Without framing and empty line. */
  readonly head: string;
  /** Of the client, for pools with a consistent hash. */
  readonly hash: number;
  /** For all attempts together. */
  readonly timeoutMs: number;
  /** In lower case; the first one is who the client is. */
  readonly identityFields: readonly string[];
  /** For the page of a refusal. */
  readonly requestId: string;
  readonly accept: string;
}

const UNAVAILABLE: Verdict = {type: 'refused', fault: 'auth_unavailable'};
/** Where the client goes to log in (RFC 9110 §15.4). 304 answers no question of ours. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What a client needs of a refusal. */
const PASSED_FIELDS: ReadonlySet<string> = new Set(['location', 'set-cookie', 'www-authenticate']);

export class AuthRequest extends Deadlined implements ResponseHandler, PendingVerdict {
  readonly type = 'pending';
  readonly #parts: AuthRequestParts;
  #isOver = false;
  #stream: UpstreamStream | null = null;
  #endpoint: UpstreamEndpoint | null = null;
  #attempts = 0;
  #verdict: Verdict = UNAVAILABLE;
  #bodyBytes = 0;

  constructor(parts: AuthRequestParts) {
    super();
    this.#parts = parts;
  }

  /** The verdict where there is one at once: that nobody can be asked. */
  send(): Verdict | PendingVerdict {
    const {clock, wheel} = this.#parts.upstream;
    if (!this.#attempt(null)) return UNAVAILABLE;
    wheel.arm(this, clock.nowMs + this.#parts.timeoutMs);
    return this;
  }

  cancel(): void {
    this.#isOver = true;
    this.#parts.upstream.wheel.disarm(this);
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
  }

  onDeadline(): void {
    const {upstream} = this.#parts;
    upstream.countFault('response_head_timeout');
    this.#endpoint?.recordFailure('response_head_timeout', upstream.clock.nowMs);
    this.#settle(UNAVAILABLE);
  }

  lose(fault: FaultCode): void {
    this.#settle({type: 'refused', fault});
  }

  /** False where the request could not be sent. */
  #attempt(excluded: UpstreamEndpoint | null): boolean {
    const {upstream, pool, hash, random, head, timeoutMs} = this.#parts;
    const endpoint = pool.pick(upstream.clock.nowMs, hash, random(), excluded);
    if (endpoint === null) return false;
    this.#attempts++;
    this.#endpoint = endpoint;
    // After a failure only a fresh connection: the next idle one may have ended for the same reason.
    const stream = acquireStream(upstream, endpoint, this.#attempts === 1 ? Number.POSITIVE_INFINITY : -1);
    if (typeof stream === 'string') {
      upstream.countFault(stream);
      return this.#mayRetry(stream) && this.#attempt(endpoint);
    }
    this.#stream = stream;
    stream.begin(this, 'GET', {connectMs: timeoutMs, requestBodyIdleMs: timeoutMs, requestBodyRateMin: 0, responseHeadMs: timeoutMs, responseIdleMs: timeoutMs, responseRateMin: 0, eventStreamIdleMs: timeoutMs});
    stream.sendRequest(head, NO_BODY, []);
    stream.endRequest();
    return true;
  }

  #mayRetry(fault: FaultCode): boolean {
    return FAULTS[fault].retryable && this.#attempts < LIMITS.attemptsMax;
  }

  onUpstreamFault(fault: FaultCode): void {
    const stream = this.#stream;
    if (this.#isOver || stream === null) return;
    this.#stream = null;
    const {upstream} = this.#parts;
    upstream.countFault(fault);
    const isKeepAliveRace = stream.isReused && stream.bytesReceived === 0;
    if (!isKeepAliveRace) this.#endpoint?.recordFailure(fault, upstream.clock.nowMs);
    if (!this.#mayRetry(fault) || !this.#attempt(isKeepAliveRace ? null : this.#endpoint)) this.#settle(UNAVAILABLE);
  }

  onResponse(head: ResponseHead): void {
    this.#endpoint?.slot.recordSuccess();
    this.#verdict = this.#judge(head);
  }

  onResponseBody(_bytes: Buffer, start: number, end: number): void {
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > LIMITS.authResponseBytesMax) this.#settle(UNAVAILABLE);
  }

  onResponseEnd(): void {
    this.#stream = null;
    this.#settle(this.#verdict);
  }

  onUpstreamConnected(): void {
    // The deadline is that of the whole question.
  }

  onInterimResponse(): void {
    // It is not the client's.
  }

  onUpstreamReadEnd(): void {
    // Nothing is kept of the body, so nothing can be in the way.
  }

  onUpstreamDrain(): void {
    // There is no content to go on with.
  }

  #settle(verdict: Verdict): void {
    if (this.#isOver) return;
    this.cancel();
    this.#parts.listener.onVerdict(verdict);
  }

  #judge({status, fields}: ResponseHead): Verdict {
    if (status >= 200 && status <= 299) return readIdentity(fields, this.#parts.identityFields);
    const isRedirect = REDIRECTS.has(status);
    if (!isRedirect && (status < 400 || status > 499)) return UNAVAILABLE;
    const {requestId, accept} = this.#parts;
    const page = renderErrorPage(status, reasonPhrase(status), FAULTS.access_denied.reason, requestId, accept);
    const lines = `cache-control: no-store\r\nx-request-id: ${requestId}\r\n${selectPassed(fields)}`;
    const answer = isRedirect ? {fieldLines: lines, body: ''} : {fieldLines: `content-type: ${page.contentType}\r\n${lines}`, body: page.body};
    return {type: 'answered', answer: {status, isReusable: true, ...answer}};
  }
}

/** A field that comes twice says two things about who the client is. */
function readIdentity(fields: FieldBlock, names: readonly string[]): Verdict {
  const values = new Map<string, string>();
  for (let i = 0; i < fields.count; i++) {
    const name = fields.name(i).toLowerCase();
    if (!names.includes(name) || fields.numbers[i] === NAMED_BY_CONNECTION) continue;
    if (values.has(name)) return UNAVAILABLE;
    values.set(name, fields.value(i));
  }
  const lines = Array.from(values, ([name, value]) => `${name}: ${value}\r\n`).join('');
  return {type: 'admitted', user: values.get(names[0] ?? '') ?? '', lines};
}

function selectPassed(fields: FieldBlock): string {
  let lines = '';
  for (let i = 0; i < fields.count; i++) {
    const name = fields.name(i).toLowerCase();
    if (PASSED_FIELDS.has(name) && fields.numbers[i] !== NAMED_BY_CONNECTION) lines += `${name}: ${fields.value(i)}\r\n`;
  }
  return lines;
}
