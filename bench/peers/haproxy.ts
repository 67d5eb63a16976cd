import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {readVersion} from '../harness/children.ts';
import {customersOf, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {serverOf} from './backend.ts';
import {BARE_LACKS, launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const TEMPLATE = readFileSync(new URL('./haproxy.cfg', import.meta.url), 'utf8');
const BARE_TEMPLATE = readFileSync(new URL('./haproxy-bare.cfg', import.meta.url), 'utf8');

function writeConfig(work: Workplace, place: Place, sites: Sites, isBare: boolean): void {
  const {directory, httpPort, httpsPort} = place;
  const customers = customersOf(sites);
  const backends = customers.map(customer => `backend ${customer.name}\n  server app ${serverOf(work, sites, customer)}\n`);
  const tlsBind = sites.tls ? `bind 127.0.0.1:${httpsPort} backlog 4096 ssl crt ${work.certificate.bothFile} alpn h2,http/1.1` : '';
  const values = {httpPort, tlsBind, connections: work.connections};
  const main = isBare ? fillTemplate(BARE_TEMPLATE, values) : fillTemplate(TEMPLATE, {...values, directory});
  writeFileSync(join(directory, 'haproxy.cfg'), main + backends.join(''));
  writeFileSync(join(directory, 'hosts.map'), customers.flatMap(({name, hosts}) => hosts.map(host => `${host} ${name}\n`)).join(''));
}

function prepare(work: Workplace, place: Place, sites: Sites, isBare: boolean): Launch {
  writeConfig(work, place, sites, isBare);
  return {
    // Master and worker, as its packages run it: what makes a reload possible.
    command: 'haproxy', args: ['-W', '-f', join(place.directory, 'haproxy.cfg')], accessLog: join(place.directory, 'output.log'),
    reload: (child, changed) => {
      writeConfig(work, place, changed, isBare);
      process.kill(child.pid, 'SIGUSR2');
    },
  };
}

function createHaproxy(name: string, isBare: boolean): Peer {
  const peer: Peer = {
    name, program: 'haproxy', lacks: isBare ? BARE_LACKS : [], install: 'apt-get install haproxy', hasCustomers: true, speaks: ['http2', 'websocket'], groups: isBare ? ['bare'] : null,
    findVersion: work => readVersion(work.children, 'haproxy', ['-v'], /version (\S+)/),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, isBare)),
  };
  return peer;
}

export const HAPROXY = createHaproxy('haproxy', false);
export const HAPROXY_BARE = createHaproxy('haproxy-bare', true);
