/** A whole run, from the programs that take part to the results: what `bench.ts` and `compare.ts` have in common. */
import type {Peer} from '../peers/peer.ts';
import {TOOLS, type Scenario} from '../scenarios/scenario.ts';
import {formatText} from './report.ts';
import type {Results, ScenarioResult, Setup} from './results.ts';
import {runScenario} from './run.ts';
import type {Workplace} from './workplace.ts';

const INTERRUPTED = 130;

export type Print = (text: string) => void;

export interface Cast extends Setup {
  /** The first that takes part in a scenario is its subject. */
  readonly peers: readonly Peer[];
  readonly missing: Readonly<Record<string, string>>;
}

/** `process.exit` runs the handlers of `exit`, which end the processes and remove what is temporary. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(INTERRUPTED));
}

export function reportProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Finds out who is installed. */
export async function assembleCast(work: Workplace, candidates: readonly Peer[]): Promise<Cast> {
  const versions: Record<string, string> = {...work.versions}, missing: Record<string, string> = {}, peers: Peer[] = [];
  for (const [tool, remedy] of Object.entries(TOOLS)) if (versions[tool] === undefined) missing[tool] = remedy;
  for (const peer of candidates) {
    const version = await peer.findVersion(work);
    if (version === null) missing[peer.program] = peer.install;
    else {
      versions[peer.program] = version;
      peers.push(peer);
    }
  }
  return {machine: work.machine, versions, missing, peers};
}

export function announceMissing({missing}: Cast, print: Print): void {
  for (const [name, remedy] of Object.entries(missing)) print(`without ${name}, which is not installed: ${remedy}`);
}

export function isPossible({tool}: Scenario, {versions}: Cast): boolean {
  return tool === undefined || versions[tool] !== undefined;
}

export function resultsOf({machine, versions, missing}: Cast, scenarios: readonly ScenarioResult[]): Results {
  return {machine, versions, missing, scenarios};
}

/** Runs the scenarios and prints the table of each as soon as it is known; `keep` gets all results so far. */
export async function runSession(
  work: Workplace, cast: Cast, scenarios: readonly Scenario[], print: Print, keep: (results: Results) => void = () => {},
): Promise<Results> {
  announceMissing(cast, print);
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    if (!isPossible(scenario, cast)) continue;
    const result = await runScenario(work, scenario, cast.peers, reportProgress);
    reportProgress('');
    print(formatText(result));
    results.push(result);
    keep(resultsOf(cast, results));
  }
  return resultsOf(cast, results);
}
