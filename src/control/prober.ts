/** Active health checks of all pools that ask for them. The verdicts go to the endpoints' slots, where every thread sees them. */
import {isDeepStrictEqual} from 'node:util';
import {recordProbe, UNPROBED, type HealthProgress} from '#src/balance/health-state.ts';
import {ownSocketsOf} from '#src/config/own-addresses.ts';
import {sourceAddressFor} from '#src/config/source-address.ts';
import type {SocketAddress} from '#src/config/snapshot.ts';
import type {Configuration} from '#src/control/configuration.ts';
import {FairGate} from '#src/control/fair-gate.ts';
import {probe, type ProbeTarget, type ProbeVerdict} from '#src/control/probe.ts';
import {parseCidrs} from '#src/core/ip.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {endpointKey, type CustomerAssignment} from '#src/shared/messages.ts';

/** Probes under way at once: enough for thousands of endpoints, few enough not to be a stampede. */
const PROBES_MAX = 256;
const PROBES_PER_CUSTOMER_MAX = 16;
/** First probes of a configuration are spread over this time, or over the interval where that is shorter. */
const FIRST_SPREAD_MS = 1000;
/** Intervals vary by this share in either direction, so that endpoints do not fall into step. */
const JITTER = 0.1;

export interface ProberOptions {
  readonly threads: number;
  readonly log: DaemonLog;
  /** In [0, 1). */
  readonly random: () => number;
  readonly probe?: (target: ProbeTarget, signal: AbortSignal) => Promise<ProbeVerdict>;
}

interface Subject {
  readonly customer: string;
  readonly pool: string;
  readonly target: ProbeTarget;
  readonly slot: EndpointSlot;
}

interface ProbedCustomer {
  readonly assignment: CustomerAssignment;
  /** By `endpointKey`. */
  readonly checks: ReadonlyMap<string, EndpointCheck>;
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #gate = new FairGate(PROBES_MAX, PROBES_PER_CUSTOMER_MAX);
  readonly #customers = new Map<string, ProbedCustomer>();
  #ownListeners: readonly SocketAddress[] = [];

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Unchanged endpoints go on as they are; a changed check keeps its endpoint's state and starts a new schedule. */
  update(configuration: Configuration): void {
    const ownListeners = ownSocketsOf(configuration.snapshot.node);
    const isNodeSame = isDeepStrictEqual(ownListeners, this.#ownListeners);
    this.#ownListeners = ownListeners;
    for (const [name, assignment] of configuration.assignments) {
      const known = this.#customers.get(name);
      if (!isNodeSame || known?.assignment !== assignment) this.#customers.set(name, this.#replace(known, assignment));
    }
    for (const name of this.#customers.keys()) if (!configuration.assignments.has(name)) this.#remove(name);
  }

  stop(): void {
    for (const name of this.#customers.keys()) this.#remove(name);
  }

  #remove(name: string): void {
    for (const check of this.#customers.get(name)?.checks.values() ?? []) check.stop();
    this.#customers.delete(name);
  }

  #replace(known: ProbedCustomer | undefined, assignment: CustomerAssignment): ProbedCustomer {
    const checks = new Map<string, EndpointCheck>();
    for (const [key, subject] of collectSubjects(assignment, this.#ownListeners, this.#options.threads)) {
      const check = known?.checks.get(key);
      const isSame = check !== undefined && isDeepStrictEqual(check.subject.target, subject.target);
      checks.set(key, isSame ? check : new EndpointCheck(subject, check?.progress ?? UNPROBED, this.#gate, this.#options));
    }
    for (const [key, check] of known?.checks ?? []) if (checks.get(key) !== check) check.stop();
    return {assignment, checks};
  }
}

/** The endless series of probes of one endpoint. */
class EndpointCheck {
  readonly subject: Subject;
  progress: HealthProgress;

  readonly #gate: FairGate;
  readonly #options: ProberOptions;
  #timer: NodeJS.Timeout;
  #underWay: AbortController | null = null;
  #stopped = false;

  constructor(subject: Subject, progress: HealthProgress, gate: FairGate, options: ProberOptions) {
    this.subject = subject;
    this.progress = progress;
    this.#gate = gate;
    this.#options = options;
    subject.slot.health = progress.state;
    this.#timer = this.#schedule(options.random() * Math.min(FIRST_SPREAD_MS, subject.target.health.intervalMs));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#underWay?.abort();
  }

  #schedule(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => void this.#run(), delayMs);
  }

  async #run(): Promise<void> {
    const {customer, target} = this.subject;
    const verdict = await this.#gate.run(customer, () => this.#probe());
    if (this.#stopped) return;
    this.#record(verdict);
    this.#timer = this.#schedule(target.health.intervalMs * (1 + JITTER * (2 * this.#options.random() - 1)));
  }

  async #probe(): Promise<ProbeVerdict> {
    if (this.#stopped) return null;
    const underWay = new AbortController();
    this.#underWay = underWay;
    return (this.#options.probe ?? probe)(this.subject.target, underWay.signal);
  }

  #record(verdict: ProbeVerdict): void {
    const {customer, pool, target, slot} = this.subject;
    const from = this.progress.state;
    this.progress = recordProbe(this.progress, verdict === null, target.health);
    const to = this.progress.state;
    if (to === from) return;
    slot.health = to;
    const detail = {customer, pool, address: target.address, port: target.port, from, to};
    if (verdict === null) this.#options.log.info(detail, 'an endpoint is healthy');
    else this.#options.log.warn({...detail, reason: verdict}, 'an endpoint is not healthy');
  }
}

function* collectSubjects({snapshot, endpoints}: CustomerAssignment, ownListeners: readonly SocketAddress[], threads: number): Generator<[string, Subject]> {
  const scope = {networks: parseCidrs(snapshot.networks), ownListeners};
  for (const {name: pool, health, servers, protocol, tls} of snapshot.pools) {
    if (health === null) continue;
    for (const {address, port} of servers) {
      const key = endpointKey(pool, address, port);
      const ref = endpoints[key];
      if (ref === undefined) throw new Error(`endpoint ${key} has no slot`);
      const target = {address, port, sourceAddress: sourceAddressFor(address, snapshot.sourceAddress), protocol, tls, scope, health};
      const subject = {customer: snapshot.name, pool, target, slot: new EndpointSlot(ref, threads, 0)};
      yield [key, subject];
    }
  }
}
