/** Proxies of the Node world: libraries, so each is a small script that uses the library as its own documentation does. */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import type {Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const LACKS = ['access log', 'limits', 'hardening', 'request id', 'hosts'];

function prepare(work: Workplace, place: Place, sites: Sites, script: string): Launch {
  const tls = sites.tls ? {HTTPS_PORT: String(place.httpsPort), CERT: work.certificate.certFile, KEY: work.certificate.keyFile} : {};
  return {
    command: process.execPath, args: [fileURLToPath(new URL(script, import.meta.url))], accessLog: null,
    environment: {HTTP_PORT: String(place.httpPort), BACKEND_PORT: String(work.backend.port), ...tls},
  };
}

/** From the package's own file, because packages need not export it. */
function readPackageVersion(name: string): string | null {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  if (!existsSync(file)) return null;
  return (JSON.parse(readFileSync(file, 'utf8')) as {version: string}).version;
}

function libraryPeer(name: string, packageName: string, script: string): Peer {
  const peer: Peer = {
    name, lacks: LACKS, install: 'npm ci', hasCustomers: false, groups: null,
    findVersion: () => Promise.resolve(readPackageVersion(packageName)),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, script)),
  };
  return peer;
}

export const HTTP_PROXY_3 = libraryPeer('http-proxy-3', 'http-proxy-3', './http-proxy-3-server.ts');
export const NODE_UNDICI = libraryPeer('node-undici', 'undici', './node-undici-server.ts');
