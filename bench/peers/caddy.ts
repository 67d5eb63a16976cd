import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {readVersion} from '../harness/children.ts';
import {customersOf, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {serverOf} from './backend.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const TEMPLATE = readFileSync(new URL('./Caddyfile', import.meta.url), 'utf8');

function block(addresses: readonly string[], lines: readonly string[]): string {
  return `${addresses.join(', ')} {\n${lines.map(line => `\t${line}\n`).join('')}}\n`;
}

function prepare(work: Workplace, place: Place, sites: Sites): Launch {
  const {directory, httpPort, httpsPort} = place, {certFile, keyFile} = work.certificate;
  const blocks = customersOf(sites).flatMap(customer => {
    const {hosts} = customer, use = `import bench ${serverOf(work, sites, customer)}`;
    const cleartext = block(hosts.map(host => `http://${host}:${httpPort}`), ['bind 127.0.0.1', use]);
    return sites.tls ? [cleartext, block(hosts.map(host => `https://${host}:${httpsPort}`), ['bind 127.0.0.1', `tls ${certFile} ${keyFile}`, use])] : [cleartext];
  });
  const accessLog = join(directory, 'access.log'), configFile = join(directory, 'Caddyfile');
  writeFileSync(configFile, fillTemplate(TEMPLATE, {accessLog}) + blocks.join(''));
  return {
    command: 'caddy', args: ['run', '--config', configFile, '--adapter', 'caddyfile'], accessLog,
    environment: {HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory},
  };
}

export const CADDY: Peer = {
  name: 'caddy', program: 'caddy', lacks: ['per-client limits'], install: 'apt-get install caddy', hasCustomers: false, speaks: ['http2', 'websocket'], groups: null,
  findVersion: work => readVersion(work.children, 'caddy', ['version'], /^v?(\d\S*)/),
  start: (work, sites) => launchPeer(work, CADDY, place => prepare(work, place, sites)),
};
