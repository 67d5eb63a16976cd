/** Scenarios that are about the CPU time of a request. */
import {readCpuTime, subtractCpuTime, type CpuTime} from '../harness/procfs.ts';
import {usualSites, type Sites} from '../harness/sites.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import type {Peer, Proxy} from '../peers/peer.ts';
import type {Column, Sample, Scenario} from './scenario.ts';

export const COST_COLUMNS: readonly [Column, ...Column[]] = [
  {key: 'perCpuSecond', label: 'req / CPU s', unit: 'per second', better: 'higher'},
  {key: 'perSecond', label: 'req / s', unit: 'per second'},
  {key: 'cpuUs', label: 'CPU / req', unit: 'microseconds'},
  {key: 'userUs', label: 'of it user', unit: 'microseconds'},
  {key: 'p50Us', label: 'p50', unit: 'microseconds'},
  {key: 'p99Us', label: 'p99', unit: 'microseconds', better: 'lower'},
  {key: 'busy', label: 'proxy busy', unit: 'percent'},
];

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** The CPU time is read around the load, so that no request is outside of it. */
export async function sampleCost(proxy: Proxy, run: () => Promise<LoadResult>): Promise<Sample> {
  const before = readCpuTime(proxy.child.pid);
  const result = await run();
  return costSample(result, subtractCpuTime(readCpuTime(proxy.child.pid), before));
}

export function costSample({requests, seconds, p50Us, p99Us}: LoadResult, {user, system}: CpuTime): Sample {
  const cpu = user + system;
  if (cpu <= 0) throw new Error('the sample is too short to measure its CPU time');
  return {perCpuSecond: requests / cpu * 1e6, perSecond: requests / seconds, cpuUs: cpu / requests, userUs: user / requests, p50Us, p99Us, busy: cpu / seconds / 1e4};
}

export interface CostScenario {
  readonly name: string;
  readonly group: string;
  readonly title: string;
  /** Not told: the usual table of hosts. */
  readonly sitesFor?: (settings: Settings) => Sites;
  /** Not told: everybody. */
  readonly accepts?: (peer: Peer) => boolean;
  readonly load: (work: Workplace, proxy: Proxy, seconds: number) => Promise<LoadResult>;
}

/** One load on a proxy that lives through all rounds, which is also what warms it up. */
export function costScenario({name, group, title, load, sitesFor = usualSites, accepts = () => true}: CostScenario): Scenario {
  return {
    name, group, title, columns: COST_COLUMNS, proxies: 'kept', sitesFor, accepts,
    warmUp: async (work, proxy) => {
      if (work.settings.warmUpSeconds > 0) await load(work, proxy, work.settings.warmUpSeconds);
    },
    sample: (work, proxy) => sampleCost(proxy, () => load(work, proxy, work.settings.seconds)),
  };
}
