/** A run that shows that everything works, in seconds, and measures nothing. */
import type {Sites} from './sites.ts';
import type {Peer, Proxy} from '../peers/peer.ts';
import type {Scenario} from '../scenarios/scenario.ts';
import {formatText} from './report.ts';
import type {Results, ScenarioResult} from './results.ts';
import {runScenario, takesPart} from './run.ts';
import {announceMissing, isPossible, reportProgress, resultsOf, type Cast, type Print} from './session.ts';
import type {Workplace} from './workplace.ts';

const LANES = 4;

/** Scenarios with the same sites are given the same process, because starting them is what takes the time. It ends with the workplace. */
function shareProcesses(peer: Peer): Peer {
  const started = new Map<string, Promise<Proxy>>();
  const start = (work: Workplace, sites: Sites): Promise<Proxy> => {
    const key = JSON.stringify(sites), proxy = started.get(key) ?? peer.start(work, sites);
    started.set(key, proxy);
    return proxy.then(running => ({...running, stop: () => Promise.resolve()}));
  };
  return {...peer, start};
}

/** Every scenario, several at once, with its subject and one more: another one each time, so that all have their turn. */
export async function runSmoke(work: Workplace, cast: Cast, scenarios: readonly Scenario[], print: Print): Promise<Results> {
  announceMissing(cast, print);
  const results: ScenarioResult[] = [], possible = scenarios.filter(scenario => isPossible(scenario, cast)), shared = cast.peers.map(shareProcesses);
  const run = async (scenario: Scenario, number: number): Promise<void> => {
    const [subject, ...others] = (scenario.proxies === 'kept' ? shared : cast.peers).filter(peer => takesPart(peer, scenario));
    const other = others[number % others.length];
    const result = await runScenario(work, scenario, [subject, other].filter(peer => peer !== undefined), reportProgress);
    print(formatText(result));
    results[number] = result;
  };
  const queue = possible.entries();
  const lane = async (): Promise<void> => {
    for (const [number, scenario] of queue) await run(scenario, number);
  };
  await Promise.all(Array.from({length: LANES}, lane));
  return resultsOf(cast, results);
}
