import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {readVersion} from '../harness/children.ts';
import {customersOf, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const MAIN = readFileSync(new URL('./nginx.conf', import.meta.url), 'utf8');
const TLS = readFileSync(new URL('./nginx-tls.conf', import.meta.url), 'utf8');
const BUFFERS = readFileSync(new URL('./nginx-buffers.conf', import.meta.url), 'utf8');
const CUSTOMER = readFileSync(new URL('./nginx-customer.conf', import.meta.url), 'utf8');

/** nginx reserves the memory of every upstream's idle connections at its start: thousands of customers get fewer each. */
const MANY_CUSTOMERS = 100, KEEP_ALIVE = 256, KEEP_ALIVE_OF_MANY = 16;

function listens(place: Place, sites: Sites, options: string): string {
  const cleartext = `listen 127.0.0.1:${place.httpPort}${options};`;
  return sites.tls ? `${cleartext} listen 127.0.0.1:${place.httpsPort} ssl http2${options};` : cleartext;
}

function writeCustomers(work: Workplace, place: Place, sites: Sites): void {
  const blocks = customersOf(sites).map(({name, hosts, address}) => fillTemplate(CUSTOMER, {
    customer: name, hosts: hosts.join(' '), server: `${address}:${work.backend.port}`, listens: listens(place, sites, ''),
    keepAlive: sites.customers > MANY_CUSTOMERS ? KEEP_ALIVE_OF_MANY : KEEP_ALIVE,
  }));
  writeFileSync(join(place.directory, 'customers.conf'), blocks.join(''));
}

function prepare(work: Workplace, place: Place, sites: Sites, buffers: string): Launch {
  const {directory} = place, {certFile, keyFile} = work.certificate;
  const accessLog = join(directory, 'access.log'), configFile = join(directory, 'nginx.conf');
  writeFileSync(configFile, fillTemplate(MAIN, {
    directory, accessLog, buffers, descriptors: work.descriptors, connections: work.connections,
    tls: sites.tls ? fillTemplate(TLS, {certificate: certFile, key: keyFile}) : '',
    defaultListens: listens(place, sites, ' default_server backlog=4096'),
  }));
  writeCustomers(work, place, sites);
  return {
    command: 'nginx', args: ['-p', directory, '-c', configFile, '-g', 'daemon off;'], accessLog,
    reload: (child, changed) => {
      writeCustomers(work, place, changed);
      process.kill(child.pid, 'SIGHUP');
    },
  };
}

function createNginx(name: string, buffers: string, groups: readonly string[] | null): Peer {
  const peer: Peer = {
    name, lacks: [], install: 'apt-get install nginx-light', hasCustomers: true, groups,
    findVersion: work => readVersion(work.children, 'nginx', ['-v'], /nginx\/(\S+)/),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, buffers)),
  };
  return peer;
}

export const NGINX = createNginx('nginx', BUFFERS, null);
/** As most are run: with the buffer sizes that nginx comes with. They matter for bodies only. */
export const NGINX_STOCK_BUFFERS = createNginx('nginx-stock', '', ['bodies', 'large', 'slow']);
