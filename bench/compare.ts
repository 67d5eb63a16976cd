/** `npm run bench:compare -- BASE`: this tree beside another revision of it, interleaved. */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, symlinkSync} from 'node:fs';
import os from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {OPTIONS_HELP, parseOptions} from './harness/options.ts';
import {hasFailure} from './harness/results.ts';
import {assembleCast, exitOnSignals, runSession} from './harness/session.ts';
import {openWorkplace} from './harness/workplace.ts';
import {createTorwart} from './peers/torwart.ts';
import {selectScenarios} from './scenarios/all.ts';

const TREE = fileURLToPath(new URL('..', import.meta.url));
const DEFAULT_SCENARIOS: readonly string[] = ['get-c64'];
const USAGE_ERROR = 2;

function git(...args: string[]): string {
  return execFileSync('git', ['-C', TREE, ...args], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']}).trim();
}

/** Checks a revision out beside this tree until the process exits. It runs with the packages of this tree. */
function checkOut(revision: string): string {
  const parent = mkdtempSync(join(os.tmpdir(), 'torwart-base-')), tree = join(parent, 'tree');
  process.once('exit', () => {
    git('worktree', 'remove', '--force', tree);
    rmSync(parent, {recursive: true, force: true});
  });
  git('worktree', 'add', '--detach', tree, revision);
  symlinkSync(join(TREE, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const [base, ...surplus] = options.rest;
  if (options.help) {
    console.log(`npm run bench:compare -- BASE [OPTIONS]\n${OPTIONS_HELP}\nOf these, --peer, --save and --list have no meaning here. Default scenario: ${DEFAULT_SCENARIOS.join(', ')}.`);
    return 0;
  }
  if (base === undefined || surplus.length > 0) throw new Error('one revision to compare with is needed: npm run bench:compare -- BASE');
  const scenarios = selectScenarios(options.scenarios.length === 0 ? DEFAULT_SCENARIOS : options.scenarios);
  const revision = git('rev-parse', '--short', '--verify', `${base}^{commit}`);
  exitOnSignals();
  const peers = [createTorwart(TREE, 'head'), createTorwart(checkOut(revision), revision)];
  const work = await openWorkplace(options.settings);
  try {
    const cast = await assembleCast(work, peers);
    const results = await runSession(work, cast, scenarios, options.json ? console.error : console.log);
    if (options.json) console.log(JSON.stringify(results, null, 1));
    return hasFailure(results) ? 1 : 0;
  } finally {
    await work.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench:compare: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = USAGE_ERROR;
}
