import assert from 'node:assert/strict';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {describe, it} from 'node:test';
import {describeResults, publish, resultParts, stageParts} from '../../bench/harness/publication.ts';
import {makePublishedFiles} from '../../bench/harness/published-files.ts';
import {findDifference, mergeResults, type Results, type ScenarioResult} from '../../bench/harness/results.ts';
import {readResults, writeResults} from '../../bench/harness/save.ts';
import {FULL_SETTINGS} from '../../bench/harness/workplace.ts';
import {ROOT} from '#test/style/sources.ts';

function scenario(name: string, rate: number): ScenarioResult {
  return {
    name, group: 'small', title: `the ${name}`, time: '2026-01-02T03:04:05Z', settings: FULL_SETTINGS,
    columns: [{key: 'perCpuSecond', label: 'req / CPU s', unit: 'per second', better: 'higher'}],
    contestants: [
      {name: 'torwart', lacks: [], failure: null, samples: [{perCpuSecond: rate}]},
      {name: 'nginx', lacks: [], failure: null, samples: [{perCpuSecond: 100}]},
      {name: 'caddy', lacks: ['limits'], failure: null, samples: [{perCpuSecond: 50}]},
    ],
  };
}

function results(...scenarios: ScenarioResult[]): Results {
  return {
    machine: {cpus: 2, model: 'a CPU', kernel: '6.1', memoryGiB: 8, pins: {proxy: 0, load: 1, backend: 1, pair: [0, 1]}},
    versions: {torwart: '0.1.0 (abc)', nginx: '1.22'}, missing: {}, scenarios,
  };
}

const PARTS = resultParts(new Map([[scenario('get-c64', 80), '2026-01-02']]));

describe('what states numbers', () => {
  it('agrees with the results files: npm run bench:publish', () => {
    for (const [file, text] of makePublishedFiles(ROOT)) assert.equal(readFileSync(path.join(ROOT, file), 'utf8'), text, `${file} is out of date: npm run bench:publish`);
  });

  it('is replaced between its marks, and nowhere else', () => {
    const document = 'before 0.10\n<!-- bench-equal -->\nold\n<!-- /bench-equal -->\nafter\n<!-- bench-bare -->\n<!-- /bench-bare -->\n';
    const text = publish(document, 'there/', PARTS);
    assert.match(text, /^before 0\.10\n<!-- bench-equal -->\n\|/);
    assert.match(text, /\| the get-c64 \| 80 req \/ CPU s \| 0\.80 \(0\.80 to 0\.80\) \|\n<!-- \/bench-equal -->\nafter\n/);
    assert.match(text, /\|  \| Torwart \| caddy \|\n.*\n\| the get-c64 \| 80 req \/ CPU s \| 1\.60 /);
    assert.doesNotMatch(text, /old/);
    assert.equal(publish(text, 'there/', PARTS), text);
  });

  it('has the stages of a request too', () => {
    const {machine, versions} = results(), parts = stageParts({machine, versions, stages: [{name: 'parse', samples: [90, 100, 120]}]}, '2026-01-03');
    const text = publish('<!-- bench-stages -->\n<!-- /bench-stages -->\n', 'there/', parts);
    assert.match(text, /\n\| parse \| 100 \(90 to 120\) \|\n\nFrom \[2026-01-03-stages\.json\]\(there\/2026-01-03-stages\.json\)\.\n<!--/);
  });

  it('says from when each scenario is where they were not measured on one day', () => {
    const parts = resultParts(new Map([[scenario('get-c64', 80), '2026-01-02'], [scenario('tls-get', 70), '2026-01-05']]));
    const text = publish('<!-- bench-equal -->\n<!-- /bench-equal -->\n<!-- bench-source -->\n<!-- /bench-source -->\n', 'there/', parts);
    assert.match(text, /\| measured \|\n.*\n\| the get-c64 .* \| 2026-01-02 \|\n\| the tls-get .* \| 2026-01-05 \|\n/);
    assert.match(text, /From \[2026-01-05\.md\]\(there\/2026-01-05\.md\) and \[2026-01-02\.md\]/);
  });

  it('has a name that is known', () => {
    assert.throws(() => publish('<!-- bench-nothing -->\n<!-- /bench-nothing -->', '', PARTS), /no part bench-nothing/);
  });

  it('is a Markdown file with a plot for each group and one of all', () => {
    const files = describeResults(results(scenario('get-c64', 80), scenario('get-c1', 10)), '2026-01-02');
    assert.deepEqual([...files.keys()], ['2026-01-02.md', '2026-01-02-overview.svg', '2026-01-02-small.svg']);
    assert.equal(files.get('2026-01-02-overview.svg')?.match(/<circle /g)?.length, 1 + 1 + 2, 'nginx in the legend, over its numbers and in two rows');
    assert.doesNotMatch([...files.values()].join(''), /NaN|undefined/);
  });
});

describe('results of one day', () => {
  it('are put together from several runs, in the order of the scenarios', () => {
    const saved = {...results(scenario('b', 1), scenario('c', 2)), missing: {caddy: 'apt-get install caddy', h2load: 'apt-get install nghttp2-client'}};
    const now = {...results(scenario('a', 3), scenario('c', 4)), versions: {torwart: '0.1.0 (abc)', caddy: '2.6'}};
    const merged = mergeResults(saved, now, ['a', 'b', 'c']);
    assert.deepEqual(merged.scenarios.map(({name, contestants}) => [name, contestants[0]?.samples[0]?.['perCpuSecond']]), [['a', 3], ['b', 1], ['c', 4]]);
    assert.deepEqual(merged.versions, {torwart: '0.1.0 (abc)', nginx: '1.22', caddy: '2.6'});
    assert.deepEqual(Object.keys(merged.missing), ['h2load']);
  });

  it('are refused from another version or another machine', () => {
    const saved = results();
    assert.equal(findDifference(saved, {...saved, versions: {nginx: '1.22', caddy: '2.6'}}), null);
    assert.equal(findDifference(saved, {...saved, versions: {torwart: '0.1.0 (def)'}}), 'torwart was 0.1.0 (abc) and is 0.1.0 (def)');
    assert.match(findDifference(saved, {...saved, machine: {...saved.machine, cpus: 4}}) ?? '', /the machine was .*"cpus":2.* and is .*"cpus":4/);
  });

  it('are read as they were written', context => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'torwart-results-'));
    context.after(() => { rmSync(directory, {recursive: true, force: true}); });
    assert.equal(readResults(directory, '2026-01-02'), null);
    writeResults(results(scenario('a', 1)), directory, '2026-01-02');
    assert.deepEqual(readResults(directory, '2026-01-02'), results(scenario('a', 1)));
    assert.match(readFileSync(path.join(directory, '2026-01-02.md'), 'utf8'), /^# Benchmark of 2026-01-02\n/);
  });
});
