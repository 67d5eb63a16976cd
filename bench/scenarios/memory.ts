/** What a connection costs in memory: one that is idle, and one whose client reads slowly. */
import {readMemoryBytes, readSettledMemory} from '../harness/procfs.ts';
import {sitesOfHosts} from '../harness/sites.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {holdConnections} from '../load/idle-connections.ts';
import {readSlowly} from '../load/slow-reader.ts';
import type {Proxy} from '../peers/peer.ts';
import type {Scenario} from './scenario.ts';

/** Connections are opened and closed once before, so that what stays allocated for good is not counted. */
function idleScenario(name: string, title: string, secure: boolean): Scenario {
  return {
    name, group: 'idle-connections', title, proxies: 'fresh', roundsMax: 2,
    columns: [{key: 'perConnection', label: 'memory / connection', unit: 'bytes', better: 'lower'}, {key: 'before', label: 'memory before', unit: 'bytes'}],
    sitesFor: () => sitesOfHosts(1),
    accepts: () => true,
    warmUp: () => Promise.resolve(),
    sample: async (work, proxy) => {
      const count = Math.min(work.settings.idleConnections, Math.floor(work.connections / 2));
      await holdConnections(work, proxy, secure, Math.ceil(count / 10), () => Promise.resolve());
      const before = await readSettledMemory(proxy.child.pid);
      const after = await holdConnections(work, proxy, secure, count, () => readSettledMemory(proxy.child.pid));
      return {perConnection: (after - before) / count, before};
    },
  };
}

/** Longer than the other samples: a proxy that reads ahead needs time to show it. */
const slowReadSeconds = (settings: Settings): number => settings.seconds * 2;

async function sampleSlowReader(work: Workplace, proxy: Proxy): Promise<{growth: number; perSecond: number}> {
  const before = await readSettledMemory(proxy.child.pid);
  let peak = before;
  const seconds = slowReadSeconds(work.settings);
  const bytes = await readSlowly(proxy.httpPort, '/files/slow', seconds, () => { peak = Math.max(peak, readMemoryBytes(proxy.child.pid)); });
  return {growth: peak - before, perSecond: bytes / seconds};
}

const SLOW_READER: Scenario = {
  name: 'slow-reader', group: 'slow', title: 'a response of 1 GiB that is read at 0.8 MiB/s', proxies: 'fresh', roundsMax: 3,
  columns: [{key: 'growth', label: 'memory growth', unit: 'bytes', better: 'lower'}, {key: 'perSecond', label: 'read / s', unit: 'bytes'}],
  sitesFor: () => sitesOfHosts(1),
  accepts: () => true,
  warmUp: () => Promise.resolve(),
  sample: sampleSlowReader,
};

export const MEMORY_SCENARIOS: readonly Scenario[] = [
  idleScenario('idle', 'an idle keep-alive connection', false),
  idleScenario('idle-tls', 'an idle keep-alive connection over TLS', true),
  SLOW_READER,
];
