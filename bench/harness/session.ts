/** A whole run, from the tools that are needed to the results: what `bench.ts` and `compare.ts` have in common. */
import type {Peer} from '../peers/peer.ts';
import type {Scenario} from '../scenarios/scenario.ts';
import {formatText} from './report.ts';
import type {Results, ScenarioResult} from './results.ts';
import {runScenario} from './run.ts';
import type {Workplace} from './workplace.ts';

const INTERRUPTED = 130;

/** `process.exit` runs the handlers of `exit`, which end the processes and remove what is temporary. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(INTERRUPTED));
}

export function reportProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Runs the scenarios and prints the table of each as soon as it is known. The first peer is the subject. */
export async function runSession(
  work: Workplace, scenarios: readonly Scenario[], peers: readonly Peer[], print: (text: string) => void,
): Promise<Results> {
  const versions: Record<string, string> = {...work.versions}, missing: Record<string, string> = {}, present: Peer[] = [];
  for (const peer of peers) {
    const version = await peer.findVersion(work);
    if (version === null) missing[peer.name] = peer.install;
    else {
      versions[peer.name] = version;
      present.push(peer);
    }
  }
  for (const [name, remedy] of Object.entries(missing)) print(`without ${name}, which is not installed: ${remedy}`);
  const time = `${new Date().toISOString().slice(0, 19)}Z`, results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    const result = await runScenario(work, scenario, present, reportProgress);
    reportProgress('');
    print(formatText(result));
    results.push(result);
  }
  return {time, machine: work.machine, settings: work.settings, versions, missing, scenarios: results};
}
