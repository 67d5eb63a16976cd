/** The application behind every contestant: nginx where it is installed, else a small Node server. */
import {mkdirSync, truncateSync, writeFileSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {readVersion, type Child, type StartOptions} from '../harness/children.ts';
import {findFreePort} from '../harness/machine.ts';
import {ANSWERING_CUSTOMERS, customerAddress, hostName, type Customer, type Sites} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import {waitUntilServed} from './peer.ts';

export interface Backend {
  readonly port: number;
  /** Of the echo of WebSockets; it answers plain requests too. */
  readonly webSocketPort: number;
  readonly kind: string;
}

const JSON_BODY = '{"ok":true,"message":"hello world, this is a small json body for benchmarks","pad":"0123456789012345678901234567890123456789"}';

/** The application server of a customer. */
export function serverOf({backend}: Workplace, sites: Sites, {address}: Customer): string {
  return `${address}:${sites.webSockets ? backend.webSocketPort : backend.port}`;
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

function startHttp(base: Base, port: number, addresses: readonly string[], options: StartOptions, hasNginx: boolean): Promise<Child> {
  const {directory} = options;
  if (!hasNginx) return base.children.start('backend', process.execPath, [scriptFile('backend-server'), directory, String(port), JSON_BODY, ...addresses], options);
  const template = readFileSync(new URL('./backend.conf', import.meta.url), 'utf8'), configFile = join(directory, 'backend.conf');
  writeFileSync(configFile, fillTemplate(template, {
    directory, port, descriptors: base.descriptors, connections: base.connections, json: JSON_BODY,
    listens: addresses.map(address => `listen ${address}:${port} backlog=4096;`).join(' '),
  }));
  return base.children.start('backend', 'nginx', ['-p', directory, '-c', configFile, '-g', 'daemon off;'], options);
}

export async function startBackend(base: Base): Promise<Backend> {
  const directory = base.makeDirectory('backend');
  makeFiles(directory, base.settings);
  const port = await findFreePort(), webSocketPort = await findFreePort();
  const addresses = Array.from({length: ANSWERING_CUSTOMERS}, (_, index) => customerAddress(index));
  const options = {directory, logFile: join(directory, 'output.log'), cpus: base.pins.backend === null ? [] : [base.pins.backend]};
  const hasNginx = await readVersion(base.children, 'nginx', ['-v'], /nginx\/(\S+)/) !== null;
  const backend = await startHttp(base, port, addresses, options, hasNginx);
  const echo = await base.children.start('echo', process.execPath, [scriptFile('echo-server'), String(webSocketPort), ...addresses], options);
  await waitUntilServed(backend, port, hostName(0));
  await waitUntilServed(echo, webSocketPort, hostName(0));
  return {port, webSocketPort, kind: hasNginx ? 'nginx' : 'node:http'};
}
