/** `npm run bench`: Torwart beside its peers. See bench/README.md for the method. */
import {fileURLToPath} from 'node:url';
import {OPTIONS_HELP, parseOptions, type Options} from './harness/options.ts';
import {hasFailure, type Results} from './harness/results.ts';
import {saveResults} from './harness/save.ts';
import {exitOnSignals, runSession} from './harness/session.ts';
import {openWorkplace} from './harness/workplace.ts';
import {CADDY} from './peers/caddy.ts';
import {HAPROXY} from './peers/haproxy.ts';
import {NGINX, NGINX_STOCK_BUFFERS} from './peers/nginx.ts';
import {HTTP_PROXY_3, NODE_UNDICI} from './peers/node-servers.ts';
import type {Peer} from './peers/peer.ts';
import {createTorwart} from './peers/torwart.ts';
import {selectScenarios, SCENARIOS, SMOKE_SCENARIO_NAMES} from './scenarios/all.ts';

const TREE = fileURLToPath(new URL('..', import.meta.url));
const RESULTS = fileURLToPath(new URL('results', import.meta.url));
const PEERS: readonly Peer[] = [NGINX, NGINX_STOCK_BUFFERS, HAPROXY, CADDY, HTTP_PROXY_3, NODE_UNDICI];
/** Short runs try one peer of each kind. */
const SMOKE_PEERS: readonly string[] = ['nginx', 'http-proxy-3'];

const USAGE_ERROR = 2;

function selectPeers(names: readonly string[]): readonly Peer[] {
  const unknown = names.filter(name => !PEERS.some(peer => peer.name === name));
  if (unknown.length > 0) throw new Error(`there is no peer ${unknown.join(', ')}; --list shows all`);
  return names.length === 0 ? PEERS : PEERS.filter(peer => names.includes(peer.name));
}

function printLists(): void {
  for (const {name, group, title} of SCENARIOS) console.log(`scenario  ${name.padEnd(14)} ${group.padEnd(11)} ${title}`);
  for (const {name, lacks} of PEERS) console.log(`peer      ${name.padEnd(14)} ${lacks.length === 0 ? 'equal features' : `lacks: ${lacks.join(', ')}`}`);
}

async function run(options: Options): Promise<Results> {
  const names = options.smoke && options.scenarios.length === 0 ? SMOKE_SCENARIO_NAMES : options.scenarios;
  const peers = selectPeers(options.smoke && options.peers.length === 0 ? SMOKE_PEERS : options.peers);
  const scenarios = selectScenarios(names);
  const work = await openWorkplace(options.settings);
  try {
    return await runSession(work, scenarios, [createTorwart(TREE), ...peers], options.json ? console.error : console.log);
  } finally {
    await work.close();
  }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.rest.length > 0) throw new Error(`${options.rest.join(' ')}: no such argument`);
  if (options.help) console.log(`npm run bench -- [OPTIONS]\n${OPTIONS_HELP}`);
  if (options.list) printLists();
  if (options.help || options.list) return 0;
  exitOnSignals();
  const results = await run(options);
  if (options.json) console.log(JSON.stringify(results, null, 1));
  if (options.save) for (const file of saveResults(results, RESULTS)) console.error(`wrote ${file}`);
  return hasFailure(results) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = USAGE_ERROR;
}
