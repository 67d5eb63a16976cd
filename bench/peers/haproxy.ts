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

interface Variant {
  readonly isBare: boolean;
  /** Long bodies go from socket to socket inside of the kernel. Not WebSockets: their small messages cost more so. */
  readonly isSplicing: boolean;
}

/** As many as the descriptors that its connections leave. By itself it would want a quarter of its connections, and refuse to start. */
const PIPES_MAX = 100;

function writeConfig(work: Workplace, place: Place, sites: Sites, {isBare, isSplicing}: Variant): void {
  const {directory, httpPort, httpsPort} = place;
  const customers = customersOf(sites);
  const backends = customers.map(customer => `backend ${customer.name}\n  server app ${serverOf(work, sites, customer)}\n`);
  const tlsBind = sites.tls ? `bind 127.0.0.1:${httpsPort} backlog 4096 ssl crt ${work.certificate.bothFile} alpn h2,http/1.1` : '';
  const values = {httpPort, tlsBind, connections: work.connections};
  const isSpliced = isSplicing && !sites.webSockets, main = isBare ? fillTemplate(BARE_TEMPLATE, values) : fillTemplate(TEMPLATE, {
    ...values, directory, pipes: isSpliced ? `maxpipes ${PIPES_MAX}` : '', splicing: isSpliced ? 'option splice-request\n  option splice-response' : '',
  });
  writeFileSync(join(directory, 'haproxy.cfg'), main + backends.join(''));
  writeFileSync(join(directory, 'hosts.map'), customers.flatMap(({name, hosts}) => hosts.map(host => `${host} ${name}\n`)).join(''));
}

function prepare(work: Workplace, place: Place, sites: Sites, variant: Variant): Launch {
  writeConfig(work, place, sites, variant);
  return {
    // Master and worker, as its packages run it: what makes a reload possible.
    command: 'haproxy', args: ['-W', '-f', join(place.directory, 'haproxy.cfg')], accessLog: join(place.directory, 'output.log'),
    reload: (child, changed) => {
      writeConfig(work, place, changed, variant);
      process.kill(child.pid, 'SIGUSR2');
    },
  };
}

function createHaproxy(name: string, variant: Variant, groups: readonly string[] | null): Peer {
  const peer: Peer = {
    name, program: 'haproxy', lacks: variant.isBare ? BARE_LACKS : [], install: 'apt-get install haproxy', hasCustomers: true, speaks: ['http2', 'websocket'], groups,
    findVersion: work => readVersion(work.children, 'haproxy', ['-v'], /version (\S+)/),
    start: (work, sites) => launchPeer(work, peer, place => prepare(work, place, sites, variant)),
  };
  return peer;
}

export const HAPROXY = createHaproxy('haproxy', {isBare: false, isSplicing: true}, null);
/** Without what has to be asked for. It matters for bodies only. */
export const HAPROXY_STOCK = createHaproxy('haproxy-stock', {isBare: false, isSplicing: false}, ['bodies', 'large', 'slow']);
export const HAPROXY_BARE = createHaproxy('haproxy-bare', {isBare: true, isSplicing: false}, ['bare']);
