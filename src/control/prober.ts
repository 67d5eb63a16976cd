/** Active health checks of all pools that ask for them. The verdicts go to the endpoints' slots, where every thread sees them. */
import {isDeepStrictEqual} from 'node:util';
import {recordProbe, UNPROBED, type HealthProgress} from '#src/balance/health-state.ts';
import {ownListenersOf} from '#src/config/own-addresses.ts';
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

export class Prober {
  readonly #options: ProberOptions;
  readonly #gate = new FairGate(PROBES_MAX, PROBES_PER_CUSTOMER_MAX);
  #checks = new Map<string, EndpointCheck>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Unchanged endpoints go on as they are; a changed check keeps its endpoint's state and starts a new schedule. */
  update(configuration: Configuration): void {
    const previous = this.#checks;
    this.#checks = new Map();
    for (const [key, subject] of collectSubjects(configuration, this.#options.threads)) {
      const known = previous.get(key);
      if (known !== undefined && isDeepStrictEqual(known.subject.target, subject.target)) {
        this.#checks.set(key, known);
        continue;
      }
      this.#checks.set(key, new EndpointCheck(subject, known?.progress ?? UNPROBED, this.#gate, this.#options));
    }
    for (const [key, check] of previous) if (this.#checks.get(key) !== check) check.stop();
  }

  stop(): void {
    for (const check of this.#checks.values()) check.stop();
    this.#checks.clear();
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

function* collectSubjects(configuration: Configuration, threads: number): Generator<[string, Subject]> {
  const ownListeners = ownListenersOf(configuration.snapshot.node);
  for (const assignment of configuration.assignments.values()) yield* collectOfCustomer(assignment, ownListeners, threads);
}

function* collectOfCustomer({snapshot, endpoints}: CustomerAssignment, ownListeners: readonly SocketAddress[], threads: number): Generator<[string, Subject]> {
  const scope = {networks: parseCidrs(snapshot.networks), ownListeners};
  for (const {name: pool, health, servers, tls} of snapshot.pools) {
    if (health === null) continue;
    for (const {address, port} of servers) {
      const key = endpointKey(pool, address, port);
      const ref = endpoints[key];
      if (ref === undefined) throw new Error(`endpoint ${key} has no slot`);
      const target = {address, port, sourceAddress: sourceAddressFor(address, snapshot.sourceAddress), tls, scope, health};
      const subject = {customer: snapshot.name, pool, target, slot: new EndpointSlot(ref, threads, 0)};
      yield [`${snapshot.name} ${key}`, subject];
    }
  }
}
