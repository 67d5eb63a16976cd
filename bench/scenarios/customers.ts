/** Start and reload with many customers. Each has a pool and a host of its own; certificates are left out, to measure the tables. */
import {readCpuMicroseconds, readSettledMemory} from '../harness/procfs.ts';
import {revisionHost, type Sites} from '../harness/sites.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {waitUntilServed, type Proxy} from '../peers/peer.ts';
import type {Column, Sample, Scenario} from './scenario.ts';

function sitesOfCustomers({customers}: Settings): Sites {
  return {customers, hosts: customers, tls: false, webSockets: false, revision: 0};
}

async function sample(work: Workplace, proxy: Proxy): Promise<Sample> {
  // A worker of HAProxy answers before its master listens to the signal of a reload: that one would be lost.
  const memory = await readSettledMemory(proxy.child.pid);
  const cpuBefore = readCpuMicroseconds(proxy.child.pid);
  const started = performance.now();
  proxy.reload({...sitesOfCustomers(work.settings), revision: 1});
  await waitUntilServed(proxy.child, proxy.httpPort, revisionHost(1));
  const reloadMs = performance.now() - started;
  return {startMs: proxy.startMs, memory, reloadMs, reloadCpuMs: (readCpuMicroseconds(proxy.child.pid) - cpuBefore) / 1_000};
}

const START: Column = {key: 'startMs', label: 'start to first answer', unit: 'milliseconds', better: 'lower'};
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
  customersScenario('customers', 'start, memory and reload of one changed customer, at 10,000 customers', [RELOAD, RELOAD_CPU, START, MEMORY]),
];
