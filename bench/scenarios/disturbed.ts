/** The canonical load while something else goes on: clients that trickle, or a reload every second. */
import {sitesOfHosts} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {besideTrickle} from '../load/trickling-clients.ts';
import {requireClean, runWrk, SMALL_GET} from '../load/wrk.ts';
import type {Proxy} from '../peers/peer.ts';
import {COST_COLUMNS, sampleCost} from './cost.ts';
import type {Sample, Scenario} from './scenario.ts';

const RELOADED_CUSTOMERS = 100, RELOAD_EVERY_MS = 1_000;

async function warmUp(work: Workplace, proxy: Proxy): Promise<void> {
  if (work.settings.warmUpSeconds > 0) requireClean(await runWrk(work, proxy, SMALL_GET, work.settings.warmUpSeconds));
}

const TRICKLE: Scenario = {
  name: 'trickle', group: 'disturbed', title: 'small GET, 64 connections, beside 1,000 clients that trickle a body', columns: COST_COLUMNS, proxies: 'kept',
  sitesFor: () => sitesOfHosts(10_000),
  accepts: () => true,
  warmUp,
  sample: (work, proxy) => besideTrickle(proxy.httpPort, work.settings.tricklingClients, () =>
    sampleCost(proxy, async () => requireClean(await runWrk(work, proxy, SMALL_GET, work.settings.seconds)))),
};

/** Errors are counted, not refused: that a reload costs connections is what this may show. */
async function sampleReloads(work: Workplace, proxy: Proxy): Promise<Sample> {
  const sites = RELOADING.sitesFor(work.settings);
  let revision = 0, errors = 0;
  const reload = (): void => proxy.reload({...sites, revision: ++revision});
  const cost = await sampleCost(proxy, async () => {
    reload();
    const timer = setInterval(reload, RELOAD_EVERY_MS);
    const result = await runWrk(work, proxy, SMALL_GET, work.settings.seconds);
    clearInterval(timer);
    ({errors} = result);
    return result;
  });
  return {...cost, errors};
}

const RELOADING: Scenario = {
  name: 'reloading', group: 'disturbed', title: 'small GET, 64 connections, with a reload every second at 100 customers', proxies: 'kept',
  columns: [...COST_COLUMNS, {key: 'errors', label: 'errors', unit: 'count'}],
  sitesFor: () => ({customers: RELOADED_CUSTOMERS, hosts: RELOADED_CUSTOMERS, tls: false, revision: 0}),
  accepts: peer => peer.hasCustomers,
  warmUp,
  sample: sampleReloads,
};

export const DISTURBED_SCENARIOS: readonly Scenario[] = [TRICKLE, RELOADING];
