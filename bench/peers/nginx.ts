import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {readVersion} from '../harness/children.ts';
import {customersOf, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {serverOf} from './backend.ts';
import {BARE_LACKS, launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const MAIN = readFileSync(new URL('./nginx.conf', import.meta.url), 'utf8');
const TLS = readFileSync(new URL('./nginx-tls.conf', import.meta.url), 'utf8');
const BUFFERS = readFileSync(new URL('./nginx-buffers.conf', import.meta.url), 'utf8');
const BARE = readFileSync(new URL('./nginx-bare.conf', import.meta.url), 'utf8');
const CUSTOMER = readFileSync(new URL('./nginx-customer.conf', import.meta.url), 'utf8');

/** The common way to pass WebSockets on: the option of the connection follows what the client asked for. */
const WEB_SOCKETS = `map $http_upgrade $connection_option { websocket upgrade; default ""; }
  proxy_set_header Upgrade $http_upgrade;`;

/** nginx reserves the memory of every upstream's idle connections at its start: thousands of customers get fewer each. */
const MANY_CUSTOMERS = 100, KEEP_ALIVE = 256, KEEP_ALIVE_OF_MANY = 16;

function listens(place: Place, sites: Sites, options: string): string {
  const cleartext = `listen 127.0.0.1:${place.httpPort}${options};`;
  return sites.tls ? `${cleartext} listen 127.0.0.1:${place.httpsPort} ssl http2${options};` : cleartext;
}

function writeCustomers(work: Workplace, place: Place, sites: Sites): void {
  const blocks = customersOf(sites).map(customer => fillTemplate(CUSTOMER, {
    customer: customer.name, hosts: customer.hosts.join(' '), server: serverOf(work, sites, customer), listens: listens(place, sites, ''),
    keepAlive: sites.customers > MANY_CUSTOMERS ? KEEP_ALIVE_OF_MANY : KEEP_ALIVE,
  }));
  writeFileSync(join(place.directory, 'customers.conf'), blocks.join(''));
}

interface Variant {
  readonly buffers: string;
  readonly isBare: boolean;
}

function mainConfig(work: Workplace, place: Place, sites: Sites, {buffers, isBare}: Variant, accessLog: string): string {
  const {directory} = place, {certFile, keyFile} = work.certificate;
  const common = {
    directory, buffers, descriptors: work.descriptors, connections: work.connections,
    tls: sites.tls ? fillTemplate(TLS, {certificate: certFile, key: keyFile}) : '',
  };
  if (isBare) return fillTemplate(BARE, common);
  return fillTemplate(MAIN, {
    ...common, accessLog, webSockets: sites.webSockets ? WEB_SOCKETS : '', connectionOption: sites.webSockets ? '$connection_option' : '""',
    defaultListens: listens(place, sites, ' default_server backlog=4096'),
  });
}

function prepare(work: Workplace, place: Place, sites: Sites, variant: Variant): Launch {
  const {directory} = place, accessLog = join(directory, 'access.log'), configFile = join(directory, 'nginx.conf');
  writeFileSync(configFile, mainConfig(work, place, sites, variant, accessLog));
  writeCustomers(work, place, sites);
  return {
    command: 'nginx', args: ['-p', directory, '-c', configFile, '-g', 'daemon off;'], accessLog: variant.isBare ? null : accessLog,
    reload: (child, changed) => {
      writeCustomers(work, place, changed);
      process.kill(child.pid, 'SIGHUP');
    },
  };
}

function createNginx(name: string, variant: Variant, groups: readonly string[] | null): Peer {
  const peer: Peer = {
    name, program: 'nginx', lacks: variant.isBare ? BARE_LACKS : [], install: 'apt-get install nginx-light', hasCustomers: true, speaks: ['http2', 'websocket'], groups,
    findVersion: work => readVersion(work.children, 'nginx', ['-v'], /nginx\/(\S+)/),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, variant)),
  };
  return peer;
}

export const NGINX = createNginx('nginx', {buffers: BUFFERS, isBare: false}, null);
/** As most are run: with the buffer sizes that nginx comes with. They matter for bodies only. */
export const NGINX_STOCK_BUFFERS = createNginx('nginx-stock', {buffers: '', isBare: false}, ['bodies', 'large', 'slow']);
export const NGINX_BARE = createNginx('nginx-bare', {buffers: BUFFERS, isBare: true}, ['bare']);
