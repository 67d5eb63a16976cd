/** What became of one request: filled on the way, counted and logged at the end. */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {equalTexts, flattenText} from '#src/core/text.ts';
import type {ConnectionMemo, Downstream} from '#src/edge/request-handler.ts';
import {accessFragment, clientFragment, connectionFragment, customerFragment, endpointFragment, formatAccessLine, userAgentFragment, type AccessRecord} from '#src/observe/access-line.ts';
import {CUSTOMER, durationColumn} from '#src/shared/counters.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

const NO_CUSTOMER = customerFragment('', '');
const NO_ENDPOINT = endpointFragment('');

export class RequestRecord implements AccessRecord {
  status = 0;
  fault: FaultCode | null = null;
  /** The endpoint that was asked last. */
  endpoint: UpstreamEndpoint | null = null;
  bytesReceived = 0;
  bytesSent = 0;
  /** Times of the monotonic clock; 0 for what has not happened. */
  dispatchedMs = 0;
  connectedMs = 0;
  respondedMs = 0;
  totalMs = 0;
  protocol = '';
  timeFragment = '';
  clientFragment = '';
  connectionFragment = '';
  userAgentFragment = '';
  readonly #facts: RequestFacts;

  constructor(facts: RequestFacts) {
    this.#facts = facts;
  }

  reset(): void {
    this.status = 0;
    this.fault = null;
    this.endpoint = null;
    this.dispatchedMs = 0;
    this.connectedMs = 0;
    this.respondedMs = 0;
  }

  /** The request has ended. */
  complete(gateway: Gateway, downstream: Downstream): void {
    this.totalMs = gateway.clock.nowMs - this.#facts.startedMs;
    this.bytesReceived = downstream.bytesReceived;
    this.bytesSent = downstream.bytesSent;
    if (this.fault !== null) gateway.countFault(this.fault);
    const {client, place} = this.#facts;
    // Once, even where the rest fails and the request is given up after that.
    this.#facts.place = null;
    if (place !== null && client !== null) gateway.places.requests.free(client, place);
    this.#countForCustomer();
    if (gateway.accessLog === null) return;
    this.timeFragment = gateway.timeFragment();
    this.#takeFragments(downstream);
    gateway.accessLog.append(formatAccessLine(this));
  }

  #takeFragments(downstream: Downstream): void {
    const {memo, peer, tls} = downstream;
    if (memo.clientFragment === '') {
      memo.clientFragment = clientFragment(peer.address);
      memo.connectionFragment = connectionFragment(tls?.version ?? '', tls?.cipher ?? '');
    }
    const {client} = this.#facts;
    this.clientFragment = client === peer || client === null ? memo.clientFragment : clientFragment(client.address);
    this.connectionFragment = memo.connectionFragment;
    this.userAgentFragment = findUserAgentFragment(memo, this.#facts.userAgent);
    this.protocol = downstream.protocol;
  }

  #countForCustomer(): void {
    const {route, site} = this.#facts;
    if (site === null) return;
    const {counters, unpooledCounters} = site.customer;
    const statusClass = Math.floor(this.status / 100);
    const rows = route?.pool?.counters ?? unpooledCounters;
    rows[statusClass] = (rows[statusClass] as number) + 1;
    counters[CUSTOMER.bytesReceived] = (counters[CUSTOMER.bytesReceived] as number) + this.bytesReceived;
    counters[CUSTOMER.bytesSent] = (counters[CUSTOMER.bytesSent] as number) + this.bytesSent;
    // A tunnel lasts as long as its users like: its time is no measure of anything.
    if (this.status === 101) return;
    counters[CUSTOMER.durationSumMs] = (counters[CUSTOMER.durationSumMs] as number) + this.totalMs;
    const bucket = durationColumn(this.totalMs);
    counters[bucket] = (counters[bucket] as number) + 1;
  }

  get customerFragment(): string { return this.#facts.route?.logFragment ?? this.#facts.site?.customer.logFragment ?? NO_CUSTOMER; }
  get endpointFragment(): string { return this.endpoint?.logFragment ?? NO_ENDPOINT; }
  get requestId(): string { return this.#facts.requestId; }
  get host(): string { return this.#facts.host; }
  get method(): string { return this.#facts.method; }
  get target(): string { return this.#facts.target; }
  get referer(): string { return this.#facts.referer; }
  get accessFragment(): string { return accessFragment(this.#facts.limit, this.#facts.rule, this.#facts.user); }
  get queueMs(): number { return this.dispatchedMs === 0 ? 0 : this.dispatchedMs - this.#facts.startedMs; }
  get connectMs(): number { return this.connectedMs === 0 ? 0 : this.connectedMs - this.dispatchedMs; }
  get firstByteMs(): number { return this.respondedMs === 0 ? 0 : this.respondedMs - this.#facts.startedMs; }
}

/** Nearly always the same for all requests of a connection. A long one is not kept, because idle connections would be made large with it. */
function findUserAgentFragment(memo: ConnectionMemo, userAgent: string): string {
  if (memo.userAgentFragment !== '' && equalTexts(memo.userAgent, userAgent)) return memo.userAgentFragment;
  const fragment = userAgentFragment(userAgent);
  if (userAgent.length <= LIMITS.memoUserAgentLengthMax) {
    memo.userAgent = flattenText(userAgent);
    memo.userAgentFragment = fragment;
  }
  return fragment;
}
