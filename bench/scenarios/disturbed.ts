/** The canonical load while something else goes on: clients that trickle, or a reload every second. */
import {waitUntilIdle} from '../harness/procfs.ts';
import type {Sites} from '../harness/sites.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {besideTrickle} from '../load/trickling-clients.ts';
import {runCleanWrk, runWrk, SMALL_GET} from '../load/wrk.ts';
import type {Proxy} from '../peers/peer.ts';
import {COST_COLUMNS, costScenario, sampleCost} from './cost.ts';
import type {Sample, Scenario} from './scenario.ts';

const RELOAD_SECONDS = 3;

function sitesFor(settings: Settings, customersMax: number): Sites {
  const customers = Math.min(customersMax, settings.customers);
  return {customers, hosts: customers, tls: false, webSockets: false, foremost: false, revision: 0};
}

const TRICKLE: Scenario = {
  ...costScenario({
    name: 'trickle', group: 'disturbed', title: 'small GET beside 1,000 clients that trickle',
    load: (work, proxy, seconds) => runCleanWrk(work, proxy, SMALL_GET, seconds),
  }),
  sample: (work, proxy) => besideTrickle(proxy.httpPort, work.settings.tricklingClients, () =>
    sampleCost(proxy, () => runCleanWrk(work, proxy, SMALL_GET, work.settings.seconds))),
};

interface Reloads {
  readonly name: string;
  readonly title: string;
  readonly customersMax: number;
  /** Infinity: one, as the load begins. */
  readonly everyMs: number;
}

/** Errors are counted, not refused: that a reload costs connections is what this may show. */
async function sampleReloads(work: Workplace, proxy: Proxy, {customersMax, everyMs}: Reloads): Promise<Sample> {
  const sites = sitesFor(work.settings, customersMax);
  const seconds = Math.max(RELOAD_SECONDS, work.settings.seconds);
  // As long as what it is compared with: machines that are shared slow down while they are used.
  const steady = await runCleanWrk(work, proxy, SMALL_GET, seconds);
  let revision = 0, errors = 0;
  const reload = (): void => proxy.reload({...sites, revision: ++revision});
  const cost = await sampleCost(proxy, async () => {
    reload();
    const timer = Number.isFinite(everyMs) ? setInterval(reload, everyMs) : undefined;
    const result = await runWrk(work, proxy, SMALL_GET, seconds);
    clearInterval(timer);
    ({errors} = result);
    return result;
  });
  // A reload that is still under way would disturb the contestant that is next.
  await waitUntilIdle(proxy.child.pid);
  return {...cost, errors, slower: (cost['p99Us'] ?? NaN) / steady.p99Us};
}

function reloadScenario(reloads: Reloads): Scenario {
  const {name, title, customersMax} = reloads;
  return {
    ...costScenario({
      name, group: 'disturbed', title,
      sitesFor: settings => sitesFor(settings, customersMax),
      accepts: peer => peer.hasCustomers,
      load: (work, proxy, seconds) => runCleanWrk(work, proxy, SMALL_GET, seconds),
    }),
    roundsMax: 10,
    columns: [...COST_COLUMNS, {key: 'slower', label: 'p99 ÷ p99 before', unit: 'count', better: 'lower'}, {key: 'errors', label: 'errors', unit: 'count'}],
    sample: (work, proxy) => sampleReloads(work, proxy, reloads),
  };
}

export const DISTURBED_SCENARIOS: readonly Scenario[] = [
  TRICKLE,
  // With more, some peers need longer for a reload than there is until the next one.
  reloadScenario({name: 'reloading', title: 'small GET beside a reload every second', customersMax: 1_000, everyMs: 1_000}),
  reloadScenario({name: 'reloading-large', title: 'small GET beside a reload of one of 10,000 customers', customersMax: 10_000, everyMs: Infinity}),
];
