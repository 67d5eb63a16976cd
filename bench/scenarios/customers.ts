/** Start and reload with many customers. Each has a pool and a host of its own; certificates are left out, to measure the tables. */
import {readCpuMicroseconds, readSettledMemory, waitUntilIdle} from '../harness/procfs.ts';
import {revisionHost, type Sites} from '../harness/sites.ts';
import {median} from '../harness/statistics.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {waitUntilServed, type Proxy} from '../peers/peer.ts';
import type {Column, Sample, Scenario} from './scenario.ts';

function sitesOfCustomers({customers}: Settings): Sites {
  return {customers, hosts: customers, tls: false, webSockets: false, foremost: false, revision: 0};
}

/** After the first one, which finds code that has never run, and files that were written a moment before they were read. */
const RELOADS = 4;

interface Reload {
  readonly ms: number;
  readonly cpuMs: number;
}

async function reload(work: Workplace, proxy: Proxy, revision: number): Promise<Reload> {
  // A reload that is not quite done would be part of the next one.
  await waitUntilIdle(proxy.child.pid);
  const cpuBefore = readCpuMicroseconds(proxy.child.pid), started = performance.now();
  proxy.reload({...sitesOfCustomers(work.settings), revision});
  await waitUntilServed(proxy.child, proxy.httpPort, revisionHost(revision));
  return {ms: performance.now() - started, cpuMs: (readCpuMicroseconds(proxy.child.pid) - cpuBefore) / 1_000};
}

async function sample(work: Workplace, proxy: Proxy): Promise<Sample> {
  // A worker of HAProxy answers before its master listens to the signal of a reload: that one would be lost.
  const memory = await readSettledMemory(proxy.child.pid);
  const first = await reload(work, proxy, 1);
  const later: Reload[] = [];
  for (let revision = 2; revision < 2 + RELOADS; revision++) later.push(await reload(work, proxy, revision));
  return {
    startMs: proxy.startMs, memory, firstReloadMs: first.ms,
    reloadMs: median(later.map(({ms}) => ms)), reloadCpuMs: median(later.map(({cpuMs}) => cpuMs)),
  };
}

const START: Column = {key: 'startMs', label: 'start to first answer', unit: 'milliseconds', better: 'lower'};
const FIRST_RELOAD: Column = {key: 'firstReloadMs', label: 'first reload until served', unit: 'milliseconds', better: 'lower'};
const RELOAD: Column = {key: 'reloadMs', label: 'reload until served', unit: 'milliseconds', better: 'lower'};
const RELOAD_CPU: Column = {key: 'reloadCpuMs', label: 'CPU of the reload', unit: 'milliseconds', better: 'lower'};
const MEMORY: Column = {key: 'memory', label: 'memory after the start', unit: 'bytes', better: 'lower'};

function customersScenario(name: string, title: string, columns: readonly [Column, ...Column[]]): Scenario {
  return {
    name, group: name, title, columns, proxies: 'fresh', roundsMax: 3, sitesFor: sitesOfCustomers,
    accepts: peer => peer.hasCustomers,
    warmUp: () => Promise.resolve(),
    sample,
  };
}

export const CUSTOMERS_SCENARIOS: readonly Scenario[] = [
  customersScenario('customers', 'start, memory and reload of one changed customer, at 10,000 customers', [RELOAD, RELOAD_CPU, FIRST_RELOAD, START, MEMORY]),
];
