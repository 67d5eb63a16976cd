/** The harness itself, with whatever is installed: seconds, and not one threshold. */
import assert from 'node:assert/strict';
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {describe, it} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {descendants, parseStat, type ProcessStat} from '../../bench/harness/procfs.ts';
import type {Results} from '../../bench/harness/results.ts';
import {PEERS, SUBJECTS} from '../../bench/peers/all.ts';
import {SCENARIOS, selectScenarios} from '../../bench/scenarios/all.ts';

const BENCH = fileURLToPath(new URL('../../bench/bench.ts', import.meta.url));
const SMOKE_TIMEOUT_MS = 400_000, INTERRUPT_TIMEOUT_MS = 60_000;

/** The bench, a backend of one process or more, the echo and the proxy. */
const STARTED = 5;

/** A reason to skip, or false. */
function missingTool(): string | false {
  if (process.platform !== 'linux') return 'the bench reads /proc of Linux';
  return spawnSync('wrk', ['-v']).error === undefined ? false : 'wrk is not installed (apt-get install wrk)';
}

function startBench(...args: string[]): ChildProcess {
  return spawn(process.execPath, [BENCH, '--smoke', ...args], {stdio: ['ignore', 'pipe', 'pipe']});
}

function processesOf(root: number): ProcessStat[] {
  const stats = readdirSync('/proc').filter(name => /^\d+$/.test(name)).flatMap(name => {
    try {
      return [parseStat(readFileSync(`/proc/${name}/stat`, 'latin1'))];
    } catch {
      return []; // It ended between the listing and the read.
    }
  });
  return descendants(stats, root);
}

function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

async function waitFor(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + INTERRUPT_TIMEOUT_MS; !condition(); await sleep(20)) {
    assert.ok(Date.now() < deadline, `${what} did not happen in time`);
  }
}

describe('the benchmark harness', {skip: missingTool()}, () => {
  it('runs every scenario and every peer that is installed', {timeout: SMOKE_TIMEOUT_MS}, async () => {
    const bench = startBench('--json');
    let stdout = '', stderr = '';
    bench.stdout?.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
    bench.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
    const [code] = await once(bench, 'close') as [number | null];
    assert.equal(code, 0, stderr);
    const results = JSON.parse(stdout) as Results;
    assert.deepEqual(results.scenarios.map(scenario => scenario.name).sort(), SCENARIOS.map(({name}) => name).sort());
    for (const {name, columns, contestants} of results.scenarios) {
      assert.match(contestants[0]?.name ?? '', /^torwart/, name);
      for (const {samples} of contestants) for (const {key} of columns) assert.ok(Number.isFinite(samples[0]?.[key]), `${name}: ${key}`);
    }
    const seen = new Set(results.scenarios.flatMap(({contestants}) => contestants.map(({name}) => name)));
    for (const {name, program} of [...SUBJECTS, ...PEERS]) assert.ok(seen.has(name) || results.missing[program] !== undefined, `${name} took no part`);
  });

  it('leaves no process behind when it is interrupted', {timeout: INTERRUPT_TIMEOUT_MS * 2}, async () => {
    const bench = startBench('--scenario', 'get-c64', '--peer', 'http-proxy-3', '--seconds', '60');
    bench.stdout?.resume();
    bench.stderr?.resume();
    const {pid} = bench;
    assert.ok(pid !== undefined);
    await waitFor(() => processesOf(pid).length >= STARTED, 'the start of backend, echo and proxy');
    const started = processesOf(pid).map(stat => stat.pid);
    bench.kill('SIGINT');
    const [code] = await once(bench, 'close') as [number | null];
    assert.equal(code, 130);
    await waitFor(() => !started.some(isAlive), 'the end of every process');
  });
});

describe('its command line', () => {
  const run = (...args: string[]): {status: number | null; stdout: string; stderr: string} => spawnSync(process.execPath, [BENCH, ...args], {encoding: 'utf8'});

  it('lists every scenario', () => {
    const {status, stdout} = run('--list');
    assert.equal(status, 0);
    for (const {name} of selectScenarios([])) assert.ok(stdout.includes(` ${name} `), name);
  });

  it('says what is wrong with an option, with exit code 2', () => {
    for (const [args, pattern] of [[['--scenario', 'none'], /no scenario or group none/], [['--rounds', '0'], /--rounds 0: a whole number/], [['extra'], /no such argument/]] as const) {
      const {status, stderr} = run(...args);
      assert.equal(status, 2);
      assert.match(stderr, pattern);
    }
  });
});
