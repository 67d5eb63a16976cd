/** A proxy thread's parts, put together: what `worker.ts` drives with the control thread's messages. */
import {ownSocketsOf} from '#src/config/own-addresses.ts';
import type {ListenerSnapshot, NodeSnapshot} from '#src/config/snapshot.ts';
import {Clock, type TimeSource} from '#src/core/clock.ts';
import {DeadlineWheel} from '#src/core/deadline-wheel.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {giveUp} from '#src/core/give-up.ts';
import {LIMITS} from '#src/core/limits.ts';
import {Certificates} from '#src/edge/certificates.ts';
import {Edge, type Places} from '#src/edge/edge.ts';
import {Listener} from '#src/edge/listener.ts';
import {Offences} from '#src/edge/offences.ts';
import {parseAuthority} from '#src/http1/request-target.ts';
import {AccessLog} from '#src/observe/access-log.ts';
import {FleetScope} from '#src/policy/fleet-scope.ts';
import {ClientBans} from '#src/policy/client-bans.ts';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import {BanTable, createBanScope} from '#src/shared/ban-table.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {DescriptorBudget} from '#src/shared/descriptor-budget.ts';
import {NODE_ROW_LENGTH, openRow} from '#src/shared/counters.ts';
import type {BanOrder, CustomerAssignment, LimitExcesses, LoginEvents, RuleMatches, ThreadStart} from '#src/shared/messages.ts';
import {RateBuckets} from '#src/shared/rate-buckets.ts';
import {RateTables} from '#src/shared/rate-tables.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {HeldMemory} from '#src/transport/held-memory.ts';
import {TimeMeter} from '#src/transport/time-meter.ts';
import {Upstream, type ThreadLog} from '#src/upstream/upstream.ts';
import {ExchangePool} from '#src/proxy/exchange-pool.ts';
import {createGateBuilder} from '#src/proxy/gate-builder.ts';
import {Gateway} from '#src/proxy/gateway.ts';
import {createLoginGuardsBuilder} from '#src/proxy/login-guards.ts';
import {LoginTally} from '#src/proxy/login-tally.ts';
import {PasswordChecker} from '#src/proxy/password-checker.ts';
import {configurePlaces, createPlaces} from '#src/proxy/places.ts';
import {Tables} from '#src/proxy/tables.ts';
import {findTimePayer} from '#src/proxy/time-payer.ts';
import {Tunnels} from '#src/proxy/tunnels.ts';

export interface ProxyEnvironment {
  readonly time: TimeSource;
  readonly random: () => number;
  readonly requestIdPrefix: string;
  readonly log: ThreadLog;
  /** A client network has earned a ban. */
  readonly ban: (order: BanOrder) => void;
}

export interface ConfigurationChange {
  /** Null: as it was. */
  readonly node: NodeSnapshot | null;
  readonly customers: readonly CustomerAssignment[];
  readonly removed: readonly string[];
}

export class Proxy {
  readonly #environment: ProxyEnvironment;
  readonly #clock: Clock;
  readonly #wheel: DeadlineWheel;
  readonly #edge: Edge;
  readonly #upstream: Upstream;
  readonly #gateway: Gateway;
  readonly #places: Places;
  readonly #passwords: PasswordChecker;
  readonly #logins = new LoginTally();
  readonly #certificates: Certificates;
  readonly #listeners = new Map<string, Listener>();
  #ticketKeys: Buffer;
  #accessLogPath = 'off';

  constructor(start: ThreadStart, node: NodeSnapshot, environment: ProxyEnvironment) {
    const {memory, thread, threads} = start;
    const counters = openRow(memory.nodeCounters, NODE_ROW_LENGTH, thread);
    const hash = new KeyedHash(memory.hashSecret);
    const reportBug = (error: unknown): void => environment.log('error', 'an exception ended a connection: please report this', {error: error instanceof Error ? error.stack ?? error.message : String(error)});
    const clock = new Clock(environment.time);
    const wheel = new DeadlineWheel(LIMITS.wheelTickMs, clock.nowMs, (entry, error) => giveUp(entry, error, reportBug));
    this.#environment = environment;
    this.#certificates = new Certificates((customer, names, error) => environment.log('error', 'a certificate cannot be used: clients that ask for it are refused', {
      customer, names: names.join(' '), reason: String(error instanceof Error && 'code' in error ? error.code : error),
    }), (host) => tables.hosts.find(host)?.customer.name);
    this.#clock = clock;
    this.#wheel = wheel;
    const timeMeter = new TimeMeter(clock, reportBug);
    this.#upstream = new Upstream({clock, timeMeter, wheel, counters, reportBug, log: environment.log}, node.timeouts.upstreamKeepAliveMs, ownSocketsOf(node));
    const limitParts = {tables: new RateTables(memory.rateTables), hash, fleet: new FleetScope(new FleetLedger(memory.fleetLedger), node.fleet)};
    const bans = new ClientBans(new BanTable(memory.banTable, LIMITS.bansMax, hash), createBanScope(null, hash), clock, node);
    this.#passwords = new PasswordChecker(reportBug);
    const banMemory = new RateBuckets(memory.loginMemory);
    const offences = new Offences({clock, hash, bans, ban: environment.ban, memory: banMemory, buckets: limitParts.tables.forWindow(LIMITS.offencePointsMax * LIMITS.offencePointMs), glitchBuckets: limitParts.tables.forWindow(LIMITS.clientGlitchQuartersMax * LIMITS.clientGlitchQuarterMs)});
    const {random} = environment;
    const tables = new Tables(limitParts, {thread, threads}, {
      buildGate: createGateBuilder({clock, hash, buckets: limitParts.tables.forWindow(LIMITS.credentialFailuresBurst * LIMITS.credentialFailureIntervalMs), passwords: this.#passwords, upstream: this.#upstream, random}),
      buildLogins: createLoginGuardsBuilder({
        clock, wheel, hash, tally: this.#logins, ban: environment.ban, buckets: new RateBuckets(memory.loginBuckets), memory: banMemory,
      }),
    });
    const tunnels = new Tunnels(new ClientCounts(memory.tunnels, threads, thread));
    const places = createPlaces(start, node, clock, tables);
    this.#places = places;
    const held = new HeldMemory(places.buffers);
    this.#gateway = new Gateway({clock, hash, bans, limitParts, upstream: this.#upstream, tables, tunnels, places, held, counters, requestIdPrefix: environment.requestIdPrefix, random: environment.random}, node);
    const exchanges = new ExchangePool(this.#gateway);
    const descriptors = new DescriptorBudget(memory, threads, new PlaceCount(memory.places.connections.node, threads, thread));
    this.#edge = new Edge({
      clock, wheel, hash, bans, offences, places, held, descriptors, counters, reportBug,
      timeMeter, findCustomerTime: (customer) => tables.findTimeAccount(customer),
      findTimePayer: (tls, hostField) => findTimePayer(tables, tls, tables.hosts.find(tables.hosts.findName(hostField) ?? parseAuthority(hostField)?.host ?? ''), timeMeter.strangers),
      findAccounts: (customer) => tables.findAccounts(customer), acquireHandler: (downstream) => exchanges.acquire(downstream),
    }, node.timeouts);
    this.#ticketKeys = Buffer.from(start.ticketKeys);
  }

  /**
   * Puts a configuration in force. New listeners are bound first: if that fails, the error is thrown and nothing has changed.
   * Returns the bound ports by listener name.
   */
  async configure(change: ConfigurationChange): Promise<Readonly<Record<string, number>>> {
    const opened = change.node === null ? [] : await this.#openListeners(change.node.listeners);
    for (const assignment of change.customers) {
      this.#gateway.tables.assign(assignment);
      this.#certificates.assign(assignment.snapshot.name, assignment.snapshot.certificates);
    }
    for (const name of change.removed) {
      this.#gateway.tables.remove(name);
      this.#certificates.remove(name);
    }
    const {tables, tunnels} = this.#gateway;
    for (const name of [...change.customers.map(({snapshot}) => snapshot.name), ...change.removed]) tunnels.review(name, tables);
    if (change.node !== null) this.#configureNode(change.node, opened);
    return Object.fromEntries([...this.#listeners.values()].map((listener) => [listener.snapshot.name, listener.port]));
  }

  async #openListeners(snapshots: readonly ListenerSnapshot[]): Promise<readonly Listener[]> {
    const opened: Listener[] = [];
    try {
      for (const snapshot of snapshots) {
        if (this.#listeners.has(listenerKey(snapshot))) continue;
        const listener = new Listener({edge: this.#edge, certificates: this.#certificates, snapshot, ticketKeys: this.#ticketKeys});
        await listener.listen();
        opened.push(listener);
      }
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
    return opened;
  }

  #configureNode(node: NodeSnapshot, opened: readonly Listener[]): void {
    this.#edge.timeouts = node.timeouts;
    configurePlaces(this.#places, node);
    this.#upstream.keepAliveMs = node.timeouts.upstreamKeepAliveMs;
    this.#upstream.ownListeners = ownSocketsOf(node);
    this.#gateway.configure(node);
    for (const listener of opened) this.#listeners.set(listenerKey(listener.snapshot), listener);
    const wanted = new Map(node.listeners.map((snapshot) => [listenerKey(snapshot), snapshot]));
    for (const [key, listener] of this.#listeners) {
      const snapshot = wanted.get(key);
      if (snapshot !== undefined) listener.reconfigure(snapshot);
      else {
        listener.close();
        this.#listeners.delete(key);
      }
    }
    this.#openAccessLog(node.log.access);
  }

  #openAccessLog(path: string): void {
    if (path === this.#accessLogPath) return;
    this.#accessLogPath = path;
    const before = this.#gateway.accessLog;
    this.#gateway.accessLog = path === 'off' ? null : new AccessLog(path, {
      onDropped: (lines) => this.#gateway.count('logLinesDropped', lines),
      onError: (message) => this.#environment.log('error', message, {path}),
    });
    before?.end(() => undefined);
  }

  setTicketKeys(keys: Uint8Array): void {
    this.#ticketKeys = Buffer.from(keys);
    for (const listener of this.#listeners.values()) listener.setTicketKeys(this.#ticketKeys);
  }

  reopenLogs(): void {
    this.#gateway.accessLog?.reopen();
  }

  /** Fires deadlines and writes the log. Call it every `LIMITS.wheelTickMs`. */
  tick(): void {
    this.#clock.refresh();
    this.#wheel.advance(this.#clock.nowMs);
    this.#edge.tick();
    this.#gateway.lasting.endBanned(this.#edge);
    this.#gateway.accessLog?.flush();
  }

  /** What rules have matched since the last call. */
  takeRuleMatches(): readonly RuleMatches[] {
    return this.#gateway.ruleTally.take();
  }

  /** What was over its limit since the last call. */
  takeLimitExcesses(): readonly LimitExcesses[] {
    return this.#gateway.limitTally.take();
  }

  /** What login guards have found since the last call. */
  takeLoginEvents(): readonly LoginEvents[] {
    return this.#logins.take();
  }

  /** Stops accepting, ends idle connections, and lets the others finish. */
  beginDrain(): void {
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
    this.#edge.drain();
  }

  get openConnections(): number {
    return this.#edge.connections.size;
  }

  /** Ends what is left, and resolves when the log is written. */
  async finish(): Promise<void> {
    this.#edge.cut();
    await this.#passwords.close();
    const {accessLog} = this.#gateway;
    if (accessLog !== null) await new Promise<void>((resolve) => accessLog.end(resolve));
  }
}

/** A listener with the same key can be kept; everything else of it changes in place. */
function listenerKey(snapshot: ListenerSnapshot): string {
  return `${snapshot.protocol} ${snapshot.address} ${snapshot.port}${snapshot.port === 0 ? ` ${snapshot.name}` : ''}`;
}
