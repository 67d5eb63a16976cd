/**
 * The configuration in the form that requests are served from: one immutable object a route. A request keeps the objects that it was
 * admitted under; a reload puts new ones into the tables and leaves the old to the requests that hold them.
 */
import {TimeAccount} from '#src/balance/time-account.ts';
import type {CustomerSnapshot, PoolSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import type {PlaceAccount, PlaceAccounts} from '#src/balance/fair-places.ts';
import {LIMITS} from '#src/core/limits.ts';
import {parseCidrs, type Cidr} from '#src/core/ip.ts';
import {customerFragment} from '#src/observe/access-line.ts';
import {compileAccess, type AccessRule} from '#src/policy/access.ts';
import {HostTable, type HostEntry} from '#src/policy/host-table.ts';
import {PathTable} from '#src/policy/path-table.ts';
import {planRequestFields, type FieldPlan} from '#src/policy/request-hardening.ts';
import {compileLimits, createLimitKey, HostKeys, type CompiledLimit, type LimitParts, type NamedLimitKey} from '#src/policy/request-limits.ts';
import {compileRuleSet, type RuleSet} from '#src/policy/rules.ts';
import {planResponseFields, type ResponsePlan} from '#src/policy/response-hardening.ts';
import {createBanScope, type BanScope} from '#src/shared/ban-table.ts';
import {CUSTOMER_ROW_LENGTH, POOL_ROW_LENGTH, openRow} from '#src/shared/counters.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {endpointKey, type CustomerAssignment} from '#src/shared/messages.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {mapPlaceKinds, type PlaceKind} from '#src/shared/place-kinds.ts';
import type {SlotRef} from '#src/shared/slots.ts';
import {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {PoolTls} from '#src/upstream/pool-tls.ts';
import {UpstreamPool} from '#src/upstream/pool.ts';
import type {Gate, GateBuilder} from '#src/proxy/gate.ts';
import type {LoginGuards, LoginGuardsBuilder} from '#src/proxy/login-guards.ts';
import {compileTunnelCaps, type TunnelCaps} from '#src/proxy/tunnels.ts';
import {compileWebSocket, type WebSocketPolicy} from '#src/proxy/upgrade.ts';

export interface Customer {
  readonly name: string;
  readonly banScope: BanScope;
  /** Those for which the site is enough; the others stand in each route. */
  readonly limits: readonly CompiledLimit[];
  readonly limitKey: NamedLimitKey;
  readonly rules: RuleSet | null;
  /** Ways to prove who one is, by name. */
  readonly gates: ReadonlyMap<string, Gate>;
  /** Null where no login is guarded. */
  readonly logins: LoginGuards | null;
  /** This thread's rows, see `shared/counters.ts`. */
  readonly counters: Float64Array;
  /** Counts what no pool answered. */
  readonly unpooledCounters: Float64Array;
  /** Of the log line, where no route was found. */
  readonly logFragment: string;
  readonly pools: ReadonlyMap<string, UpstreamPool>;
  readonly hosts: readonly HostEntry<Site>[];
  readonly tunnelCaps: TunnelCaps;
  readonly places: PlaceAccounts;
  /** Survives reloads: its connections are in it. */
  readonly time: TimeAccount;
}

export interface Site {
  readonly customer: Customer;
  readonly paths: PathTable<Route>;
  readonly hostKeys: HostKeys;
}

export interface Route {
  readonly snapshot: RouteSnapshot;
  /** Null where the route answers by itself. */
  readonly pool: UpstreamPool | null;
  readonly access: AccessRule | null;
  readonly rules: RuleSet | null;
  /** Its own, and those of the customer for each route. */
  readonly limits: readonly CompiledLimit[];
  readonly limitKey: NamedLimitKey;
  /** Null where nobody has to prove who he is. */
  readonly gate: Gate | null;
  readonly requestPlan: FieldPlan;
  readonly responsePlan: ResponsePlan;
  /** Null where WebSockets are not asked for. */
  readonly websocket: WebSocketPolicy | null;
  /** Of the log line: customer and pool. */
  readonly logFragment: string;
}

export interface ThreadNumbers {
  readonly thread: number;
  readonly threads: number;
}

/** For what is more than data. */
export interface TableBuilders {
  readonly buildGate: GateBuilder;
  readonly buildLogins: LoginGuardsBuilder;
}

export class Tables {
  readonly hosts = new HostTable<Site>();
  readonly #customers = new Map<string, Customer>();
  readonly #hash: KeyedHash;
  readonly #limitParts: LimitParts;
  readonly #numbers: ThreadNumbers;
  readonly #buildGate: GateBuilder;
  readonly #buildLogins: LoginGuardsBuilder;

  constructor(limitParts: LimitParts, numbers: ThreadNumbers, {buildGate, buildLogins}: TableBuilders) {
    this.#buildGate = buildGate;
    this.#buildLogins = buildLogins;
    this.#hash = limitParts.hash;
    this.#limitParts = limitParts;
    this.#numbers = numbers;
  }

  /** Puts a customer's configuration in force. Endpoints that have not changed keep their connections. */
  assign(assignment: CustomerAssignment): void {
    const {name} = assignment.snapshot;
    const before = this.#customers.get(name);
    const customer = this.#build(assignment, before);
    const kept = new Set([...customer.pools.values()].flatMap((pool) => pool.endpoints));
    if (before !== undefined) this.#withdraw(before, kept);
    this.#customers.set(name, customer);
    for (const entry of customer.hosts) this.hosts.set(entry);
  }

  *accounts(kind: PlaceKind): Generator<PlaceAccount> {
    for (const {places} of this.#customers.values()) yield places[kind];
  }

  findAccounts(customer: string): PlaceAccounts | undefined {
    return this.#customers.get(customer)?.places;
  }

  findTimeAccount(customer: string): TimeAccount | undefined {
    return this.#customers.get(customer)?.time;
  }

  remove(name: string): void {
    const customer = this.#customers.get(name);
    if (customer === undefined) return;
    this.#customers.delete(name);
    this.#withdraw(customer, new Set());
  }

  #withdraw(customer: Customer, kept: ReadonlySet<UpstreamEndpoint>): void {
    for (const entry of customer.hosts) this.hosts.delete(entry);
    for (const pool of customer.pools.values()) {
      for (const endpoint of pool.endpoints) {
        if (!kept.has(endpoint)) endpoint.retire();
      }
    }
  }

  #build(assignment: CustomerAssignment, before: Customer | undefined): Customer {
    const {snapshot} = assignment;
    const networks = parseCidrs(snapshot.networks);
    const pools = new Map<string, UpstreamPool>();
    const time = before?.time ?? new TimeAccount(snapshot.weight, this.#row(assignment.counters, CUSTOMER_ROW_LENGTH));
    time.weight = snapshot.weight;
    for (const pool of snapshot.pools) {
      const endpoints = this.#buildEndpoints(pool, networks, assignment, time, before?.pools.get(pool.name));
      pools.set(pool.name, new UpstreamPool(pool, endpoints, this.#row(assignment.poolCounters[pool.name], POOL_ROW_LENGTH)));
    }
    const limits = compileLimits(snapshot.name, snapshot.name, snapshot.limits, this.#limitParts);
    const gates = this.#buildGates(snapshot, pools, before);
    const hosts: HostEntry<Site>[] = [];
    const customer: Customer = {
      name: snapshot.name,
      banScope: createBanScope(snapshot.name, this.#hash),
      limits: [...limits.onArrival, ...limits.onSite],
      limitKey: createLimitKey(`customer\n${snapshot.name}`, this.#hash),
      rules: compileRuleSet(snapshot.name, snapshot.rules),
      gates,
      logins: this.#buildLogins(snapshot.name, snapshot.loginGuards),
      counters: this.#row(assignment.counters, CUSTOMER_ROW_LENGTH),
      unpooledCounters: this.#row(assignment.poolCounters[''], POOL_ROW_LENGTH),
      logFragment: customerFragment(snapshot.name, ''),
      pools,
      hosts,
      tunnelCaps: compileTunnelCaps(snapshot, this.#hash),
      places: this.#accountsOf(assignment),
      time,
    };
    for (const {hosts: patterns, routes} of snapshot.sites) {
      const parts = {customer: snapshot.name, site: patterns[0] ?? '', pools, gates, limitParts: this.#limitParts, customerLimits: limits.onRoute};
      const paths = new PathTable(routes.map((route) => ({path: route.path, match: route.match, methods: route.methods, value: compileRoute(route, parts)})));
      const site: Site = {customer, paths, hostKeys: new HostKeys(patterns, this.#hash)};
      for (const pattern of patterns) hosts.push({pattern, value: site});
    }
    return customer;
  }

  #buildGates(snapshot: CustomerSnapshot, pools: Customer['pools'], before: Customer | undefined): ReadonlyMap<string, Gate> {
    return new Map(snapshot.auth.map((auth) => {
      const known = before?.gates.get(auth.name);
      return [auth.name, known?.matches(snapshot, auth) === true ? known : this.#buildGate(snapshot.name, auth, pools)];
    }));
  }

  #buildEndpoints(pool: PoolSnapshot, networks: readonly Cidr[], assignment: CustomerAssignment, time: TimeAccount, before: UpstreamPool | undefined): readonly UpstreamEndpoint[] {
    const tls = findTls(pool, before);
    return pool.servers.map((server) => {
      const known = before?.endpoints.find((endpoint) => endpoint.address === server.address && endpoint.port === server.port);
      if (known !== undefined && known.matches({customer: assignment.snapshot, pool, server, tls})) return known;
      const slot = assignment.endpoints[endpointKey(pool.name, server.address, server.port)];
      if (slot === undefined) throw new Error(`no slot for ${server.address} in pool ${pool.name}`);
      const {thread, threads} = this.#numbers;
      return new UpstreamEndpoint({customer: assignment.snapshot, pool, server, networks, slot: new EndpointSlot(slot, threads, thread), tls, time});
    });
  }

  #accountsOf({snapshot: {name, caps, weight}, places}: CustomerAssignment): PlaceAccounts {
    const {thread, threads} = this.#numbers;
    const max: Readonly<Record<PlaceKind, number>> = {
      connections: caps.connectionsMax, handshakes: caps.handshakesMax, requests: caps.requestsMax, buffers: caps.bufferedBytesMax / LIMITS.heldBlockBytes,
    };
    return mapPlaceKinds((kind) => ({customer: name, count: new PlaceCount(places[kind], threads, thread), max: max[kind], weight}));
  }

  #row(slot: SlotRef | undefined, length: number): Float64Array {
    if (slot === undefined) throw new Error('an assignment without its counters');
    return openRow(slot, length, this.#numbers.thread);
  }
}

/** The same object as long as nothing of it changes: endpoints know by it that they can be kept. */
function findTls({tls}: PoolSnapshot, before: UpstreamPool | undefined): PoolTls | null {
  if (tls === null) return null;
  const known = before?.endpoints.find((endpoint) => endpoint.tls?.isMadeOf(tls) === true)?.tls;
  return known ?? new PoolTls(tls);
}

interface RouteParts {
  readonly customer: string;
  /** The site's first host, which tells its routes from those of other sites. */
  readonly site: string;
  readonly limitParts: LimitParts;
  /** Limits of the customer that count each route. */
  readonly customerLimits: readonly CompiledLimit[];
  readonly pools: ReadonlyMap<string, UpstreamPool>;
  readonly gates: ReadonlyMap<string, Gate>;
}

function compileRoute(route: RouteSnapshot, {customer, site, pools, gates, limitParts, customerLimits}: RouteParts): Route {
  const routeText = `${customer}\n${site}\n${route.match}\n${route.path}\n${route.methods.join()}`;
  const limits = compileLimits(customer, routeText, route.limits, limitParts);
  const gate = route.auth === null ? null : requireGate(gates, route.auth);
  // On every route of the customer: one server may stand behind several, and believe what it reads on all of them.
  const withheld = [...gates.values()].flatMap(({identityFields}) => identityFields).concat(gate?.withheldFields ?? []);
  return {
    snapshot: route,
    pool: route.action.type === 'pool' ? requirePool(pools, route.action.pool) : null,
    access: compileAccess(route.allow, route.deny),
    rules: compileRuleSet(customer, route.rules),
    limits: [...customerLimits, ...limits.onArrival, ...limits.onSite, ...limits.onRoute],
    limitKey: createLimitKey(`route\n${routeText}`, limitParts.hash),
    gate,
    requestPlan: planRequestFields(route.requestFields, withheld),
    responsePlan: planResponseFields(route.responseFields),
    websocket: route.websocket === null ? null : compileWebSocket(route.websocket),
    logFragment: customerFragment(customer, route.action.type === 'pool' ? route.action.pool : ''),
  };
}

function requireGate(gates: ReadonlyMap<string, Gate>, name: string): Gate {
  const gate = gates.get(name);
  if (gate === undefined) throw new Error(`a route names the unknown way ${name}`);
  return gate;
}

function requirePool(pools: ReadonlyMap<string, UpstreamPool>, name: string): UpstreamPool {
  const pool = pools.get(name);
  if (pool === undefined) throw new Error(`a route names the unknown pool ${name}`);
  return pool;
}
