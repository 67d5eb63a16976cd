/** `torwart firewall`: the routing tables as a ruleset for the kernel. */
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {isPermittedAlike, isUser, listenersWithoutPort, renderFirewall} from '#src/config/firewall.ts';
import {type ConfigResult, loadConfig} from '#src/config/load.ts';
import {mergeAtStart} from '#src/config/merge.ts';
import {formatProblem} from '#src/config/problem.ts';
import {restoreCustomers} from '#src/config/restore.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {fileSource} from '#src/control/file-source.ts';
import {readMachine} from '#src/control/machine.ts';
import {LastGoodFolder} from '#src/control/last-good-folder.ts';
import {hasCode} from '#src/control/state-folder.ts';

interface Output {
  write(text: string): unknown;
}

export interface FirewallOptions {
  readonly configFile: string;
  readonly user: string;
  /** The ruleset that is loaded; null: broken customers are not tolerated. */
  readonly previousFile: string | null;
}

/**
 * Exit code: 0 with the ruleset on `stdout`, or 1 with nothing there; 2 where the user cannot be one. Every problem is on `stderr`, and
 * what became of broken customers.
 */
export async function runFirewall({configFile, user, previousFile}: FirewallOptions, stdout: Output, stderr: Output): Promise<number> {
  if (!isUser(user)) {
    stderr.write(`error: --user: found ${JSON.stringify(user)}; allowed: the name or id of the user that runs the daemon, which is not root\n`);
    return 2;
  }
  const nowMs = Date.now();
  const loaded = await loadConfig(path.resolve(configFile), fileSource, {machine: readMachine(), nowMs});
  for (const problem of loaded.problems) stderr.write(`error: ${formatProblem(problem)}\n`);
  try {
    const snapshot = loaded.snapshot ?? await keepLastGood(loaded, previousFile, nowMs, stderr);
    const unbound = listenersWithoutPort(snapshot.node);
    if (unbound.length > 0) throw new Refusal(`found port 0 (listeners: ${unbound.join(', ')}); allowed: fixed ports; remedy: choose them, because rules are made for ports`);
    stdout.write(renderFirewall(snapshot, user));
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    stderr.write(`error: ${error.message}\n`);
    return 1;
  }
}

/** Nothing is printed, and what is loaded stays. */
class Refusal extends Error {}

/**
 * What the daemon serves while customers are broken. Their last good versions are in a folder of the daemon's user, so whoever has taken the
 * daemon over can write there: it is believed only where it says what is permitted already.
 */
async function keepLastGood(loaded: ConfigResult, previousFile: string | null, nowMs: number, stderr: Output): Promise<Snapshot> {
  if (loaded.node === null) throw new Refusal('the node file is broken: no ruleset can be made');
  if (previousFile === null) throw new Refusal('customers are broken; remedy: correct them, or keep what they have with --previous FILE, the ruleset that is loaded');
  const {stateFolder} = loaded.node;
  if (stateFolder === null) throw new Refusal('customers are broken, and without state.path nobody but the daemon knows their last good versions; remedy: correct them');
  const saved = new LastGoodFolder(stateFolder).read();
  const restored = await restoreCustomers(saved.versions, loaded, fileSource, nowMs);
  const {running, stale, refusal} = mergeAtStart(loaded, restored.files, restored.customers);
  if (running === null) throw new Refusal(`nothing would be served: ${refusal.length} problems`);
  const previous = await readPrevious(previousFile);
  for (const {file, customer, isKept} of stale) {
    const name = customer ?? file;
    const version = running.snapshot.customers.find((one) => one.name === customer);
    if (!isKept && (saved.refused.length > 0 || saved.versions.some((one) => one.file === file || one.name === customer))) {
      throw new Refusal(`${name} is broken, and its last good version cannot be used: what it has would be lost; remedy: correct it`);
    }
    if (isKept && (version === undefined || !isPermittedAlike(previous, version))) {
      throw new Refusal(`${name} is broken, and ${previousFile} does not permit what its last good version needs; remedy: correct it`);
    }
    stderr.write(`${isKept ? 'kept' : 'left out'}: ${name}\n`);
  }
  return running.snapshot;
}

/** Empty where there is none yet. */
async function readPrevious(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw new Refusal(`--previous: ${error instanceof Error ? error.message : String(error)}`);
  }
}
