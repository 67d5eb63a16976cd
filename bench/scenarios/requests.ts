/** Load of wrk: one row a scenario. */
import {sitesOfHosts} from '../harness/sites.ts';
import {requireClean, runWrk, SMALL_GET, type WrkLoad} from '../load/wrk.ts';
import {COST_COLUMNS, sampleCost} from './cost.ts';
import type {Scenario} from './scenario.ts';

/** The size of the table that every scenario has unless it is about that size. */
const HOSTS = 10_000;

const KIB = 1024, MIB = 1024 * KIB;

function requestScenario(name: string, group: string, title: string, change: Partial<WrkLoad>, hosts = HOSTS): Scenario {
  const load = {...SMALL_GET, ...change};
  return {
    name, group, title, columns: COST_COLUMNS, proxies: 'kept',
    sitesFor: () => sitesOfHosts(hosts),
    // A proxy without a table of hosts has nothing to show where only the table's size changes.
    accepts: peer => group !== 'hosts' || !peer.lacks.includes('hosts'),
    warmUp: async (work, proxy) => {
      if (work.settings.warmUpSeconds > 0) requireClean(await runWrk(work, proxy, load, work.settings.warmUpSeconds));
    },
    sample: (work, proxy) => sampleCost(proxy, async () => requireClean(await runWrk(work, proxy, load, work.settings.seconds))),
  };
}

export const REQUEST_SCENARIOS: readonly Scenario[] = [
  requestScenario('get-c64', 'small', 'small GET, keep-alive, 64 connections', {}),
  requestScenario('get-c1', 'small', 'small GET, keep-alive, 1 connection', {connections: 1}),
  requestScenario('get-c512', 'small', 'small GET, keep-alive, 512 connections', {connections: 512}),
  requestScenario('post-4k', 'small', 'POST of 4 KiB, 64 connections', {bodyBytes: 4 * KIB}),
  requestScenario('connect', 'small', 'a new connection for every request', {newConnections: true}),
  requestScenario('response-64k', 'bodies', 'response of 64 KiB, 64 connections', {path: '/files/64KiB'}),
  requestScenario('chunked-64k', 'bodies', 'chunked response of 64 KiB, 64 connections', {path: '/chunked/64KiB'}),
  requestScenario('response-10m', 'large', 'response of 10 MiB, 8 connections', {path: '/files/10MiB', connections: 8}),
  requestScenario('upload-10m', 'large', 'upload of 10 MiB, 8 connections', {path: '/upload', bodyBytes: 10 * MIB, connections: 8}),
  requestScenario('tls-get', 'tls', 'small GET over TLS 1.3, keep-alive, 64 connections', {tls: true}),
  ...[1, 100, 10_000, 100_000].map(hosts => requestScenario(
    `hosts-${hosts}`, 'hosts', `small GET, asking ${hosts.toLocaleString('en')} hosts in turn`, {hosts}, hosts,
  )),
];
