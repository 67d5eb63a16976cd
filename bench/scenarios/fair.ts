/** One customer's steady load, alone and then beside another one that asks for 20 times its share. */
import type {Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {runCleanWrk, runWrk, SMALL_GET, type WrkLoad} from '../load/wrk.ts';
import type {Proxy} from '../peers/peer.ts';
import type {Sample, Scenario} from './scenario.ts';

const SITES: Sites = {customers: 2, hosts: 2, tls: true, webSockets: false, foremost: true, revision: 0};

/** The quiet one's connections; the crowd has 20 times as many, and never waits. */
const CONNECTIONS = 16, PAUSE_MS = 3, CROWD = 20;
/** The crowd begins before and ends after what is measured: long enough before for its handshakes to be over on a slow machine. */
const LEAD_MS = 1_500, TAIL_SECONDS = 2;

function fairScenario(name: string, title: string, tls: boolean): Scenario {
  const quiet: WrkLoad = {...SMALL_GET, connections: CONNECTIONS, pauseMs: PAUSE_MS, isForemost: true, tls};
  const crowd: WrkLoad = {...SMALL_GET, connections: CONNECTIONS * CROWD, host: 1, tls};
  return {
    name, group: 'fair', title, proxies: 'kept',
    columns: [
      {key: 'slower', label: 'p99 beside ÷ alone', unit: 'count', better: 'lower'},
      {key: 'slower50', label: 'p50 beside ÷ alone', unit: 'count'},
      {key: 'failed', label: 'failed', unit: 'count'},
      {key: 'aloneUs', label: 'p99 alone', unit: 'microseconds'},
      {key: 'besideUs', label: 'p99 beside', unit: 'microseconds'},
      {key: 'p50AloneUs', label: 'p50 alone', unit: 'microseconds'},
      {key: 'p50BesideUs', label: 'p50 beside', unit: 'microseconds'},
      {key: 'perSecond', label: 'req / s', unit: 'per second'},
      {key: 'crowdPerSecond', label: 'req / s of the crowd', unit: 'per second'},
      {key: 'crowdFailed', label: 'failed of the crowd', unit: 'count'},
    ],
    sitesFor: () => SITES,
    accepts: peer => peer.hasCustomers,
    warmUp: async (work, proxy) => {
      if (work.settings.warmUpSeconds > 0) await runWrk(work, proxy, crowd, work.settings.warmUpSeconds);
    },
    sample: (work, proxy) => sampleFair(work, proxy, quiet, crowd),
  };
}

/** Failures of the crowd are what fairness may come to, but where all of it fails, nothing of this is measured. */
async function sampleFair(work: Workplace, proxy: Proxy, quiet: WrkLoad, crowd: WrkLoad): Promise<Sample> {
  const {seconds} = work.settings;
  const alone = await runCleanWrk(work, proxy, quiet, seconds);
  const crowded = runWrk(work, proxy, crowd, seconds + TAIL_SECONDS);
  await new Promise(resolve => { setTimeout(resolve, LEAD_MS); });
  const beside = await runWrk(work, proxy, quiet, seconds);
  const others = await crowded;
  if (others.errors > others.requests / 2) throw new Error('the crowd is not served');
  return {
    slower: beside.p99Us / alone.p99Us, slower50: beside.p50Us / alone.p50Us, failed: beside.errors, aloneUs: alone.p99Us, besideUs: beside.p99Us,
    p50AloneUs: alone.p50Us, p50BesideUs: beside.p50Us,
    perSecond: beside.requests / beside.seconds, crowdPerSecond: others.requests / others.seconds, crowdFailed: others.errors,
  };
}

export const FAIR_SCENARIOS: readonly Scenario[] = [
  fairScenario('fair', 'a customer beside one with 20 times its connections', false),
  fairScenario('fair-tls', 'the same over TLS 1.3', true),
];
