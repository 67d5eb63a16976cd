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

/** The subject of each scenario and one more: another one each time. Who would have no turn by that is added where it takes part last. */
export function castScenarios(peers: readonly Peer[], scenarios: readonly Scenario[]): Map<Scenario, readonly Peer[]> {
  const seen = new Set<Peer>(), lastOf = new Map(scenarios.flatMap(scenario => peers.filter(peer => takesPart(peer, scenario)).map(peer => [peer, scenario] as const)));
  return new Map(scenarios.map((scenario, number) => {
    const [subject, ...others] = peers.filter(peer => takesPart(peer, scenario)), turn = others[number % others.length];
    for (const peer of [subject, turn]) if (peer !== undefined) seen.add(peer);
    return [scenario, [subject, ...others.filter(peer => peer === turn || (!seen.has(peer) && lastOf.get(peer) === scenario))].filter(peer => peer !== undefined)];
  }));
}

/** Every scenario, several at once. */
export async function runSmoke(work: Workplace, cast: Cast, scenarios: readonly Scenario[], print: Print): Promise<Results> {
  announceMissing(cast, print);
  const results: ScenarioResult[] = [], possible = scenarios.filter(scenario => isPossible(scenario, cast));
  const casts = castScenarios(cast.peers, possible), shared = new Map(cast.peers.map(peer => [peer, shareProcesses(peer)]));
  const run = async (scenario: Scenario, number: number): Promise<void> => {
    const peers = (casts.get(scenario) ?? []).map(peer => scenario.proxies === 'kept' ? shared.get(peer) ?? peer : peer);
    const result = await runScenario(work, scenario, peers, reportProgress);
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
