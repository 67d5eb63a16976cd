/** Reload: load, keep the last good version of what is broken, compare, put in force on all threads or on none. */
import {diffSnapshots} from '#src/config/diff.ts';
import type {FileSource} from '#src/config/file-source.ts';
import {loadConfig, type ConfigResult} from '#src/config/load.ts';
import {mergeWithLastGood, type MergeResult, type RunningConfig, type StaleCustomer} from '#src/config/merge.ts';
import {formatProblem} from '#src/config/problem.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {SerialQueue} from '#src/control/serial-queue.ts';
import type {ConfigureOutcome} from '#src/control/supervisor.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import type {ReloadOutcome, ReloadReport} from '#src/observe/exposition.ts';

export interface ReloaderOptions {
  /** Absolute path of the node file. */
  readonly configFile: string;
  readonly source: FileSource;
  /** What `threads: auto` stands for. */
  readonly cores: number;
  readonly log: DaemonLog;
  /** Puts a configuration in force everywhere, or nowhere. */
  readonly apply: (next: Snapshot) => Promise<ConfigureOutcome>;
}

export interface FirstLoad {
  readonly loaded: ConfigResult;
  readonly running: RunningConfig;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #queue = new SerialQueue();
  #running: RunningConfig;
  /** What the next load need not do again. */
  #loaded: ConfigResult;
  #next: Promise<ReloadOutcome> | null = null;
  #report: ReloadReport;

  constructor(options: ReloaderOptions, first: FirstLoad) {
    this.#options = options;
    this.#running = first.running;
    this.#loaded = first.loaded;
    this.#report = {counts: {success: 0, partial: 0, failure: 0}, lastSuccessMs: Date.now(), lastDurationMs: 0, lastOutcome: 'success', staleCustomers: []};
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
      staleCustomers: outcome === 'failure' ? this.#report.staleCustomers : stale.map(({customer, file}) => customer ?? file),
    };
    return outcome;
  }

  async #attempt(): Promise<{outcome: ReloadOutcome; stale: readonly StaleCustomer[]}> {
    const {configFile, source, cores, log, apply} = this.#options;
    const loaded = await loadConfig(configFile, source, {cores, nowMs: Date.now()}, this.#loaded);
    // Customers that were compared with no node file at all would all have to be made again when it is mended.
    if (loaded.node !== null) this.#loaded = loaded;
    const merged = mergeWithLastGood(loaded, this.#running);
    const {running, stale} = merged;
    logFindings(loaded, merged, log);
    if (merged.refusal.length > 0 || running === null) {
      log.error({problems: merged.refusal.length}, 'reload failed: the configuration is refused, nothing changed');
      return {outcome: 'failure', stale};
    }
    const change = describeChange(this.#running.snapshot, running.snapshot);
    const outcome = await apply(running.snapshot);
    if (!outcome.ok) {
      log.error({...change, error: outcome.error}, 'reload failed: the configuration could not be put in force, nothing changed');
      return {outcome: 'failure', stale};
    }
    this.#running = running;
    if (stale.length === 0) log.info(change, 'reload done');
    else log.error({...change, stale: stale.map(({customer, file}) => customer ?? file)}, 'reload done in part: broken customers stay as they were');
    return {outcome: stale.length === 0 ? 'success' : 'partial', stale};
  }
}

function logFindings({warnings}: ConfigResult, {refusal, stale, needsRestart}: MergeResult, log: DaemonLog): void {
  for (const warning of warnings) log.warn(formatProblem(warning));
  for (const problem of refusal) log.error(formatProblem(problem));
  for (const {customer, file, isKept, problems} of stale) {
    for (const problem of problems) log.error({customer, file, isKept}, formatProblem(problem));
  }
  if (needsRestart.length > 0) log.warn({settings: needsRestart}, 'these settings change with the next restart');
}

function describeChange(before: Snapshot, after: Snapshot): Readonly<Record<string, unknown>> {
  const {node, added, changed, removed} = diffSnapshots(before, after);
  return {revision: after.revision, node: node !== null, added: added.map(({name}) => name), changed: changed.map(({name}) => name), removed};
}
