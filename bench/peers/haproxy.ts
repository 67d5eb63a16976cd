import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {readVersion} from '../harness/children.ts';
import {customersOf, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {launchPeer, type Launch, type Peer, type Place} from './peer.ts';

const TEMPLATE = readFileSync(new URL('./haproxy.cfg', import.meta.url), 'utf8');

function writeConfig(work: Workplace, place: Place, sites: Sites): void {
  const {directory, httpPort, httpsPort} = place;
  const customers = customersOf(sites);
  const backends = customers.map(({name, address}) => `backend ${name}\n  server app ${address}:${work.backend.port}\n`);
  const tlsBind = sites.tls ? `bind 127.0.0.1:${httpsPort} backlog 4096 ssl crt ${work.certificate.bothFile} alpn h2,http/1.1` : '';
  writeFileSync(join(directory, 'haproxy.cfg'), fillTemplate(TEMPLATE, {directory, httpPort, tlsBind, connections: work.connections}) + backends.join(''));
  writeFileSync(join(directory, 'hosts.map'), customers.flatMap(({name, hosts}) => hosts.map(host => `${host} ${name}\n`)).join(''));
}

function prepare(work: Workplace, place: Place, sites: Sites): Launch {
  writeConfig(work, place, sites);
  return {
    // Master and worker, as its packages run it: what makes a reload possible.
    command: 'haproxy', args: ['-W', '-f', join(place.directory, 'haproxy.cfg')], accessLog: join(place.directory, 'output.log'),
    reload: (child, changed) => {
      writeConfig(work, place, changed);
      process.kill(child.pid, 'SIGUSR2');
    },
  };
}

export const HAPROXY: Peer = {
  name: 'haproxy', lacks: [], install: 'apt-get install haproxy', hasCustomers: true, groups: null,
  findVersion: work => readVersion(work.children, 'haproxy', ['-v'], /version (\S+)/),
  start: (work, sites) => launchPeer(work, HAPROXY, place => prepare(work, place, sites)),
};
