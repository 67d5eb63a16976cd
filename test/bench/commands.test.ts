/** The commands beside `npm run bench`, each with settings that show in seconds that it works. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {describe, it} from 'node:test';
import {fileURLToPath} from 'node:url';
import type {Results} from '../../bench/harness/results.ts';
import type {StageResults} from '../../bench/harness/stage-results.ts';
import {createHttp2Stages} from '../../bench/stages-http2.ts';
import {createStages} from '../../bench/stages.ts';

const TIMEOUT_MS = 120_000;

function run(command: string, ...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [fileURLToPath(new URL(`../../bench/${command}.ts`, import.meta.url)), ...args], {encoding: 'utf8', timeout: TIMEOUT_MS});
}

/** A reason to skip, or false. */
function missingTool(): string | false {
  if (process.platform !== 'linux') return 'the bench reads /proc of Linux';
  if (spawnSync('wrk', ['-v']).error !== undefined) return 'wrk is not installed (apt-get install wrk)';
  const {status} = spawnSync('git', ['-C', fileURLToPath(new URL('.', import.meta.url)), 'rev-parse', '--verify', 'HEAD']);
  return status === 0 ? false : 'not a clone of a git repository';
}

describe('npm run bench:compare', () => {
  // HEAD, because a shallow clone has no other revision.
  it('runs this tree beside a revision of it', {skip: missingTool()}, () => {
    const {status, stdout, stderr} = run('compare', 'HEAD', '--smoke', '--json');
    assert.equal(status, 0, stderr);
    const {scenarios} = JSON.parse(stdout) as Results;
    assert.deepEqual(scenarios.map(({name}) => name), ['get-c64']);
    assert.match(scenarios[0]?.contestants.map(({name}) => name).join(' ') ?? '', /^head [0-9a-f]+$/);
    for (const {samples} of scenarios[0]?.contestants ?? []) assert.equal(samples.length, 1);
  });

  it('says what it needs, with exit code 2', () => {
    const {status, stderr} = run('compare');
    assert.equal(status, 2);
    assert.match(stderr, /one revision to compare with is needed/);
  });
});

describe('npm run bench:micro', () => {
  it('runs every stage', () => {
    const {status, stdout, stderr} = run('micro', '--smoke', '--json');
    assert.equal(status, 0, stderr);
    const {stages} = JSON.parse(stdout) as StageResults, names = [...createStages(), ...createHttp2Stages()].map(({name}) => name);
    assert.deepEqual(stages.map(({name}) => name), names);
    assert.equal(new Set(names).size, names.length);
    for (const {name, samples} of stages) assert.ok(samples.length === 1 && (samples[0] ?? 0) > 0, name);
  });

  it('does not save what measured nothing', () => {
    const {status, stderr} = run('micro', '--smoke', '--save');
    assert.notEqual(status, 0);
    assert.match(stderr, /measures nothing/);
  });
});
