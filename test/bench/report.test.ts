import assert from 'node:assert/strict';
import {describe, it} from 'node:test';
import {drawPlot} from '../../bench/harness/plot.ts';
import {formatMarkdown, formatText, formatValue, otherRatios, tableOf} from '../../bench/harness/report.ts';
import {hasFailure, type Results, type ScenarioResult} from '../../bench/harness/results.ts';
import {FULL_SETTINGS} from '../../bench/harness/workplace.ts';

const SCENARIO: ScenarioResult = {
  name: 'get', group: 'small', title: 'a <small> GET', time: '2026-01-02T03:04:05Z', settings: FULL_SETTINGS,
  columns: [
    {key: 'rate', label: 'req / CPU s', unit: 'per second', better: 'higher'},
    {key: 'p99', label: 'p99', unit: 'microseconds', better: 'lower'},
    {key: 'busy', label: 'busy', unit: 'percent'},
  ],
  contestants: [
    {name: 'torwart', lacks: [], failure: null, samples: [{rate: 200, p99: 10, busy: 99}, {rate: 220, p99: 20, busy: 98}]},
    {name: 'nginx', lacks: [], failure: null, samples: [{rate: 100, p99: 10, busy: 99}, {rate: 100, p99: 10, busy: 99}]},
    {name: 'library', lacks: ['log'], failure: null, samples: [{rate: 50, p99: 40, busy: 99}, {rate: 55, p99: 40, busy: 99}]},
    {name: 'broken', lacks: [], failure: 'it | fell', samples: []},
  ],
};

const RESULTS: Results = {
  versions: {nginx: '1.22'}, missing: {caddy: 'apt-get install caddy'},
  machine: {cpus: 2, model: 'a CPU', kernel: '6.1', memoryGiB: 8, pins: {proxy: 0, load: 1, backend: 1, pair: null}}, scenarios: [SCENARIO],
};

describe('the table of a scenario', () => {
  it('keeps the ratio to a bare peer apart from the ratio to an equal one', () => {
    assert.deepEqual(tableOf(SCENARIO), [
      ['', 'req / CPU s', 'p99', 'busy', 'torwart ÷ equal peer', 'torwart ÷ bare peer'],
      ['torwart', '210', '15 µs', '99 %', '', ''],
      ['nginx', '100', '10 µs', '99 %', '2.10 (2.00 to 2.20)', ''],
      ['library', '52.5', '40 µs', '99 %', '', '4.00 (4.00 to 4.00)'],
      ['broken', 'failed: it | fell'],
    ]);
  });

  it('gives the ratios of the other columns in lines of their own', () => {
    assert.deepEqual(otherRatios(SCENARIO), ['p99, torwart ÷ peer: nginx 0.75 (0.50 to 1.00), library 3.00 (2.00 to 4.00)']);
  });

  it('shows failures as text and in the exit code', () => {
    assert.match(formatText(SCENARIO), /broken .*it \| fell/);
    assert.equal(hasFailure(RESULTS), true);
  });

  it('is nothing without contestants', () => {
    assert.deepEqual(tableOf({...SCENARIO, contestants: []}), []);
    assert.deepEqual(otherRatios({...SCENARIO, contestants: []}), []);
  });
});

describe('units', () => {
  it('are those that people read', () => {
    assert.equal(formatValue(51_234.6, 'per second'), '51,235');
    assert.equal(formatValue(19.25, 'microseconds'), '19.3 µs');
    assert.equal(formatValue(30_500, 'microseconds'), '30.5 ms');
    assert.equal(formatValue(484, 'bytes'), '484 B');
    assert.equal(formatValue(12_288, 'bytes'), '12 KiB');
    assert.equal(formatValue(-3 * 2 ** 20, 'bytes'), '-3 MiB');
  });
});

describe('a saved result', () => {
  it('names machine, versions, what was missing and what peers lack', () => {
    const text = formatMarkdown(RESULTS, '2026-01-02', new Map([['small', 'plot.svg']]));
    for (const part of ['2 × a CPU', 'nginx 1.22', 'without caddy: apt-get install caddy', 'library lacks: log', '![small](plot.svg)', 'it \\| fell']) {
      assert.ok(text.includes(part), part);
    }
  });

  it('draws a bar for every contestant that has a result in each column that says who is better, with its text escaped', () => {
    const svg = drawPlot([SCENARIO]);
    assert.equal(svg.match(/<rect class="(?:subject|equal|bare)"/g)?.length, 2 * 3 + 3, 'two panels, and three of the legend');
    assert.match(svg, />req \/ CPU s, higher is better<[^]*>p99, lower is better</);
    assert.doesNotMatch(svg, />busy/);
    assert.match(svg, /a &lt;small&gt; GET/);
    assert.doesNotMatch(svg, /NaN/);
  });
});
