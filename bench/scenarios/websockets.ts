/** Many WebSockets that echo small messages. */
import {usualSites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {runWebSockets} from '../load/websockets.ts';
import type {Proxy} from '../peers/peer.ts';
import {costSample, costScenario} from './cost.ts';
import type {Sample, Scenario} from './scenario.ts';

/** The client reads the CPU time, because only it knows when all WebSockets are open. */
async function sample(work: Workplace, proxy: Proxy): Promise<Sample> {
  const result = await runWebSockets(work, proxy, work.settings.webSockets, work.settings.seconds);
  return costSample(result, result.cpu);
}

export const WEBSOCKET_SCENARIOS: readonly Scenario[] = [{
  ...costScenario({
    name: 'websocket', group: 'websocket', title: 'echo of 128 bytes over 1,000 WebSockets',
    sitesFor: settings => ({...usualSites(settings), tls: false, webSockets: true}),
    accepts: peer => peer.speaks.includes('websocket'),
    load: (work, proxy, seconds) => runWebSockets(work, proxy, work.settings.webSockets, seconds),
  }),
  sample,
}];
