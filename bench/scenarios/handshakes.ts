import {quantile} from '../harness/statistics.ts';
import {sitesOfHosts} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {runHandshakes} from '../load/handshakes.ts';
import type {Proxy} from '../peers/peer.ts';
import {COST_COLUMNS, sampleCost, type LoadResult} from './cost.ts';
import type {Scenario} from './scenario.ts';

/** Of 10,000: the ticket keys may change once while a run goes on. */
const RESUMED_SHARE_MIN = 0.99;

async function load(work: Workplace, proxy: Proxy, resume: boolean, seconds: number): Promise<LoadResult> {
  const {requests, resumed, seconds: took, latenciesUs} = await runHandshakes({port: proxy.httpsPort, certPem: work.certificate.certPem}, resume, seconds);
  const share = resumed / requests;
  if (resume ? share < RESUMED_SHARE_MIN : share > 0) throw new Error(`${resumed} of ${requests} handshakes were resumed`);
  return {requests, seconds: took, p50Us: quantile(latenciesUs, 0.5), p99Us: quantile(latenciesUs, 0.99)};
}

function handshakeScenario(name: string, title: string, resume: boolean): Scenario {
  return {
    name, group: 'handshakes', title, columns: COST_COLUMNS, proxies: 'kept',
    sitesFor: () => sitesOfHosts(10_000),
    accepts: () => true,
    warmUp: async (work, proxy) => {
      if (work.settings.warmUpSeconds > 0) await load(work, proxy, resume, work.settings.warmUpSeconds);
    },
    sample: (work, proxy) => sampleCost(proxy, () => load(work, proxy, resume, work.settings.seconds)),
  };
}

export const HANDSHAKE_SCENARIOS: readonly Scenario[] = [
  handshakeScenario('tls-full', 'TLS 1.3 connection with a full handshake and one request', false),
  handshakeScenario('tls-resumed', 'TLS 1.3 connection with a resumed handshake and one request', true),
];
