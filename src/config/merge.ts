/**
 * A reload in which something is broken: what is right takes effect, what is wrong stays as it was.
 *
 * A customer with problems keeps its last good version. Where two customers claim the same thing, the one that already had it keeps
 * it and the newcomer is the broken one; where neither had it, both are. A broken node file changes nothing at all, because every
 * customer depends on it. At a start the last good versions are those that an earlier run has saved; a customer without one is not
 * served, and whoever claims what its file claims is not served either.
 */
import {isDeepStrictEqual} from 'node:util';
import {formatSocketAddress} from '#src/config/address-scalars.ts';
import {describeOwnAddress, pathOfServer} from '#src/config/compile-customer.ts';
import {CHANGES_COMPARED_MAX, type Claimant, type Conflict, describeConflict, findConflicts, findContested, holds, listClaims} from '#src/config/conflicts.ts';
import {changedRestartSettings, keepRestartSettings, type RestartSetting} from '#src/config/diff.ts';
import {assembleSnapshot, type ConfigResult} from '#src/config/load.ts';
import type {CustomerResult} from '#src/config/load-customer.ts';
import {findOwnAddresses} from '#src/config/own-addresses.ts';
import type {Problem} from '#src/config/problem.ts';
import {createReport} from '#src/config/report.ts';
import type {CustomerSnapshot, NodeSnapshot, Snapshot} from '#src/config/snapshot.ts';

/** What is in force, and where each customer came from: a file that cannot be read no longer says whose it is. */
export interface RunningConfig {
  readonly snapshot: Snapshot;
  readonly files: readonly ServedFile[];
}

/** A customer file, and the customer that came from it. */
export interface ServedFile {
  readonly file: string;
  readonly customer: Pick<CustomerSnapshot, 'name'> | null;
}

export interface StaleCustomer {
  readonly file: string;
  /** Name of the version that is kept, else the name that the file gives; null where there is neither. */
  readonly customer: string | null;
  /** The last good version stays in force. False: there is none, and the customer is not served. */
  readonly isKept: boolean;
  readonly problems: readonly Problem[];
}

export interface MergeResult {
  /** What is to be in force now. The same object as before where nothing may change; null only at a start that is refused. */
  readonly running: RunningConfig | null;
  /** Files that are in force as they stand. */
  readonly fresh: readonly CustomerResult[];
  readonly stale: readonly StaleCustomer[];
  /** Problems for which the whole reload is refused. */
  readonly refusal: readonly Problem[];
  /** Settings that differ in the file and stay as they are until the daemon is restarted. */
  readonly needsRestart: readonly RestartSetting[];
}

interface Contender extends Claimant {
  readonly source: CustomerResult;
  /** What this customer had before, in force since the last good configuration. */
  readonly held: CustomerSnapshot | null;
  readonly version: 'new' | 'last_good' | 'none';
}

/** What is to be served. */
interface Candidate extends Contender {
  readonly customer: CustomerSnapshot;
}

/** @param saved what earlier runs have saved, without conflicts between them */
export function mergeAtStart(result: ConfigResult, saved: RunningConfig['files'], customers: readonly CustomerSnapshot[]): MergeResult {
  const refused = {running: null, fresh: [], stale: [], refusal: result.problems, needsRestart: []};
  if (result.node === null) return refused;
  const merged = mergeWithLastGood(result, {snapshot: assembleSnapshot(result.node, customers), files: saved});
  // With nobody to serve, a start would only hide what is wrong.
  return merged.refusal.length > 0 || merged.running?.snapshot.customers.length === 0 ? refused : merged;
}

export function mergeWithLastGood(result: ConfigResult, lastGood: RunningConfig): MergeResult {
  if (result.node === null) return refuse(lastGood, result.nodeProblems);
  const needsRestart = changedRestartSettings(lastGood.snapshot.node, result.node);
  if (result.snapshot !== null && needsRestart.length === 0) {
    // There is no problem at all: everything is new, and nothing of before matters.
    return {running: {snapshot: result.snapshot, files: result.customers}, fresh: result.customers, stale: [], refusal: [], needsRestart: []};
  }
  const node = keepRestartSettings(lastGood.snapshot.node, result.node);
  const merge = new CustomerMerge(result, lastGood, node);
  merge.settle();
  const refusal = findStaleLoops(merge.candidates, result.nodeFile, node);
  if (refusal.length > 0) return refuse(lastGood, refusal);
  return {
    running: assembleRunning(node, merge.candidates),
    fresh: merge.candidates.filter(({version}) => version === 'new').map(({source}) => source),
    stale: merge.describeStale(),
    refusal: [],
    needsRestart,
  };
}

function refuse(lastGood: RunningConfig, refusal: readonly Problem[]): MergeResult {
  return {running: lastGood, fresh: [], stale: [], refusal, needsRestart: []};
}

function assembleRunning(node: NodeSnapshot, candidates: readonly Candidate[]): RunningConfig {
  return {
    snapshot: assembleSnapshot(node, candidates.map(({customer}) => customer)),
    files: candidates.map(({file, customer}) => ({file, customer})),
  };
}

/** A new listener on the address of a server that a customer keeps from before: that customer's file cannot answer for it. */
function findStaleLoops(candidates: readonly Candidate[], nodeFile: string, node: NodeSnapshot): readonly Problem[] {
  return candidates.filter(({version}) => version === 'last_good').flatMap(({customer}) => findOwnAddresses(customer, node).map((use): Problem => {
    const server = customer.pools.find(({name}) => name === use.pool)?.servers[use.server];
    return {
      file: nodeFile, line: 1, column: 1, key: 'listeners',
      found: `${use.listener} on ${server === undefined ? 'the address' : formatSocketAddress(server)}, which is a server of the customer ${customer.name}`,
      allowed: 'listeners on addresses of their own',
      remedy: `move the listener, or correct the file of the customer ${customer.name} first`,
    };
  }));
}

/** Decides for each customer file which version is used: the new one, the last good one, or none. */
class CustomerMerge {
  candidates: readonly Candidate[];
  readonly #sources: readonly CustomerResult[];
  /** Whether new versions are in conflict with each other. */
  readonly #hasConflicts: boolean;
  /** Where its admin address is not the one of the file, which has to wait for a restart: what the new versions are still to be checked with. */
  readonly #node: NodeSnapshot | null;
  /** What was held before, by file. */
  readonly #held: ReadonlyMap<string, CustomerSnapshot>;
  readonly #problems = new Map<string, Problem[]>();
  /** Files that are broken and have no good version: nobody else gets what they claim. */
  readonly #unserved: readonly Contender[];

  constructor({customers: sources, hasConflicts, node: written}: ConfigResult, lastGood: RunningConfig, node: NodeSnapshot) {
    this.#sources = sources;
    this.#hasConflicts = hasConflicts;
    this.#node = isDeepStrictEqual(written?.admin, node.admin) ? null : node;
    this.#held = matchHeld(sources, lastGood);
    this.candidates = sources.flatMap((source) => {
      const fresh = this.#admit(source);
      return fresh === null ? this.#fallBack(source) : [fresh];
    });
    const served = new Set(this.candidates.map(({file}) => file));
    this.#unserved = sources.flatMap((source) => {
      const {claimant} = source;
      return claimant === null || served.has(source.file) ? [] : [{...claimant, source, held: null, version: 'none'}];
    });
  }

  /** Ends, because each round puts at least one new version back, and last good versions ran together without conflict. */
  settle(): void {
    for (;;) {
      const losers = this.#findLosers();
      if (losers.size === 0) return;
      this.candidates = this.candidates.flatMap((candidate) => (losers.has(candidate) ? this.#fallBack(candidate.source) : [candidate]));
    }
  }

  describeStale(): readonly StaleCustomer[] {
    const kept = new Set(this.candidates.filter(({version}) => version === 'last_good').map(({file}) => file));
    return this.#sources.filter(({file}) => this.#problems.has(file)).map(({file, name}) => ({
      file,
      customer: this.#held.get(file)?.name ?? name,
      isKept: kept.has(file),
      problems: this.#problems.get(file) ?? [],
    }));
  }

  /** The new version, unless it has problems of its own. */
  #admit(source: CustomerResult): Candidate | null {
    const {file, customer, locate, problems} = source;
    if (customer === null) {
      this.#problems.set(file, [...problems]);
      return null;
    }
    const uses = this.#node === null ? [] : findOwnAddresses(customer, this.#node);
    if (uses.length === 0) return {file, customer, claimed: source.claimant?.claimed ?? listClaims(customer), source, held: this.#held.get(file) ?? null, version: 'new'};
    const report = createReport(file, locate);
    for (const use of uses) report.problem(pathOfServer(use), describeOwnAddress(use));
    this.#problems.set(file, report.problems);
    return null;
  }

  #fallBack(source: CustomerResult): readonly Candidate[] {
    const held = this.#held.get(source.file);
    return held === undefined ? [] : [{file: source.file, customer: held, claimed: listClaims(held), source, held, version: 'last_good'}];
  }

  /** Where new versions are not in conflict with each other, it is about the others: as a rule a broken file or two. */
  #listContested(): readonly Contender[] {
    const contenders = [...this.candidates, ...this.#unserved];
    const others = contenders.filter(({version}) => version !== 'new');
    return this.#hasConflicts || others.length > CHANGES_COMPARED_MAX ? contenders : findContested<Contender>(contenders, others.map((other) => [null, other]));
  }

  /** New versions that claim what another customer has. Only when nobody's right is older do both sides lose. */
  #findLosers(): ReadonlySet<Contender> {
    const conflicts = findConflicts(this.#listContested()).filter((conflict) => !isSafe(conflict, 0) || !isSafe(conflict, 1));
    const decided = conflicts.filter((conflict) => conflict.claims.some(({claimant}) => isHolder(claimant, conflict)));
    const losers = new Set<Contender>();
    for (const conflict of decided.length > 0 ? decided : conflicts) {
      for (const side of [0, 1] as const) {
        if (isSafe(conflict, side)) continue;
        const {claimant, path} = conflict.claims[side];
        losers.add(claimant);
        const report = createReport(claimant.file, claimant.source.locate);
        report.problem(path, describeConflict(conflict, side));
        this.#problems.set(claimant.file, [...this.#problems.get(claimant.file) ?? [], ...report.problems]);
      }
    }
    return losers;
  }
}

/** Whether this side keeps what it has, whatever becomes of the other one. */
function isSafe(conflict: Conflict<Contender>, side: 0 | 1): boolean {
  const {claimant} = conflict.claims[side], {claimant: other} = conflict.claims[side === 0 ? 1 : 0];
  return claimant.version !== 'new' || (isHolder(claimant, conflict) && !isHolder(other, conflict));
}

function isHolder({version, held}: Contender, conflict: Conflict<Contender>): boolean {
  return version === 'last_good' || (held !== null && holds(conflict, held));
}

/**
 * The last good version of each file: the one that came from it, or, where that file is gone, the one of the same name (the file was
 * renamed). No version is given to two files.
 */
function matchHeld(sources: readonly CustomerResult[], {snapshot, files}: RunningConfig): ReadonlyMap<string, CustomerSnapshot> {
  const byName = new Map(snapshot.customers.map((customer) => [customer.name, customer]));
  const served = new Map(files.map(({file, customer}) => [file, customer?.name]));
  const held = new Map<string, CustomerSnapshot>();
  const take = (file: string, name: string | null | undefined): void => {
    const customer = name === null || name === undefined ? undefined : byName.get(name);
    if (customer === undefined || held.has(file)) return;
    byName.delete(customer.name);
    held.set(file, customer);
  };
  for (const {file} of sources) take(file, served.get(file));
  for (const {file, name} of sources) take(file, name);
  return held;
}
