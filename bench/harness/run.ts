/** Runs a scenario: all contestants in turn, round after round, so that a machine that drifts hits all of them alike. */
import type {Sample, Scenario} from '../scenarios/scenario.ts';
import type {Peer, Proxy} from '../peers/peer.ts';
import type {ContestantResult, ScenarioResult} from './results.ts';
import type {Workplace} from './workplace.ts';

/** One contestant of a scenario. After a failure it takes no further part, and its samples are void. */
interface Contestant {
  readonly peer: Peer;
  readonly samples: Sample[];
  /** The running process; null before the start, and between the samples of fresh ones. */
  proxy: Proxy | null;
  failure: string | null;
}

type Progress = (text: string) => void;

async function attempt(contestant: Contestant, task: () => Promise<void>): Promise<void> {
  if (contestant.failure !== null) return;
  try {
    await task();
  } catch (error) {
    contestant.failure = error instanceof Error ? error.message : String(error);
    await stop(contestant);
  }
}

async function stop(contestant: Contestant): Promise<void> {
  await contestant.proxy?.stop();
  contestant.proxy = null;
}

async function sampleOnce(contestant: Contestant, work: Workplace, scenario: Scenario): Promise<void> {
  contestant.proxy ??= await contestant.peer.start(work, scenario.sitesFor(work.settings));
  contestant.samples.push(await scenario.sample(work, contestant.proxy));
  contestant.proxy.truncateLog();
  if (scenario.proxies === 'fresh') await stop(contestant);
}

async function startKept(contestants: readonly Contestant[], work: Workplace, scenario: Scenario): Promise<void> {
  for (const contestant of contestants) {
    await attempt(contestant, async () => {
      contestant.proxy = await contestant.peer.start(work, scenario.sitesFor(work.settings));
      await scenario.warmUp(work, contestant.proxy);
    });
  }
}

function toResult({peer, samples, failure}: Contestant): ContestantResult {
  return {name: peer.name, lacks: peer.lacks, samples: failure === null ? samples : [], failure};
}

/** Every round begins with another contestant, so that nobody always follows the same one. */
export function orderOfRound<T>(items: readonly T[], round: number): T[] {
  const first = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

export function takesPart(peer: Peer, scenario: Scenario): boolean {
  return (peer.groups === null || peer.groups.includes(scenario.group)) && scenario.accepts(peer);
}

export async function runScenario(work: Workplace, scenario: Scenario, peers: readonly Peer[], progress: Progress): Promise<ScenarioResult> {
  const {settings} = work, rounds = Math.min(settings.rounds, scenario.roundsMax ?? settings.rounds), time = `${new Date().toISOString().slice(0, 19)}Z`;
  const contestants: Contestant[] = peers.filter(peer => takesPart(peer, scenario)).map(peer => ({peer, samples: [], proxy: null, failure: null}));
  if (scenario.proxies === 'kept') await startKept(contestants, work, scenario);
  for (let round = 0; round < rounds; round++) {
    for (const contestant of orderOfRound(contestants, round)) {
      progress(`${scenario.name}, round ${round + 1} of ${rounds}, ${contestant.peer.name}`);
      await attempt(contestant, () => sampleOnce(contestant, work, scenario));
    }
  }
  for (const contestant of contestants) await stop(contestant);
  const {name, group, title, columns} = scenario;
  return {name, group, title, time, settings: {...settings, rounds}, columns, contestants: contestants.map(toResult)};
}
