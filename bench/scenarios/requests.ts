/** Load of wrk: one row a scenario. */
import {sitesOfHosts, usualSites} from '../harness/sites.ts';
import type {Settings} from '../harness/workplace.ts';
import {runCleanWrk, SMALL_GET, type WrkLoad} from '../load/wrk.ts';
import {costScenario} from './cost.ts';
import type {Scenario} from './scenario.ts';

const KIB = 1024;

function requestScenario(name: string, group: string, title: string, change: Partial<WrkLoad>): Scenario {
  const load = {...SMALL_GET, ...change};
  return costScenario({name, group, title, load: (work, proxy, seconds) => runCleanWrk(work, proxy, load, seconds)});
}

/** The size is that of the settings, for a run that measures nothing is over sooner with less. */
function largeScenario(name: string, title: string, change: (bytes: number) => Partial<WrkLoad>): Scenario {
  return costScenario({
    name, group: 'large', title,
    load: (work, proxy, seconds) => runCleanWrk(work, proxy, {...SMALL_GET, connections: 8, ...change(work.settings.largeBodyBytes)}, seconds),
  });
}

/**
 * With a table of `count` hosts, of which all are asked in turn, by each connection, or one. Who has one host is asked in the same way
 * by the same script, so that the load generator needs as long for it.
 */
function hostsScenario(count: number, isOneAsked = false): Scenario {
  const hosts = ({hostsMax}: Settings): number => Math.min(count, hostsMax), number = count.toLocaleString('en'), isFixed = isOneAsked || count === 1;
  const title = count === 1 ? '1 host' : isOneAsked ? `1 of ${number} hosts` : `${number} hosts in turn`;
  return costScenario({
    name: isOneAsked ? `one-of-${count}` : `hosts-${count}`, group: 'hosts', title: `small GET, ${title}`,
    sitesFor: settings => sitesOfHosts(hosts(settings)),
    // Only the table's size changes: nothing that a peer with fewer features could show.
    accepts: peer => peer.lacks.length === 0 && (count > 1 || peer.hasOneHost !== true),
    load: (work, proxy, seconds) => {
      const asked = isFixed ? 0 : proxy.peer.hasOneHost === true ? 1 : hosts(work.settings);
      return runCleanWrk(work, proxy, {...SMALL_GET, rotatedHosts: asked}, seconds);
    },
  });
}

/** Everybody with as little to do as can be configured: what a peer without these features is to be compared with. */
const BARE = costScenario({
  name: 'bare', group: 'bare', title: 'small GET without log, limits and hosts',
  sitesFor: settings => ({...usualSites(settings), hosts: 1}),
  accepts: peer => peer.lacks.includes('access log'),
  load: (work, proxy, seconds) => runCleanWrk(work, proxy, SMALL_GET, seconds),
});

export const REQUEST_SCENARIOS: readonly Scenario[] = [
  requestScenario('get-c64', 'small', 'small GET, keep-alive, 64 connections', {}),
  requestScenario('get-c1', 'small', 'small GET, keep-alive, 1 connection', {connections: 1}),
  requestScenario('get-c512', 'small', 'small GET, keep-alive, 512 connections', {connections: 512}),
  requestScenario('post-4k', 'small', 'POST of 4 KiB, 64 connections', {bodyBytes: 4 * KIB}),
  requestScenario('connect', 'small', 'a new connection for every request', {newConnections: true}),
  BARE,
  requestScenario('response-64k', 'bodies', 'response of 64 KiB, 64 connections', {path: '/files/64KiB'}),
  requestScenario('chunked-64k', 'bodies', 'chunked response of 64 KiB, 64 connections', {path: '/chunked/64KiB'}),
  largeScenario('response-10m', 'response of 10 MiB, 8 connections', () => ({path: '/files/large'})),
  largeScenario('upload-10m', 'upload of 10 MiB, 8 connections', bodyBytes => ({path: '/upload', bodyBytes})),
  requestScenario('tls-get', 'tls', 'small GET over TLS 1.3, 64 connections', {tls: true}),
  hostsScenario(1), hostsScenario(100_000, true), hostsScenario(100), hostsScenario(10_000), hostsScenario(100_000),
];
