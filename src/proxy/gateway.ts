/** What all exchanges of a proxy thread share. */
import type {NodeSnapshot} from '#src/config/snapshot.ts';
import type {Clock} from '#src/core/clock.ts';
import {count, countFault, type NodeColumn} from '#src/shared/counters.ts';
import type {CidrSet} from '#src/core/ip.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {Places} from '#src/edge/edge.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {timeFragment} from '#src/observe/access-line.ts';
import type {AccessLog} from '#src/observe/access-log.ts';
import {compileNetworks} from '#src/policy/access.ts';
import type {ClientBans} from '#src/policy/client-bans.ts';
import {compileLimits, type LimitParts, type LimitSet} from '#src/policy/request-limits.ts';
import {compileRuleSet, type RuleSet} from '#src/policy/rules.ts';
import {planResponseFields} from '#src/policy/response-hardening.ts';
import type {HeldMemory} from '#src/transport/held-memory.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import {LimitTally} from '#src/proxy/limit-tally.ts';
import {RuleTally} from '#src/proxy/rule-tally.ts';
import type {Tables} from '#src/proxy/tables.ts';
import {LastingRequests} from '#src/proxy/lasting-requests.ts';
import type {Tunnels} from '#src/proxy/tunnels.ts';

export interface GatewayParts {
  readonly clock: Clock;
  readonly hash: KeyedHash;
  readonly bans: ClientBans;
  readonly limitParts: LimitParts;
  readonly upstream: Upstream;
  readonly tables: Tables;
  readonly tunnels: Tunnels;
  readonly places: Places;
  readonly held: HeldMemory;
  readonly counters: Float64Array;
  /** Random text that makes this thread's request ids its own. */
  readonly requestIdPrefix: string;
  /** In [0, 1). */
  readonly random: () => number;
}

export class Gateway {
  readonly clock: Clock;
  readonly hash: KeyedHash;
  readonly bans: ClientBans;
  /** Without a secret: the nodes of a fleet, and one node after a restart, send a key to the same endpoint. */
  readonly balanceHash = new KeyedHash(new Uint8Array(16));
  readonly upstream: Upstream;
  readonly tables: Tables;
  readonly tunnels: Tunnels;
  readonly lasting = new LastingRequests();
  readonly places: Places;
  readonly held: HeldMemory;
  readonly random: () => number;
  /** For answers outside of any route. */
  readonly defaultResponsePlan = planResponseFields({set: [], remove: []});
  /** Null where the access log is off. */
  accessLog: AccessLog | null = null;
  trustedProxies: CidrSet;
  /** Limits that hold for every customer. */
  limits: LimitSet;
  /** Rules that hold for every customer. */
  rules: RuleSet | null;
  readonly ruleTally = new RuleTally();
  readonly limitTally = new LimitTally();
  readonly #limitParts: LimitParts;
  readonly #counters: Float64Array;
  readonly #requestIdPrefix: string;
  #time = '';
  #timeFragment = '';
  /** Begins where the hexadecimal text has eight digits, so that ids are of one length without padding. */
  #requestNumber = 0x10000000;

  constructor(parts: GatewayParts, node: NodeSnapshot) {
    this.clock = parts.clock;
    this.hash = parts.hash;
    this.bans = parts.bans;
    this.#limitParts = parts.limitParts;
    this.upstream = parts.upstream;
    this.tables = parts.tables;
    this.tunnels = parts.tunnels;
    this.places = parts.places;
    this.held = parts.held;
    this.random = parts.random;
    this.#counters = parts.counters;
    this.#requestIdPrefix = parts.requestIdPrefix;
    this.trustedProxies = compileNetworks(node.trustedProxies);
    this.limits = compileLimits('', '', node.limits, parts.limitParts);
    this.rules = compileRuleSet('', node.rules);
  }

  configure(node: NodeSnapshot): void {
    this.bans.configure(node);
    this.#limitParts.fleet.configure(node.fleet);
    this.trustedProxies = compileNetworks(node.trustedProxies);
    this.limits = compileLimits('', '', node.limits, this.#limitParts);
    this.rules = compileRuleSet('', node.rules);
  }

  /** The beginning of a log line of this moment. */
  timeFragment(): string {
    const time = this.clock.isoTime();
    if (time !== this.#time) {
      this.#time = time;
      this.#timeFragment = timeFragment(time);
    }
    return this.#timeFragment;
  }

  nextRequestId(): string {
    return this.#requestIdPrefix + (this.#requestNumber++).toString(16);
  }

  count(column: NodeColumn, by = 1): void {
    count(this.#counters, column, by);
  }

  countFault(fault: FaultCode): void {
    countFault(this.#counters, fault);
  }
}
