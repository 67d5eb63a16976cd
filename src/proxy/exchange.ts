/**
 * One request from its head to its log line: the only file that knows the order of things. Decisions are made in the leaves
 * (admission, balancing, replay); the branches are here. See docs/LIFECYCLE.md.
 */
import {Deadlined} from '#src/core/deadline-wheel.ts';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import {isIdempotent, mayReplay, reusableIdleMs} from '#src/balance/replay.ts';
import type {Downstream, RequestHandler} from '#src/edge/request-handler.ts';
import {announceLength} from '#src/http1/framing.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {hardenResponseFields, selectHints, type ResponsePlan} from '#src/policy/response-hardening.ts';
import {acquireStream} from '#src/upstream/acquire.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {UpstreamPool} from '#src/upstream/pool.ts';
import type {ResponseHandler, TunnelStream, UpgradeHandler, UpstreamStream} from '#src/upstream/upstream-stream.ts';
import {admit} from '#src/proxy/admission.ts';
import {answerFault, answerFixed, answerRedirect, sendAnswer, type Answer} from '#src/proxy/answer.ts';
import {balanceHash} from '#src/proxy/balance-hash.ts';
import {allowSilence, endCall, patienceOf, planTrailers, requestTrailers, responseTrailers} from '#src/proxy/call.ts';
import type {PendingVerdict, Verdict, VerdictListener} from '#src/proxy/gate.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import {RequestBody} from '#src/proxy/request-body.ts';
import {RequestFacts} from '#src/proxy/request-facts.ts';
import {RequestRecord} from '#src/proxy/request-record.ts';
import {Tunnel} from '#src/proxy/tunnel.ts';
import {composeUpstreamHead} from '#src/proxy/upstream-head.ts';
import type {Route} from '#src/proxy/tables.ts';

/**
 * `closed`: not in use; `admitting`: the head is looked at; `proving`: who the client is is found out; `collecting`: the body is
 * collected; `sending`: an upstream has the request; `responding`: the response has begun.
 */
type Phase = 'closed' | 'admitting' | 'proving' | 'collecting' | 'sending' | 'responding';

export class Exchange extends Deadlined implements RequestHandler, ResponseHandler, UpgradeHandler, VerdictListener {
  readonly #gateway: Gateway;
  readonly #release: (exchange: Exchange) => void;
  readonly #facts = new RequestFacts();
  readonly #record = new RequestRecord(this.#facts);
  readonly #body: RequestBody;
  #phase: Phase = 'closed';
  #downstream: Downstream | null = null;
  #pendingVerdict: PendingVerdict | null = null;
  #upstream: UpstreamStream | null = null;
  /** The request's head for the upstream, without framing and empty line. */
  #upstreamHead = '';
  #hash = 0;
  #attempts = 0;
  #isContinueWanted = false;

  constructor(gateway: Gateway, release: (exchange: Exchange) => void) {
    super();
    this.#gateway = gateway;
    this.#body = new RequestBody(gateway.held, this.#facts);
    this.#release = release;
  }

  open(downstream: Downstream): void {
    this.#phase = 'admitting';
    this.#downstream = downstream;
    this.#attempts = 0;
    this.#record.reset();
    this.#facts.reset(this.#gateway.nextRequestId(), this.#gateway.clock.nowMs);
  }

  // The request.

  onRequest(head: RequestHead): void {
    const downstream = this.#requireDownstream();
    const facts = this.#facts;
    this.#gateway.count('requests');
    if (head.fields.foldingCount > 0) this.#gateway.count('fieldsDropped', head.fields.foldingCount);
    const fault = admit(this.#gateway, downstream, head, facts);
    if (fault !== null) this.#answerFault(fault);
    else if (facts.httpsLocation !== '') this.#answer(answerRedirect(308, facts.httpsLocation));
    else if (facts.route !== null) this.#prepare(facts.route, head, downstream);
  }

  /** Takes out of the head, which is only lent, everything that is needed of it. */
  #prepare(route: Route, head: RequestHead, downstream: Downstream): void {
    this.#body.begin(head.bodyLength, head.contentLength === 0);
    if (route.pool !== null) this.#prepareUpstream(route, route.pool, head, downstream);
    if (route.gate === null) this.#serve(route, downstream);
    else this.#await(route.gate.open(head, this.#facts, this), downstream);
  }

  /** The body waits meanwhile, but for what came together with the head. */
  #await(verdict: Verdict | PendingVerdict, downstream: Downstream): void {
    this.#phase = 'proving';
    if (verdict.type !== 'pending') return this.#judge(verdict);
    this.#pendingVerdict = verdict;
    if (!this.#body.isComplete) downstream.pauseRequestBody();
  }

  onVerdict(verdict: Verdict): void {
    this.#pendingVerdict = null;
    try {
      if (!this.#body.isComplete) this.#requireDownstream().resumeRequestBody();
      // What has waited may have been too much.
      if (this.#phase === 'proving') this.#judge(verdict);
    } catch (error) {
      giveUp(this, error, this.#gateway.upstream.reportBug);
    }
  }

  #judge(verdict: Verdict): void {
    switch (verdict.type) {
      case 'refused': return this.#answerFault(verdict.fault);
      case 'answered': return this.#answer(verdict.answer);
      case 'admitted':
        this.#facts.user = verdict.user;
        this.#upstreamHead += verdict.lines;
        this.#serve(this.#requireRoute(), this.#requireDownstream());
    }
  }

  #serve({snapshot: {action, requestBufferBytes}}: Route, downstream: Downstream): void {
    switch (action.type) {
      case 'redirect':
        return this.#answer(answerRedirect(action.status, action.keepTarget ? action.location + this.#facts.normalTarget : action.location));
      case 'respond':
        return this.#answer(answerFixed(action.status, action.contentType, action.body));
      case 'pool':
        if (this.#body.isComplete || this.#body.received > requestBufferBytes || this.#facts.isGrpc) this.#dispatch();
        else this.#awaitBody(downstream);
    }
  }

  /** Everything of the head that the upstream will be sent. */
  #prepareUpstream(route: Route, pool: UpstreamPool, head: RequestHead, downstream: Downstream): void {
    const {client} = this.#facts;
    if (client === null) throw new Error('an admitted request has a client');
    planTrailers(route, head, this.#facts, downstream);
    downstream.setPatience(patienceOf(route.snapshot.timeouts, this.#facts));
    if (this.#facts.isGrpc) this.#gateway.lasting.add(this, this.#facts, downstream);
    if (this.#facts.deadlineMs !== Infinity) this.#gateway.upstream.wheel.arm(this, this.#facts.deadlineMs);
    this.#upstreamHead = composeUpstreamHead(route, head, this.#facts, client, downstream);
    this.#hash = balanceHash(pool.snapshot, client, head.fields, this.#gateway.balanceHash);
    // RFC 9110 §10.1.1: an HTTP/1.0 client cannot wait for a 100.
    this.#isContinueWanted = head.expect !== '' && head.minorVersion === 1;
  }

  #awaitBody(downstream: Downstream): void {
    this.#phase = 'collecting';
    if (this.#isContinueWanted) downstream.sendContinue();
  }

  onInvalidRequest(fault: FaultCode): void {
    this.#gateway.count('requests');
    this.#facts.client = this.#requireDownstream().peer;
    this.#answerFault(fault);
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    const {route} = this.#facts;
    const isCollecting = this.#phase === 'collecting' || this.#phase === 'proving';
    if (route === null || (!isCollecting && this.#upstream === null)) return;
    if (this.#body.received + (end - start) > route.snapshot.maxBodyBytes) return this.onRequestFault('body_too_large');
    if (!isCollecting) {
      if (this.#upstream !== null && this.#body.stream(this.#upstream, bytes, start, end)) this.#downstream?.pauseRequestBody();
    } else {
      const fault = this.#body.collect(bytes, start, end);
      if (fault !== null) this.onRequestFault(fault);
      else if (this.#phase === 'collecting' && this.#body.received > route.snapshot.requestBufferBytes) this.#dispatch();
    }
  }

  onRequestEnd(trailers: FieldBlock | null): void {
    this.#body.trailers = requestTrailers(trailers, this.#facts);
    if (this.#phase === 'proving' || this.#phase === 'collecting') {
      this.#body.isComplete = true;
      if (this.#phase === 'collecting') this.#dispatch();
    } else if (this.#upstream !== null && !this.#body.isComplete) {
      this.#body.isComplete = true;
      this.#upstream.endRequest(this.#body.trailers);
    }
  }

  onRequestFault(fault: FaultCode): void {
    this.#cancel();
    this.#answerFault(fault);
  }

  // The upstream.

  #dispatch(): void {
    const {login} = this.#facts;
    if (login?.isBegun === false) return this.#await(login.begin(this.#body, this.#facts, this), this.#requireDownstream());
    const {clock, random} = this.#gateway;
    const pool = this.#requireRoute().pool;
    this.#phase = 'sending';
    this.#record.dispatchedMs = clock.nowMs;
    const endpoint = pool?.pick(this.#record.dispatchedMs, this.#hash, random(), null) ?? null;
    if (endpoint === null) this.#answerFault('endpoint_unavailable');
    else this.#send(endpoint, true);
  }

  #send(endpoint: UpstreamEndpoint, mayReuse: boolean): void {
    this.#attempts++;
    this.#record.endpoint = endpoint;
    const acquired = acquireStream(this.#gateway.upstream, endpoint, mayReuse ? reusableIdleMs(this.#facts.method) : -1);
    if (typeof acquired === 'string') {
      this.#onAttemptFailed(acquired, endpoint, false, true);
      return;
    }
    this.#upstream = acquired;
    this.#record.connectedMs = acquired.isConnected ? this.#record.dispatchedMs : 0;
    acquired.begin(this, this.#facts.method, this.#requireRoute().snapshot.timeouts, this.#facts.upgrade === null ? null : this);
    this.#body.sendRequest(acquired, this.#facts.method, this.#upstreamHead);
    if (this.#body.isComplete) acquired.endRequest(this.#body.trailers);
    else if (acquired.isBackedUp) this.#downstream?.pauseRequestBody();
    // A stream whose siblings have too much waiting: not even the first read may come.
    this.onDownstreamBackedUp();
  }

  onUpstreamConnected(): void { this.#record.connectedMs = this.#gateway.clock.nowMs; }

  onUpstreamDrain(): void {
    if (!this.#body.isComplete) this.#downstream?.resumeRequestBody();
  }

  onUpstreamFault(fault: FaultCode): void {
    const upstream = this.#upstream;
    const {endpoint} = this.#record;
    this.#upstream = null;
    if (upstream === null || endpoint === null) return;
    const isKeepAliveRace = upstream.isReused && upstream.bytesReceived === 0;
    if (!isKeepAliveRace) endpoint.recordFailure(fault, this.#gateway.clock.nowMs);
    const isReplayPermitted = this.#phase === 'sending' && mayReplay({
      fault, idempotent: isIdempotent(this.#facts.method), requestBegun: upstream.isRequestBegun, responseBegun: false,
      bodyReplayable: this.#body.isReplayable, attempts: this.#attempts,
    });
    this.#onAttemptFailed(fault, endpoint, isKeepAliveRace, isReplayPermitted);
  }

  /** Tries once more where that is permitted: after a race with the idle end of a connection the same endpoint, else another one. */
  #onAttemptFailed(fault: FaultCode, endpoint: UpstreamEndpoint, isKeepAliveRace: boolean, isReplayPermitted: boolean): void {
    if (!isReplayPermitted || this.#attempts >= LIMITS.attemptsMax) return this.#answerFault(fault);
    const {clock, random} = this.#gateway;
    const next = isKeepAliveRace ? endpoint : this.#requireRoute().pool?.pick(clock.nowMs, this.#hash, random(), endpoint) ?? null;
    if (next === null) return this.#answerFault(fault);
    this.#gateway.count('retries');
    this.#gateway.countFault(fault);
    this.#send(next, !isKeepAliveRace);
  }

  /** Whatever is under way for this request ends. */
  #cancel(): void {
    const verdict = this.#pendingVerdict;
    const upstream = this.#upstream;
    this.#pendingVerdict = null;
    this.#upstream = null;
    verdict?.cancel();
    upstream?.cancel();
  }

  // The response.

  onInterimResponse(head: ResponseHead): void {
    const hints = selectHints(head, this.#requireRoute().responsePlan);
    if (hints !== '') this.#requireDownstream().sendInterim(head.status, head.reason, hints);
  }

  onResponse(head: ResponseHead): void {
    const downstream = this.#requireDownstream();
    this.#phase = 'responding';
    this.#record.respondedMs = this.#gateway.clock.nowMs;
    this.#record.endpoint?.slot.recordSuccess();
    this.#facts.login?.onResponse(head);
    if (this.#facts.isExtendedConnect && head.status < 300) return this.#answerFault('websocket_declined');
    this.#record.status = head.status;
    const route = this.#requireRoute();
    if (allowSilence(head, route.snapshot, this.#facts, this.#upstream, downstream)) this.#gateway.lasting.add(this, this.#facts, downstream);
    const lines = hardenResponseFields(head, route.responsePlan, downstream.tls !== null);
    const date = head.hasDate ? '' : `date: ${this.#gateway.clock.httpDate()}\r\n`;
    const announced = announceLength(head.bodyLength, head.contentLength, head.status, this.#facts.method);
    // What a client sends behind an upgrade that was not granted may be meant for the other protocol.
    downstream.beginResponse(head.status, head.reason, lines + date + this.#facts.rateLimitLines, head.bodyLength, announced, this.#facts.upgrade === null);
  }

  onUpgrade(head: ResponseHead, stream: TunnelStream): Tunnel | null {
    const {endpoint} = this.#record;
    if (endpoint === null) throw new Error('a response has an endpoint');
    const onEnd = (fault: FaultCode | null): void => {
      this.#record.fault = fault;
      this.#finish();
    };
    const tunnel = new Tunnel({gateway: this.#gateway, downstream: this.#requireDownstream(), stream, endpoint, facts: this.#facts, onEnd});
    const fault = tunnel.open(head, this.#responsePlan());
    if (fault !== null) {
      this.#answerFault(fault);
      return null;
    }
    this.#phase = 'responding';
    this.#upstream = null;
    this.#record.respondedMs = this.#gateway.clock.nowMs;
    this.#record.status = head.status;
    return tunnel;
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#downstream?.writeBody(bytes, start, end);
  }

  onUpstreamReadEnd(): void {
    this.#requireDownstream().flush();
    this.onDownstreamBackedUp();
  }

  onDownstreamBackedUp(): void {
    if (this.#downstream?.isBackedUp === true) this.#upstream?.pause();
  }

  onDownstreamDrain(): void {
    this.#upstream?.resume();
  }

  onResponseEnd(trailers: FieldBlock | null): void {
    this.#upstream = null;
    this.#requireDownstream().endResponse(responseTrailers(trailers, this.#facts));
    this.#finish();
  }

  /** Of a call: its client does not wait any longer. */
  onDeadline(): void { this.lose('grpc_deadline'); }
  banish(fault: FaultCode): void { this.lose(fault); }

  lose(fault: FaultCode): void {
    if (this.#downstream !== null) this.#answerFault(fault);
  }

  onDownstreamClosed(fault: FaultCode): void {
    if (this.#phase === 'closed') return;
    this.#cancel();
    this.#record.fault = fault;
    this.#finish();
  }

  // The end.

  #answerFault(fault: FaultCode): void {
    const downstream = this.#requireDownstream();
    // A response that cannot be completed must not look complete, and some faults have no answer. First of all: the rest may fail.
    const isCut = downstream.isResponseCommitted || FAULTS[fault].status === 0;
    if (isCut && !endCall(fault, this.#facts, downstream)) downstream.abort();
    this.#record.fault = fault;
    this.#facts.login?.onUnanswered();
    if (FAULTS[fault].dismissing) downstream.dismiss();
    if (isCut) {
      this.#cancel();
      return this.#finish();
    }
    downstream.abandonResponse();
    const answer = answerFault(fault, this.#facts);
    this.#answer(this.#facts.upgrade === null ? answer : {...answer, isReusable: false});
  }

  #answer(answer: Answer): void {
    const downstream = this.#requireDownstream();
    this.#phase = 'responding';
    this.#cancel();
    this.#record.status = answer.status;
    sendAnswer(downstream, answer, this.#facts, this.#responsePlan(), this.#gateway.clock.httpDate());
    this.#finish();
  }

  #responsePlan(): ResponsePlan {
    return this.#facts.route?.responsePlan ?? this.#gateway.defaultResponsePlan;
  }

  /** Counts, logs, and gives everything back. The last call of every exchange. */
  #finish(): void {
    const downstream = this.#requireDownstream();
    this.#phase = 'closed';
    this.#gateway.upstream.wheel.disarm(this);
    this.#gateway.lasting.delete(this);
    this.#body.drop();
    this.#record.complete(this.#gateway, downstream);
    if (this.#facts.upgrade !== null) this.#gateway.tunnels.freePlace(this.#facts.upgrade.place);
    this.#downstream = null;
    this.#upstream = null;
    this.#release(this);
    downstream.completeExchange();
  }

  #requireDownstream(): Downstream {
    if (this.#downstream === null) throw new Error('the exchange is not open');
    return this.#downstream;
  }

  #requireRoute(): Route {
    if (this.#facts.route === null) throw new Error('the request has not been admitted');
    return this.#facts.route;
  }
}
