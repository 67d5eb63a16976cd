/** The first load, and reloads: load, keep the last good version of what is broken, compare, put in force on all threads or on none. */
import type {Machine} from '#src/config/compile-node.ts';
import {diffSnapshots, type RestartSetting} from '#src/config/diff.ts';
import type {FileSource} from '#src/config/file-source.ts';
import {loadConfig, type ConfigResult} from '#src/config/load.ts';
import {mergeAtStart, mergeWithLastGood, type MergeResult, type RunningConfig, type StaleCustomer} from '#src/config/merge.ts';
import {formatProblem, type Problem} from '#src/config/problem.ts';
import {restoreCustomers} from '#src/config/restore.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {LastGoodKeeper} from '#src/control/last-good-keeper.ts';
import {createRest} from '#src/control/pace.ts';
import {SerialQueue} from '#src/control/serial-queue.ts';
import type {ConfigureOutcome} from '#src/control/supervisor.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import type {ReloadOutcome, ReloadReport, StaleReport} from '#src/observe/exposition.ts';

export interface LoadingOptions {
  /** Absolute path of the node file. */
  readonly configFile: string;
  readonly source: FileSource;
  readonly machine: Machine;
  readonly log: DaemonLog;
}

export interface ReloaderOptions extends LoadingOptions {
  /** Puts a configuration in force everywhere, or nowhere. */
  readonly apply: (next: Snapshot) => Promise<ConfigureOutcome>;
}

/** A configuration that can be put in force at a start. */
export interface FirstLoad {
  readonly loaded: ConfigResult;
  readonly merged: MergeResult;
  readonly running: RunningConfig;
  readonly lastGood: LastGoodKeeper;
}

/** @returns the problems where there is nothing to start with */
export async function loadFirst({configFile, source, machine, log}: LoadingOptions): Promise<FirstLoad | readonly Problem[]> {
  const nowMs = Date.now();
  const loaded = await loadConfig(configFile, source, {machine, nowMs});
  const lastGood = new LastGoodKeeper(loaded.node?.stateFolder ?? null, log);
  const saved = lastGood.load();
  const {customers, files, refused} = await restoreCustomers(loaded.snapshot === null ? saved : [], loaded, source, nowMs);
  const merged = mergeAtStart(loaded, files, customers);
  const {running, stale, refusal} = merged;
  logFindings(loaded, {...merged, refusal: []}, log);
  if (running === null) return refusal;
  const broken = new Set(stale.map(({customer}) => customer));
  for (const {customer, reasons} of refused.filter((refusal) => broken.has(refusal.customer))) {
    for (const reason of reasons) log.error({customer, error: reason}, 'the saved version of a customer is refused');
  }
  if (stale.length > 0) log.error({...listStale(stale)}, 'starting in part: broken customers are served as they were last, or not at all');
  return {loaded, merged, running, lastGood};
}

export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #queue = new SerialQueue();
  readonly #rest = createRest();
  #running: RunningConfig;
  /** What the next load need not do again. */
  #loaded: ConfigResult;
  #next: Promise<ReloadOutcome> | null = null;
  #report: ReloadReport;
  readonly #lastGood: LastGoodKeeper;

  constructor(options: ReloaderOptions, {loaded, merged, running, lastGood}: FirstLoad) {
    const {stale} = merged;
    this.#options = options;
    this.#running = running;
    this.#loaded = loaded;
    this.#lastGood = lastGood;
    this.#report = {
      counts: {success: 0, partial: 0, failure: 0}, lastDurationMs: 0, staleCustomers: stale.map(reportStale),
      ...(stale.length === 0 ? {lastOutcome: 'success', lastSuccessMs: Date.now()} : {lastOutcome: 'partial', lastSuccessMs: 0}),
    };
  }

  get report(): ReloadReport {
    return this.#report;
  }

  /** Requests that come in while a reload is under way are answered by one more reload: it reads whatever they are about. */
  reload(): Promise<ReloadOutcome> {
    this.#next ??= this.#queue.run(() => {
      this.#next = null;
      return this.#reload();
    });
    return this.#next;
  }

  async #reload(): Promise<ReloadOutcome> {
    const startedMs = performance.now();
    const {outcome, stale} = await this.#attempt().catch((error: unknown) => {
      this.#options.log.error({err: error}, 'reload failed: unexpected error');
      return {outcome: 'failure', stale: []} as const;
    });
    const counts = {...this.#report.counts, [outcome]: this.#report.counts[outcome] + 1};
    this.#report = {
      counts, lastOutcome: outcome, lastDurationMs: performance.now() - startedMs,
      lastSuccessMs: outcome === 'success' ? Date.now() : this.#report.lastSuccessMs,
      staleCustomers: outcome === 'failure' ? this.#report.staleCustomers : stale.map(reportStale),
    };
    return outcome;
  }

  async #attempt(): Promise<{outcome: ReloadOutcome; stale: readonly StaleCustomer[]}> {
    const {configFile, source, machine, log, apply} = this.#options;
    const loaded = await loadConfig(configFile, source, {machine, nowMs: Date.now(), rest: this.#rest}, this.#loaded);
    // Customers that were compared with no node file at all would all have to be made again when it is mended.
    if (loaded.node !== null) this.#loaded = loaded;
    await this.#rest();
    const merged = mergeWithLastGood(loaded, this.#running);
    const {running, stale} = merged;
    logFindings(loaded, merged, log);
    if (merged.refusal.length > 0 || running === null) {
      log.error({problems: merged.refusal.length}, 'reload failed: the configuration is refused, nothing changed');
      return {outcome: 'failure', stale};
    }
    await this.#rest();
    const outcome = await apply(running.snapshot);
    const change = describeChange(this.#running.snapshot, running.snapshot);
    if (!outcome.ok) {
      log.error({...change, error: outcome.error}, 'reload failed: the configuration could not be put in force, nothing changed');
      return {outcome: 'failure', stale};
    }
    this.#running = running;
    await this.#rest();
    this.#lastGood.keep(merged);
    if (stale.length === 0) log.info(change, 'reload done');
    else log.error({...change, ...listStale(stale)}, 'reload done in part: broken customers stay as they were');
    return {outcome: stale.length === 0 ? 'success' : 'partial', stale};
  }
}

/** What the settings are called in the node file. */
const RESTART_KEYS: Readonly<Record<RestartSetting, string>> = {threads: 'threads', admin: 'admin.address', stateFolder: 'state.path', adminSocket: 'admin_socket'};

function logFindings({warnings}: ConfigResult, {refusal, stale, needsRestart}: MergeResult, log: DaemonLog): void {
  for (const warning of warnings) log.warn(formatProblem(warning));
  for (const problem of refusal) log.error(formatProblem(problem));
  for (const {customer, file, isKept, problems} of stale) {
    for (const problem of problems) log.error({customer, file, isKept}, formatProblem(problem));
  }
  if (needsRestart.length > 0) log.warn({settings: needsRestart.map(setting => RESTART_KEYS[setting])}, 'these settings change with the next restart');
}

function reportStale({customer, file, isKept}: StaleCustomer): StaleReport {
  return {customer: customer ?? file, isServed: isKept};
}

function listStale(stale: readonly StaleCustomer[]): Readonly<Record<string, readonly string[]>> {
  const reports = stale.map(reportStale);
  const namesOf = (wanted: boolean): readonly string[] => reports.filter(({isServed}) => isServed === wanted).map(({customer}) => customer);
  return {stale: namesOf(true), unserved: namesOf(false)};
}

function describeChange(before: Snapshot, after: Snapshot): Readonly<Record<string, unknown>> {
  const {node, added, changed, removed} = diffSnapshots(before, after);
  return {revision: after.revision, node: node !== null, added: added.map(({name}) => name), changed: changed.map(({name}) => name), removed};
}
