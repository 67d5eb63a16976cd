/** Two proxy threads beside one. */
import type {Workplace} from '../harness/workplace.ts';
import {runCleanWrk, SMALL_GET} from '../load/wrk.ts';
import type {Proxy} from '../peers/peer.ts';
import {COST_COLUMNS, costScenario, sampleCost, type LoadResult} from './cost.ts';
import type {Column, Sample, Scenario} from './scenario.ts';

/**
 * More connections than elsewhere: the kernel spreads them over the threads by chance. They wait between their requests, so that two threads,
 * the load generator and the backend find room on two CPUs.
 */
const LOAD = {...SMALL_GET, connections: 256, pauseMs: 6};

/** What the threads would serve with a CPU for each, by what a request costs while all of them work. */
const CAPACITY: Column = {key: 'capacity', label: 'threads × req / CPU s', unit: 'per second', better: 'higher'};

function load(work: Workplace, proxy: Proxy, seconds: number): Promise<LoadResult> {
  return runCleanWrk(work, proxy, LOAD, seconds);
}

async function sample(work: Workplace, proxy: Proxy): Promise<Sample> {
  const cost = await sampleCost(proxy, () => load(work, proxy, work.settings.seconds));
  return {...cost, capacity: (cost['perCpuSecond'] ?? NaN) * proxy.threads};
}

export const THREAD_SCENARIOS: readonly Scenario[] = [{
  ...costScenario({name: 'threads', group: 'threads', title: 'small GET, 256 connections that wait between requests, two threads', accepts: peer => peer.program === 'torwart', load}),
  columns: [CAPACITY, ...COST_COLUMNS],
  sample,
}];
