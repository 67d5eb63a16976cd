import {quantile} from '../harness/statistics.ts';
import type {Workplace} from '../harness/workplace.ts';
import {runHandshakes} from '../load/handshakes.ts';
import type {Proxy} from '../peers/peer.ts';
import {costScenario, type LoadResult} from './cost.ts';
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
  return costScenario({name, group: 'handshakes', title, load: (work, proxy, seconds) => load(work, proxy, resume, seconds)});
}

export const HANDSHAKE_SCENARIOS: readonly Scenario[] = [
  handshakeScenario('tls-full', 'TLS 1.3 connection, full handshake, one request', false),
  handshakeScenario('tls-resumed', 'TLS 1.3 connection, resumed, one request', true),
];
