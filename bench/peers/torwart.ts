/** Torwart itself, from this tree or from another one (`bench:compare`). */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {stringify} from 'yaml';
import {readVersion} from '../harness/children.ts';
import {findFreePort} from '../harness/machine.ts';
import {customersOf, type Customer, type Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {serverOf} from './backend.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

interface Variant {
  readonly threads: 1 | 2;
  /** Without access log and limits. What has no switch stays on: hardening, request ids, the table of hosts. */
  readonly isBare: boolean;
  readonly hasOneHost?: boolean;
}

/** Access log to a file, limits that count and are never reached: what the peers are configured with too. */
function nodeDocument(work: Workplace, place: Place, sites: Sites, {threads, isBare}: Variant, adminPort: number): object {
  const cleartext = {name: 'http', address: `127.0.0.1:${place.httpPort}`, protocol: 'http'};
  const tls = {name: 'https', address: `127.0.0.1:${place.httpsPort}`, protocol: 'https'};
  return {
    listeners: sites.tls ? [cleartext, tls] : [cleartext],
    admin: {address: `127.0.0.1:${adminPort}`},
    threads,
    timeouts: {drain: '1s'},
    caps: {connections: work.connections, connections_per_client: work.connections},
    ...(isBare ? {} : {limits: [{name: 'per-client', key: 'client', rate: '1000000/s', burst: 100_000}]}),
    log: {access: isBare ? 'off' : join(place.directory, 'access.log')},
    customers: 'customers/*.yaml',
  };
}

function writeCustomer(work: Workplace, place: Place, sites: Sites, customer: Customer): void {
  const {certFile, keyFile} = work.certificate, {webSockets} = work.settings;
  writeFileSync(join(place.directory, 'customers', `${customer.name}.yaml`), stringify({
    customer: customer.name,
    networks: [`${customer.address}/32`],
    ...(sites.tls ? {certificates: [{cert: certFile, key: keyFile}]} : {}),
    ...(sites.webSockets ? {caps: {websockets: webSockets, websockets_per_client: webSockets}} : {}),
    pools: {app: {servers: [{address: serverOf(work, sites, customer)}], connections: 1024}},
    sites: [{hosts: customer.hosts, max_body: '32MiB', routes: [{path: '/', pool: 'app', ...(sites.webSockets ? {websocket: true} : {})}]}],
  }));
}

function prepare(work: Workplace, place: Place, sites: Sites, tree: string, variant: Variant, adminPort: number): Launch {
  const configFile = join(place.directory, 'torwart.yaml'), accessLog = join(place.directory, 'access.log');
  mkdirSync(join(place.directory, 'customers'));
  writeFileSync(configFile, stringify(nodeDocument(work, place, sites, variant, adminPort)));
  for (const customer of customersOf(sites)) writeCustomer(work, place, sites, customer);
  return {
    command: join(tree, 'torwart'), args: ['run', '--config', configFile], accessLog: variant.isBare ? null : accessLog, threads: variant.threads,
    reload: (child, changed) => {
      const [customer] = customersOf(changed);
      if (customer !== undefined) writeCustomer(work, place, changed, customer);
      process.kill(child.pid, 'SIGHUP');
    },
  };
}

/** The package's version and, where the tree is a checkout, the commit and whether what runs differs from it. */
async function findRevision(work: Workplace, tree: string): Promise<string> {
  const {version} = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as {version: string};
  const commit = await readVersion(work.children, 'git', ['-C', tree, 'rev-parse', '--short', 'HEAD'], /^([0-9a-f]+)$/m);
  if (commit === null) return version;
  const change = await readVersion(work.children, 'git', ['-C', tree, 'status', '--porcelain', '--', 'src', 'torwart', 'package-lock.json'], /^(.)/m);
  return `${version} (${commit}${change === null ? '' : ', changed'})`;
}

function createVariant(tree: string, name: string, program: string, variant: Variant, groups: readonly string[] | null): Peer {
  const peer: Peer = {
    name, program, lacks: variant.isBare ? ['access log', 'limits'] : [], install: 'npm ci', hasCustomers: true, speaks: ['http2', 'websocket'], groups,
    hasOneHost: variant.hasOneHost === true,
    findVersion: work => findRevision(work, tree),
    start: async (work, sites) => {
      const adminPort = await findFreePort(), own = variant.hasOneHost === true ? {...sites, customers: 1, hosts: 1} : sites;
      return launchPeer(work, peer, place => prepare(work, place, own, tree, variant, adminPort));
    },
  };
  return peer;
}

export function createTorwart(tree: string, name = 'torwart'): Peer {
  return createVariant(tree, name, name, {threads: 1, isBare: false}, null);
}

export function createTwoThreads(tree: string): Peer {
  return createVariant(tree, 'torwart-two', 'torwart', {threads: 2, isBare: false}, ['threads']);
}

/** What a large table of hosts costs is the ratio to it, round by round. */
export function createOneHost(tree: string): Peer {
  return createVariant(tree, 'torwart-1-host', 'torwart', {threads: 1, isBare: false, hasOneHost: true}, ['hosts']);
}

export function createBareTorwart(tree: string): Peer {
  return createVariant(tree, 'torwart-bare', 'torwart', {threads: 1, isBare: true}, ['bare']);
}
