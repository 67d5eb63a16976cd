/** Scenarios that are about the CPU time of a request. */
import {readCpuMicroseconds} from '../harness/procfs.ts';
import type {Proxy} from '../peers/peer.ts';
import type {Column, Sample} from './scenario.ts';

export const COST_COLUMNS: readonly [Column, ...Column[]] = [
  {key: 'perCpuSecond', label: 'req / CPU s', unit: 'per second', better: 'higher'},
  {key: 'perSecond', label: 'req / s', unit: 'per second'},
  {key: 'cpuUs', label: 'CPU / req', unit: 'microseconds'},
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
  const before = readCpuMicroseconds(proxy.child.pid);
  const {requests, seconds, p50Us, p99Us} = await run();
  const cpu = readCpuMicroseconds(proxy.child.pid) - before;
  if (cpu <= 0) throw new Error('the sample is too short to measure its CPU time');
  return {perCpuSecond: requests / cpu * 1e6, perSecond: requests / seconds, cpuUs: cpu / requests, p50Us, p99Us, busy: cpu / seconds / 1e4};
}
