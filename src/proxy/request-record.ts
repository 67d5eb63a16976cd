/** What became of one request: filled on the way, counted and logged at the end. */
import type {FaultCode} from '#src/core/faults.ts';
import type {Downstream} from '#src/edge/request-handler.ts';
import {accessFragment, customerFragment, endpointFragment, formatAccessLine, type AccessRecord} from '#src/observe/access-line.ts';
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
  timeFragment = '';
  originFragment = '';
  requestFragment = '';
  closingFragment = '';
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

  #takeFragments({memo: {line}, peer, protocol, tls}: Downstream): void {
    const {client, host, method, referer, route, site, userAgent} = this.#facts;
    const customer = route?.logFragment ?? site?.customer.logFragment ?? NO_CUSTOMER;
    this.originFragment = line.findOrigin(customer, (client ?? peer).address, tls?.version ?? '', tls?.cipher ?? '');
    this.requestFragment = line.findRequest(host, method, protocol);
    this.closingFragment = line.findClosing(userAgent, referer);
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

  get endpointFragment(): string { return this.endpoint?.logFragment ?? NO_ENDPOINT; }
  get requestId(): string { return this.#facts.requestId; }
  get target(): string { return this.#facts.target; }
  get accessFragment(): string { return accessFragment(this.#facts.limit, this.#facts.rule, this.#facts.user); }
  get queueMs(): number { return this.dispatchedMs === 0 ? 0 : this.dispatchedMs - this.#facts.startedMs; }
  get connectMs(): number { return this.connectedMs === 0 ? 0 : this.connectedMs - this.dispatchedMs; }
  get firstByteMs(): number { return this.respondedMs === 0 ? 0 : this.respondedMs - this.#facts.startedMs; }
}
