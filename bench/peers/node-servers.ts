/** Proxies of the Node world: libraries, so each is a small script that uses the library as its own documentation does. */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import type {Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {BARE_LACKS, launchPeer, type Launch, type Peer, type Place, type Protocol} from './peer.ts';

function prepare(work: Workplace, place: Place, sites: Sites, script: string): Launch {
  const tls = sites.tls ? {HTTPS_PORT: String(place.httpsPort), CERT: work.certificate.certFile, KEY: work.certificate.keyFile} : {};
  return {
    command: process.execPath, args: [fileURLToPath(new URL(script, import.meta.url))], accessLog: null,
    environment: {HTTP_PORT: String(place.httpPort), BACKEND_PORT: String(sites.webSockets ? work.backend.webSocketPort : work.backend.port), ...tls},
  };
}

/** From the package's own file, because packages need not export it. */
function readPackageVersion(name: string): string | null {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  if (!existsSync(file)) return null;
  return (JSON.parse(readFileSync(file, 'utf8')) as {version: string}).version;
}

/** A whole run has half an hour, and the libraries do not differ where it is about connections. */
const LIBRARY_GROUPS = ['small', 'bare', 'bodies', 'tls'];

function nodePeer(name: string, findVersion: () => string | null, lacks: readonly string[], speaks: readonly Protocol[], groups: readonly string[]): Peer {
  const peer: Peer = {
    name, program: name, lacks, install: 'npm ci', hasCustomers: false, speaks, groups,
    findVersion: () => Promise.resolve(findVersion()),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, `./${name}-server.ts`)),
  };
  return peer;
}

function libraryPeer(name: string, packageName: string, speaks: readonly Protocol[], groups: readonly string[]): Peer {
  return nodePeer(name, () => readPackageVersion(packageName), BARE_LACKS, speaks, groups);
}

export const HTTP_PROXY_3 = libraryPeer('http-proxy-3', 'http-proxy-3', ['websocket'], [...LIBRARY_GROUPS, 'large', 'handshakes', 'websocket', 'idle-connections', 'slow']);
export const FAST_PROXY = libraryPeer('fast-proxy', 'fast-proxy', [], LIBRARY_GROUPS);
export const NODE_UNDICI = libraryPeer('node-undici', 'undici', [], LIBRARY_GROUPS);
/** No proxy, but the floor under one. */
export const NODE_RELAY = nodePeer('node-relay', () => process.version, ['HTTP', ...BARE_LACKS], ['http2', 'websocket'], ['small', 'tls', 'http2', 'handshakes', 'websocket', 'idle-connections']);
