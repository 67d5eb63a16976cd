/** The control thread: what it consists of, and its life from the first configuration to the end of the drain. */
import type {Machine} from '#src/config/compile-node.ts';
import type {FileSource} from '#src/config/file-source.ts';
import {formatProblem} from '#src/config/problem.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {AdminServer} from '#src/control/admin.ts';
import {createAdminRouter} from '#src/control/admin-commands.ts';
import {AdminSocket} from '#src/control/admin-socket.ts';
import {BanKeeper} from '#src/control/ban-keeper.ts';
import type {Configuration} from '#src/control/configuration.ts';
import {Fleet, FLEET_TIMINGS} from '#src/control/fleet.ts';
import type {LastGoodKeeper} from '#src/control/last-good-keeper.ts';
import {LimitTotals} from '#src/control/limit-totals.ts';
import {LoginBook} from '#src/control/login-book.ts';
import {PortBook, tryNewAddresses} from '#src/control/port-book.ts';
import {Prober} from '#src/control/prober.ts';
import {loadFirst, Reloader, type FirstLoad} from '#src/control/reloader.ts';
import {readDescriptorLimit} from '#src/control/descriptor-limit.ts';
import {RuleTotals} from '#src/control/rule-totals.ts';
import {createSharedMemory, forgetPlacesOfThread} from '#src/control/shared-memory.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {Supervisor, type ConfigureOutcome} from '#src/control/supervisor.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import {createExposition, renderExposition, type ReloadOutcome} from '#src/observe/exposition.ts';
import type {SharedMemory} from '#src/shared/messages.ts';

/**
 * TLS session tickets are as good as the key that protects them, so it does not live longer than a working day. Node keeps one key
 * for a server: sessions of before a rotation make a full handshake once.
 */
const TICKET_KEYS_MS = 12 * 3_600_000;
const SWEEP_EVERY_MS = 60_000;

export interface DaemonOptions {
  /** Absolute path of the node file. */
  readonly configFile: string;
  readonly source: FileSource;
  readonly machine: Machine;
  readonly workerUrl: URL;
  readonly version: string;
  readonly log: DaemonLog;
}

/** Why the daemon cannot start: one line each. */
export class StartError extends Error {
  readonly reasons: readonly string[];

  constructor(message: string, reasons: readonly string[]) {
    super(message);
    this.reasons = reasons;
  }
}

/** `host:port` texts, as one writes them into a URL. */
export interface Listening {
  readonly listeners: Readonly<Record<string, string>>;
  readonly admin: string;
}

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #memory: SharedMemory;
  readonly #ports: PortBook;
  readonly #slots: SlotBook;
  readonly #supervisor: Supervisor;
  readonly #prober: Prober;
  readonly #reloader: Reloader;
  readonly #limitTotals = new LimitTotals();
  readonly #lastGood: LastGoodKeeper;
  readonly #ruleTotals = new RuleTotals();
  readonly #logins: LoginBook;
  readonly #bans: BanKeeper;
  readonly #fleet: Fleet;
  readonly #timers: NodeJS.Timeout[] = [];
  #inForce: Configuration;
  #admin: AdminServer | null = null;
  #adminSocket: AdminSocket | null = null;

  /** Rejects with a `StartError`; then nothing is left running. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const first = await loadFirst(options);
    if (!('running' in first)) throw new StartError('the configuration is refused', first.map(formatProblem));
    const ports = new PortBook();
    const snapshot = await ports.resolve(first.running.snapshot).catch(toStartError('no free port was found for a listener'));
    const daemon = new Daemon(options, first, snapshot, ports);
    await daemon.#start();
    first.lastGood.keep(first.merged);
    return daemon;
  }

  private constructor(options: DaemonOptions, first: FirstLoad, snapshot: Snapshot, ports: PortBook) {
    const {log, workerUrl} = options;
    const {threads, caps} = snapshot.node;
    this.#options = options;
    this.#logins = new LoginBook(log);
    this.#memory = createSharedMemory(threads, Math.max(caps.connectionsMax, caps.requestsMax), readDescriptorLimit());
    this.#slots = new SlotBook(threads);
    this.#ports = ports;
    this.#inForce = this.#slots.assign(snapshot);
    this.#bans = new BanKeeper({memory: this.#memory, stateFolder: snapshot.node.stateFolder, log, now: () => Date.now(), onChange: (change, ban, by) => this.#fleet.onBanChange(change, ban, by)});
    this.#fleet = new Fleet({memory: this.#memory, book: this.#bans.book, log, clock: () => performance.now(), now: () => Date.now(), timings: FLEET_TIMINGS});
    this.#prober = new Prober({threads, log, random: Math.random});
    this.#lastGood = first.lastGood;
    this.#reloader = new Reloader({...options, apply: next => this.#apply(next)}, first);
    this.#supervisor = new Supervisor({
      workerUrl, threads, log, memory: this.#memory, clock: () => performance.now(), 
      onLimitExcesses: excesses => this.#limitTotals.add(excesses),
      onRuleMatches: matches => this.#ruleTotals.add(matches),
      onLoginEvents: events => this.#logins.add(events),
      onBan: (order, source) => this.#bans.obey(order, source),
      forgetThread: thread => {
        this.#slots.forgetThread(thread);
        forgetPlacesOfThread(this.#memory, threads, thread);
      },
    });
  }

  get listening(): Listening {
    const {listeners, admin} = this.#inForce.snapshot.node;
    return {
      listeners: Object.fromEntries(listeners.map(({name, address, port}) => [name, formatAddress(address, port)])),
      admin: formatAddress(admin.address, this.#admin?.address.port ?? admin.port),
    };
  }

  reload(): Promise<ReloadOutcome> {
    return this.#reloader.reload();
  }

  reopenLogs(): void {
    this.#supervisor.broadcast({type: 'reopenLogs'});
  }

  /** Stops accepting, waits for requests, ends everything. Metrics and health are served until the last request is done. */
  async drain(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#prober.stop();
    await this.#supervisor.drain(this.#inForce.snapshot.node.timeouts.drainMs);
    await this.#closeServices();
  }

  async #start(): Promise<void> {
    const {log} = this.#options;
    const {node} = this.#inForce.snapshot;
    log.level = node.log.level;
    try {
      await this.#startServices();
    } catch (error) {
      await this.#closeServices();
      throw error;
    }
    this.#prober.update(this.#inForce);
    this.#timers.push(
      setInterval(() => this.#supervisor.rotateTicketKeys(), TICKET_KEYS_MS),
      setInterval(() => this.#slots.sweep(this.#inForce, performance.now()), SWEEP_EVERY_MS),
    );
  }

  async #startServices(): Promise<void> {
    const {snapshot} = this.#inForce;
    // The socket first: it shows whether another daemon is running, and nothing has been touched then.
    this.#adminSocket = await this.#listenAdminSocket(snapshot.node.adminSocket);
    // Then the admin listener: while threads start, /readyz says so. Then bans: nobody is served before they are in force.
    this.#admin = await this.#listenAdmin();
    await tryNewAddresses(snapshot.node.listeners, []).catch(toStartError('a listener could not start'));
    await this.#bans.start(snapshot);
    const outcome = await this.#supervisor.start(this.#inForce);
    if (!outcome.ok) throw new StartError('the proxy threads could not start', [outcome.error]);
    this.#fleet.configure(snapshot.node);
  }

  async #closeServices(): Promise<void> {
    this.#fleet.stop();
    await this.#adminSocket?.close();
    await this.#admin?.close();
    await this.#bans.stop();
    await this.#lastGood.stop();
  }

  async #listenAdminSocket(file: string | null): Promise<AdminSocket | null> {
    if (file === null) return null;
    const onError = (error: unknown): void => this.#options.log.error({err: error}, 'the admin socket failed');
    return AdminSocket.listen(file, {answer: createAdminRouter({bans: this.#bans}), onError}).catch(toStartError('the admin socket could not start'));
  }

  async #listenAdmin(): Promise<AdminServer> {
    const exposition = createExposition({
      version: this.#options.version,
      threads: this.#inForce.snapshot.node.threads,
      nodeCounters: this.#memory.nodeCounters,
      nodePlaces: this.#memory.places,
      caps: () => this.#inForce.snapshot.node.caps,
      clock: () => performance.now(),
      revision: () => this.#inForce.snapshot.revision,
      customers: () => this.#inForce.assignments.values(),
      reload: () => this.#reloader.report,
      threadReports: () => this.#supervisor.reportThreads(),
      bans: () => this.#bans.report(),
      fleet: () => this.#fleet.report(),
      loginTotals: () => this.#logins.list(this.#inForce.snapshot),
      limitExcesses: () => this.#limitTotals.list(this.#inForce.snapshot),
      ruleMatches: () => this.#ruleTotals.list(this.#inForce.snapshot),
      isReady: () => this.#supervisor.describeUnreadiness() === null,
      isConfigSaved: () => this.#lastGood.isSaved,
    });
    const sources = {
      metrics: () => renderExposition(exposition),
      metricsType: exposition.contentType,
      unreadiness: () => this.#supervisor.describeUnreadiness(),
      remarks: () => this.#reloader.report.staleCustomers.map(({customer, isServed}) => `${customer} ${isServed ? 'is served as it was' : 'is not served'}: its file is broken`),
      onError: (error: unknown) => this.#options.log.error({err: error}, 'the admin listener failed'),
    };
    return AdminServer.listen(this.#inForce.snapshot.node.admin, sources).catch(toStartError('the admin listener could not start'));
  }

  async #apply(next: Snapshot): Promise<ConfigureOutcome> {
    const resolved = await this.#ports.resolve(next);
    try {
      await tryNewAddresses(resolved.node.listeners, this.#inForce.snapshot.node.listeners);
    } catch (error) {
      return {ok: false, error: describeError(error)};
    }
    const configuration = this.#slots.assign(resolved, this.#inForce);
    const outcome = await this.#supervisor.configure(configuration);
    if (!outcome.ok) return outcome;
    this.#inForce = configuration;
    this.#prober.update(configuration);
    this.#bans.configure(next);
    this.#fleet.configure(resolved.node);
    const {log, caps} = next.node;
    this.#options.log.level = log.level;
    const {clientsMax} = this.#memory;
    if (Math.max(caps.connectionsMax, caps.requestsMax) > clientsMax) {
      this.#options.log.warn({connections: caps.connectionsMax, requests: caps.requestsMax, until: clientsMax}, 'caps.connections or caps.requests is higher than this process can count clients: it takes full effect with the next restart');
    }
    return outcome;
  }
}

function toStartError(message: string): (error: unknown) => never {
  return error => {
    throw new StartError(message, [describeError(error)]);
  };
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function formatAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
