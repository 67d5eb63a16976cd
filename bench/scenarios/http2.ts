/** Load of h2load: one row a scenario. */
import {runH2load, type Http2Load} from '../load/h2load.ts';
import {costScenario} from './cost.ts';
import type {Scenario} from './scenario.ts';

const KIB = 1024;

function http2Scenario(name: string, title: string, load: Http2Load): Scenario {
  return {tool: 'h2load', ...costScenario({
    name, group: 'http2', title,
    // What knows no HTTP finds no more than requests without a body, and takes an answer for a single read.
    accepts: peer => peer.speaks.includes('http2') && (load.path === '/' && load.bodyBytes === 0 || !peer.lacks.includes('HTTP')),
    load: (work, proxy, seconds) => runH2load(work, proxy, load, seconds),
  })};
}

export const HTTP2_SCENARIOS: readonly Scenario[] = [
  http2Scenario('h2-c16', 'small GET over HTTP/2, 16 × 16 streams', {connections: 16, streams: 16, path: '/', bodyBytes: 0}),
  http2Scenario('h2-c1', 'small GET over HTTP/2, 1 × 100 streams', {connections: 1, streams: 100, path: '/', bodyBytes: 0}),
  http2Scenario('h2-64k', 'response of 64 KiB over HTTP/2, 4 × 4 streams', {connections: 4, streams: 4, path: '/files/64KiB', bodyBytes: 0}),
  http2Scenario('h2-post-4k', 'upload of 4 KiB over HTTP/2, 16 × 16 streams', {connections: 16, streams: 16, path: '/', bodyBytes: 4 * KIB}),
];
