/** The application behind every contestant: nginx where it is installed, else a small Node server. */
import {mkdirSync, truncateSync, writeFileSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {FOREMOST, readVersion, type StartOptions} from '../harness/children.ts';
import {findFreePort} from '../harness/machine.ts';
import {ANSWERING_CUSTOMERS, customerAddress, hostName, type Customer, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {waitUntilServed} from './peer.ts';

export interface Backend {
  readonly port: number;
  /** The same once more, foremost on its CPU. */
  readonly foremostPort: number;
  /** Of the echo of WebSockets; it answers plain requests too. */
  readonly webSocketPort: number;
  readonly kind: string;
}

const JSON_BODY = '{"ok":true,"message":"hello world, this is a small json body for benchmarks","pad":"0123456789012345678901234567890123456789"}';

/** The application server of a customer. */
export function serverOf({backend}: Workplace, sites: Sites, {address}: Customer): string {
  const {port, foremostPort, webSocketPort} = backend;
  return `${address}:${sites.webSockets ? webSocketPort : sites.foremost && address === customerAddress(0) ? foremostPort : port}`;
}

function scriptFile(name: string): string {
  return fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
}

type Base = Pick<Workplace, 'settings' | 'children' | 'pins' | 'connections' | 'descriptors' | 'makeDirectory'>;

/** Files of zeros are sparse: the gigabyte for slow readers takes no room. */
function makeFiles(directory: string, {largeBodyBytes, slowResponseBytes}: Settings): void {
  mkdirSync(join(directory, 'files'));
  for (const [name, bytes] of [['64KiB', 64 * 1024], ['large', largeBodyBytes], ['slow', slowResponseBytes]] as const) {
    const file = join(directory, 'files', name);
    writeFileSync(file, '');
    truncateSync(file, bytes);
  }
}

interface Server {
  readonly name: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly hasNginx: boolean;
  /** In front of the command. */
  readonly wrapper: readonly string[];
}

async function startHttp(base: Base, {name, port, addresses, hasNginx, wrapper}: Server): Promise<void> {
  const directory = base.makeDirectory(name), options = optionsFor(base, directory);
  const start = async (...words: readonly string[]): Promise<void> => {
    const [command = '', ...args] = [...wrapper, ...words];
    await waitUntilServed(await base.children.start(name, command, args, options), port, hostName(0));
  };
  makeFiles(directory, base.settings);
  if (!hasNginx) return start(process.execPath, scriptFile('backend-server'), directory, String(port), JSON_BODY, ...addresses);
  const template = readFileSync(new URL('./backend.conf', import.meta.url), 'utf8'), configFile = join(directory, 'backend.conf');
  writeFileSync(configFile, fillTemplate(template, {
    directory, port, descriptors: base.descriptors, connections: base.connections, json: JSON_BODY,
    listens: addresses.map(address => `listen ${address}:${port} backlog=4096;`).join(' '),
  }));
  return start('nginx', '-p', directory, '-c', configFile, '-g', 'daemon off;');
}

function optionsFor({pins}: Base, directory: string): StartOptions {
  return {directory, logFile: join(directory, 'output.log'), cpus: pins.backend === null ? [] : [pins.backend]};
}

export async function startBackend(base: Base): Promise<Backend> {
  const port = await findFreePort(), foremostPort = await findFreePort(), webSocketPort = await findFreePort();
  const addresses = Array.from({length: ANSWERING_CUSTOMERS}, (_, index) => customerAddress(index));
  const hasNginx = await readVersion(base.children, 'nginx', ['-v'], /nginx\/(\S+)/) !== null;
  await startHttp(base, {name: 'backend', port, addresses, hasNginx, wrapper: []});
  await startHttp(base, {name: 'foremost', port: foremostPort, addresses, hasNginx, wrapper: FOREMOST});
  const echo = await base.children.start('echo', process.execPath, [scriptFile('echo-server'), String(webSocketPort), ...addresses], optionsFor(base, base.makeDirectory('echo')));
  await waitUntilServed(echo, webSocketPort, hostName(0));
  return {port, foremostPort, webSocketPort, kind: hasNginx ? 'nginx' : 'node:http'};
}
