/** Load of h2load: one row a scenario. */
import {sitesOfHosts} from '../harness/sites.ts';
import {runH2load, type Http2Load} from '../load/h2load.ts';
import {COST_COLUMNS, sampleCost} from './cost.ts';
import type {Scenario} from './scenario.ts';

const HOSTS = 10_000;
const HTTP2_PEERS: ReadonlySet<string> = new Set(['torwart', 'torwart-base', 'nginx', 'haproxy', 'caddy']);

function http2Scenario(name: string, title: string, load: Http2Load): Scenario {
  return {
    name, group: 'http2', title, columns: COST_COLUMNS, proxies: 'kept',
    sitesFor: () => sitesOfHosts(HOSTS),
    accepts: peer => HTTP2_PEERS.has(peer.name),
    warmUp: async (work, proxy) => {
      if (work.settings.warmUpSeconds > 0) await runH2load(work, proxy, load, work.settings.warmUpSeconds);
    },
    sample: (work, proxy) => sampleCost(proxy, () => runH2load(work, proxy, load, work.settings.seconds)),
  };
}

export const HTTP2_SCENARIOS: readonly Scenario[] = [
  http2Scenario('h2-c16', 'small GET over HTTP/2, 16 connections of 16 streams', {connections: 16, streams: 16, path: '/'}),
  http2Scenario('h2-c1', 'small GET over HTTP/2, 1 connection of 100 streams', {connections: 1, streams: 100, path: '/'}),
  http2Scenario('h2-64k', 'response of 64 KiB over HTTP/2, 4 connections of 4 streams', {connections: 4, streams: 4, path: '/files/64KiB'}),
];
