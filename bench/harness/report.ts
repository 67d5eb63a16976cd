/** Results as text: for a terminal and as Markdown. Pure. */
import type {Column, Unit} from '../scenarios/scenario.ts';
import {ratioOfColumn, spreadOfColumn, type ContestantResult, type Results, type ScenarioResult} from './results.ts';
import type {Spread} from './statistics.ts';

function withDigits(value: number): string {
  const size = Math.abs(value);
  return value.toLocaleString('en', {maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2});
}

function formatBytes(value: number): string {
  const size = Math.abs(value);
  if (size >= 2 ** 20) return `${withDigits(value / 2 ** 20)} MiB`;
  return size >= 2 ** 10 ? `${withDigits(value / 2 ** 10)} KiB` : `${withDigits(value)} B`;
}

const FORMATS: Readonly<Record<Unit, (value: number) => string>> = {
  'per second': withDigits,
  microseconds: value => Math.abs(value) >= 10_000 ? `${withDigits(value / 1_000)} ms` : `${withDigits(value)} µs`,
  milliseconds: value => `${withDigits(value)} ms`,
  bytes: formatBytes,
  count: withDigits,
  percent: value => `${Math.round(value)} %`,
};

export function formatValue(value: number, unit: Unit): string {
  return FORMATS[unit](value);
}

export function formatRatio(ratio: Spread): string {
  return `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})`;
}

export type Row = readonly string[];

/** Ratios to peers that have all features, and to those that have not: a column each, where there is such a peer. */
function ratioKinds(scenario: ScenarioResult): ('equal' | 'bare')[] {
  const kinds = new Set(scenario.contestants.slice(1).map(kindOf));
  return (['equal', 'bare'] as const).filter(kind => kinds.has(kind));
}

function kindOf(contestant: ContestantResult): 'equal' | 'bare' {
  return contestant.lacks.length === 0 ? 'equal' : 'bare';
}

function rowOf(contestant: ContestantResult, subject: ContestantResult, scenario: ScenarioResult): Row {
  if (contestant.failure !== null) return [contestant.name, `failed: ${contestant.failure.replaceAll(/\s+/g, ' ').slice(-200)}`];
  const values = scenario.columns.map(column => {
    const spread = spreadOfColumn(contestant, column);
    return spread === null ? '' : formatValue(spread.median, column.unit);
  });
  const [first] = scenario.columns;
  const ratio = first === undefined ? null : ratioOfColumn(subject, contestant, first);
  const text = ratio === null ? '' : formatRatio(ratio);
  return [contestant.name, ...values, ...ratioKinds(scenario).map(kind => kind === kindOf(contestant) ? text : '')];
}

/** The rows of a scenario's table; the first is its head. */
export function tableOf(scenario: ScenarioResult): Row[] {
  const [subject] = scenario.contestants;
  if (subject === undefined) return [];
  const head = ['', ...scenario.columns.map(column => column.label), ...ratioKinds(scenario).map(kind => `${subject.name} ÷ ${kind} peer`)];
  return [head, ...scenario.contestants.map(contestant => rowOf(contestant, subject, scenario))];
}

/** The ratios of the columns after the first: "p99, torwart ÷ peer: nginx 1.10 (1.02 to 1.17), …". */
export function otherRatios(scenario: ScenarioResult): string[] {
  const [subject, ...peers] = scenario.contestants;
  if (subject === undefined) return [];
  const describe = (column: Column): string[] => {
    const parts = peers.flatMap(peer => {
      const ratio = ratioOfColumn(subject, peer, column);
      return ratio === null ? [] : [`${peer.name} ${formatRatio(ratio)}`];
    });
    return parts.length === 0 ? [] : [`${column.label}, ${subject.name} ÷ peer: ${parts.join(', ')}`];
  };
  return scenario.columns.slice(1).flatMap(describe);
}

export function formatText(scenario: ScenarioResult): string {
  const rows = tableOf(scenario);
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.filter(row => row.length > 2).map(row => (row[column] ?? '').length)));
  const lines = rows.map(row => row.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join('  ').trimEnd());
  return [`${scenario.name}: ${scenario.title}`, ...lines, ...otherRatios(scenario).map(line => `  ${line}`), ''].join('\n');
}

export function markdownTable(rows: readonly Row[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const line = (row: Row): string => `| ${Array.from({length: columns}, (_, column) => (row[column] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return rows.flatMap((row, index) => index === 0 ? [line(row), `|---|${'---:|'.repeat(columns - 1)}`] : [line(row)]);
}

function describeRun({machine, versions, missing}: Results): string[] {
  const {cpus, model, kernel, memoryGiB, pins} = machine;
  const pinned = pins.proxy === null ? 'nothing pinned (one CPU)' : `proxy on CPU ${pins.proxy}, load on CPU ${pins.load}, backend on CPU ${pins.backend}`;
  return [
    `- ${cpus} × ${model}, ${memoryGiB} GiB, Linux ${kernel}; ${pinned}`,
    `- ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')}`,
    ...Object.entries(missing).map(([name, remedy]) => `- without ${name}: ${remedy}`),
  ];
}

function lacksOf(results: Results): string[] {
  const lacks = new Map(results.scenarios.flatMap(({contestants}) => contestants.map(({name, lacks: missing}) => [name, missing.join(', ')] as const)));
  return [...lacks].filter(([, text]) => text !== '').map(([name, text]) => `- ${name} lacks: ${text}`);
}

function describeScenario({time, settings: {rounds, seconds, warmUpSeconds}}: ScenarioResult): string {
  return `${rounds} interleaved rounds of ${seconds} s after ${warmUpSeconds} s of warm-up, from ${time}.`;
}

/** `plots` gives the file of each group's plot, relative to the Markdown file, and of the `overview`. */
export function formatMarkdown(results: Results, date: string, plots: ReadonlyMap<string, string>): string {
  const lines = [`# Benchmark of ${date}`, '', ...describeRun(results), ...lacksOf(results), ''];
  lines.push('A ratio is the median of the rounds with the smallest and the largest; above 1 the first row is the better one.', '');
  const overview = plots.get('overview');
  if (overview !== undefined) lines.push(`![overview](${overview})`, '');
  const shown = new Set<string>();
  for (const scenario of results.scenarios) {
    const plot = plots.get(scenario.group);
    if (plot !== undefined && !shown.has(scenario.group)) lines.push(`## ${scenario.group}`, '', `![${scenario.group}](${plot})`, '');
    shown.add(scenario.group);
    lines.push(`### ${scenario.name}: ${scenario.title}`, '', describeScenario(scenario), '', ...markdownTable(tableOf(scenario)), '');
    lines.push(...otherRatios(scenario).map(line => `- ${line}`), '');
  }
  return `${lines.join('\n').replaceAll(/\n{3,}/g, '\n\n').trimEnd()}\n`;
}
