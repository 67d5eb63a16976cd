/** Torwart itself, from this tree or from another one (`bench:compare`). */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {stringify} from 'yaml';
import {readVersion} from '../harness/children.ts';
import {findFreePort} from '../harness/machine.ts';
import {customersOf, type Customer, type Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

/** One thread, access log to a file, limits that count and are never reached: what the peers are configured with too. */
function nodeDocument(work: Workplace, place: Place, sites: Sites, adminPort: number): object {
  const cleartext = {name: 'http', address: `127.0.0.1:${place.httpPort}`, protocol: 'http'};
  const tls = {name: 'https', address: `127.0.0.1:${place.httpsPort}`, protocol: 'https'};
  return {
    listeners: sites.tls ? [cleartext, tls] : [cleartext],
    admin: {address: `127.0.0.1:${adminPort}`},
    threads: 1,
    timeouts: {drain: '1s'},
    caps: {connections: work.connections, connections_per_client: work.connections},
    limits: [{name: 'per-client', key: 'client', rate: '1000000/s', burst: 100_000}],
    log: {access: join(place.directory, 'access.log')},
    customers: 'customers/*.yaml',
  };
}

function writeCustomer(work: Workplace, place: Place, sites: Sites, {name, hosts, address}: Customer): void {
  const {certFile, keyFile} = work.certificate;
  writeFileSync(join(place.directory, 'customers', `${name}.yaml`), stringify({
    customer: name,
    networks: [`${address}/32`],
    ...(sites.tls ? {certificates: [{cert: certFile, key: keyFile}]} : {}),
    pools: {app: {servers: [{address: `${address}:${work.backend.port}`}], connections: 1024}},
    sites: [{hosts, max_body: '32MiB', routes: [{path: '/', pool: 'app'}]}],
  }));
}

function prepare(work: Workplace, place: Place, sites: Sites, tree: string, adminPort: number): Launch {
  const configFile = join(place.directory, 'torwart.yaml'), accessLog = join(place.directory, 'access.log');
  mkdirSync(join(place.directory, 'customers'));
  writeFileSync(configFile, stringify(nodeDocument(work, place, sites, adminPort)));
  for (const customer of customersOf(sites)) writeCustomer(work, place, sites, customer);
  return {
    command: join(tree, 'torwart'), args: ['run', '--config', configFile], accessLog,
    reload: (child, changed) => {
      const [customer] = customersOf(changed);
      if (customer !== undefined) writeCustomer(work, place, changed, customer);
      process.kill(child.pid, 'SIGHUP');
    },
  };
}

/** The package's version and, where the tree is a checkout, the commit. */
async function findRevision(work: Workplace, tree: string): Promise<string> {
  const {version} = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as {version: string};
  const commit = await readVersion(work.children, 'git', ['-C', tree, 'rev-parse', '--short', 'HEAD'], /^([0-9a-f]+)$/m);
  return commit === null ? version : `${version} (${commit})`;
}

export function createTorwart(tree: string, name = 'torwart'): Peer {
  const peer: Peer = {
    name, lacks: [], install: 'npm ci', hasCustomers: true, groups: null,
    findVersion: work => findRevision(work, tree),
    start: async (work, sites) => {
      const adminPort = await findFreePort();
      return launchPeer(work, peer, place => prepare(work, place, sites, tree, adminPort));
    },
  };
  return peer;
}
