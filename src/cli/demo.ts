/** `torwart demo`: the real daemon with the example configuration, certificates made for it, and applications to talk to. */
import {once} from 'node:events';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {Worker} from 'node:worker_threads';
import type {ApplicationsMessage, ApplicationsStart} from '#src/cli/demo/applications.ts';
import {ensureCertificates, type DemoCertificate} from '#src/cli/demo/certificates.ts';
import {runDaemon} from '#src/cli/run.ts';
import type {Listening} from '#src/control/daemon.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** What `config/customers/` says. */
const CERTIFICATES: readonly DemoCertificate[] = [
  {name: 'acme', hosts: ['shop.acme.localhost', '*.shop.acme.localhost']},
  {name: 'globex', hosts: ['www.globex.localhost']},
];
const APPLICATIONS: ApplicationsStart = {
  applications: [
    {customer: 'acme', address: '127.10.1.11', port: 3000},
    {customer: 'acme', address: '127.10.1.12', port: 3000},
    {customer: 'globex', address: '127.10.2.11', port: 3000},
    {customer: 'globex', address: '127.10.2.12', port: 3000},
  ],
};

export async function runDemo(): Promise<number> {
  const ca = await ensureCertificates(path.join(ROOT, 'certs'), CERTIFICATES, Date.now());
  await mkdir(path.join(ROOT, 'run'), {recursive: true});
  const applications = new Worker(new URL('demo/applications.ts', import.meta.url), {workerData: APPLICATIONS, name: 'applications'});
  try {
    const [message] = await once(applications, 'message') as [ApplicationsMessage];
    if (message.type === 'failed') {
      process.stderr.write(`torwart: the demo applications cannot start: ${message.error}\n`);
      return 1;
    }
    return await runDaemon({configFile: path.join(ROOT, 'config/torwart.yaml'), onServing: serving => process.stdout.write(describeDemo(serving, ca))});
  } finally {
    await applications.terminate();
  }
}

function describeDemo({listeners, admin}: Listening, ca: string): string {
  const trust = `--cacert ${path.relative(process.cwd(), ca)}`;
  const curl = (scheme: 'http' | 'https', host: string, target: string, options: string): string => {
    const [address, port] = (listeners[scheme] ?? '').split(':');
    return `  curl ${options} --resolve ${host}:${port}:${address} ${scheme}://${host}:${port}${target}\n`;
  };
  return `
Torwart serves two demo customers, each with two application servers. Try, in another terminal in this folder:

${curl('https', 'shop.acme.localhost', '/', trust)}${curl('https', 'eu.shop.acme.localhost', '/', trust)}${curl('https', 'www.globex.localhost', '/', trust)}
An attack that is refused (an ambiguous path), and a redirect from http to https:

${curl('https', 'shop.acme.localhost', '/..%2fsecret', `-i ${trust}`)}${curl('http', 'shop.acme.localhost', '/', '-i')}
Metrics and health:

  curl http://${admin}/metrics
  curl http://${admin}/readyz

kill -HUP ${process.pid} reloads the configuration, Ctrl-C ends it all.

`;
}
