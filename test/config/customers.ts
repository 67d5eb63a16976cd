/** Small valid configurations that tests vary. */
import {type ConfigResult, loadConfig} from '#src/config/load.ts';
import {createMemorySource} from '#test/config/memory-source.ts';

export const NODE_FILE = '/etc/torwart.yaml';

export const NODE_TEXT = `listeners:
  - {name: http, address: "0.0.0.0:8080", protocol: http}
`;

export interface CustomerTraits {
  readonly network?: string;
  readonly server?: string;
  readonly hosts?: readonly string[];
}

/** Number `n` (0 to 255) has a network, a server and a host of its own. */
export function customerText(name: string, n: number, traits: CustomerTraits = {}): string {
  const {network = `10.1.${n}.0/24`, server = `10.1.${n}.11:3000`, hosts = [`www.${name}.example`]} = traits;
  return `customer: ${name}
networks: [${network}]
pools: {web: {servers: [{address: "${server}"}]}}
sites: [{hosts: ${JSON.stringify(hosts)}, routes: [{path: /, pool: web}]}]
`;
}

export function customerFile(name: string): string {
  return `/etc/customers/${name}.yaml`;
}

/** Loads customer files, given by the base of their names. */
export async function loadTexts(customers: Readonly<Record<string, string>>, node = NODE_TEXT): Promise<ConfigResult> {
  const files = new Map([[NODE_FILE, node]]);
  for (const [name, text] of Object.entries(customers)) files.set(customerFile(name), text);
  return loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs: 0});
}
