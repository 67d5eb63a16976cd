/** The application behind every contestant: nginx where it is installed, else a small Node server. */
import {mkdirSync, truncateSync, writeFileSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {findFreePort} from '../harness/machine.ts';
import {ANSWERING_CUSTOMERS, customerAddress, hostName} from '../harness/sites.ts';
import {fillTemplate} from '../harness/template.ts';
import type {Workplace} from '../harness/workplace.ts';
import {waitUntilServed} from './peer.ts';

export interface Backend {
  readonly port: number;
  readonly kind: string;
}

const JSON_BODY = '{"ok":true,"message":"hello world, this is a small json body for benchmarks","pad":"0123456789012345678901234567890123456789"}';
const KIB = 1024, MIB = 1024 * KIB;

type Base = Pick<Workplace, 'settings' | 'children' | 'pins' | 'connections' | 'descriptors' | 'makeDirectory'>;

/** Files of zeros are sparse: the gigabyte for slow readers takes no room. */
function makeFiles(directory: string, slowResponseBytes: number): void {
  mkdirSync(join(directory, 'files'));
  for (const [name, bytes] of [['64KiB', 64 * KIB], ['10MiB', 10 * MIB], ['slow', slowResponseBytes]] as const) {
    const file = join(directory, 'files', name);
    writeFileSync(file, '');
    truncateSync(file, bytes);
  }
}

export async function startBackend(base: Base): Promise<Backend> {
  const directory = base.makeDirectory('backend');
  makeFiles(directory, base.settings.slowResponseBytes);
  const port = await findFreePort();
  const addresses = Array.from({length: ANSWERING_CUSTOMERS}, (_, index) => customerAddress(index));
  const options = {directory, logFile: join(directory, 'output.log'), cpu: base.pins.backend};
  const {code} = await base.children.capture('nginx', ['-v'], 5_000).catch(() => ({code: null}));
  if (code !== 0) {
    const script = fileURLToPath(new URL('./backend-server.ts', import.meta.url));
    const child = await base.children.start('backend', process.execPath, [script, directory, String(port), JSON_BODY, ...addresses], options);
    await waitUntilServed(child, port, hostName(0));
    return {port, kind: 'node:http'};
  }
  const template = readFileSync(new URL('./backend.conf', import.meta.url), 'utf8');
  writeFileSync(join(directory, 'backend.conf'), fillTemplate(template, {
    directory, port, descriptors: base.descriptors, connections: base.connections, json: JSON_BODY,
    listens: addresses.map(address => `listen ${address}:${port} backlog=4096;`).join(' '),
  }));
  const child = await base.children.start('backend', 'nginx', ['-p', directory, '-c', join(directory, 'backend.conf'), '-g', 'daemon off;'], options);
  await waitUntilServed(child, port, hostName(0));
  return {port, kind: 'nginx'};
}
