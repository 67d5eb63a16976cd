/** What is made of results: a Markdown file with its plots, and the parts of documents that state numbers. Pure. */
import {drawOverview} from './overview-plot.ts';
import {drawPlot} from './plot.ts';
import {formatMarkdown, formatRatio, formatValue, markdownTable, type Row} from './report.ts';
import {stageTable, type StageResults} from './stage-results.ts';
import {ratioOfColumn, spreadOfColumn, type Results, type ScenarioResult} from './results.ts';

const OVERVIEW = 'overview';

/** The files of a results file beside it, by name. */
export function describeResults(results: Results, date: string): Map<string, string> {
  const groups = [...new Set(results.scenarios.map(scenario => scenario.group))];
  const plots = new Map([OVERVIEW, ...groups].map(group => [group, `${date}-${group}.svg`]));
  return new Map([
    [`${date}.md`, formatMarkdown(results, date, plots)],
    [`${date}-${OVERVIEW}.svg`, drawOverview(results.scenarios)],
    ...groups.map((group): [string, string] => [`${date}-${group}.svg`, drawPlot(results.scenarios.filter(scenario => scenario.group === group))]),
  ]);
}

/** Scenarios that the README states, of those that were measured. */
const HEADLINES: readonly string[] = [
  'get-c64', 'tls-get', 'h2-c16', 'response-64k', 'response-10m', 'websocket', 'tls-full', 'fair', 'idle', 'idle-tls',
];
const HEADLINE_PEERS: readonly string[] = ['nginx', 'haproxy', 'http-proxy-3'];
const EQUAL_PEERS: readonly string[] = ['nginx', 'nginx-stock', 'haproxy', 'haproxy-stock', 'torwart', 'torwart-1-host'];
const BARE_PEERS: readonly string[] = ['nginx-bare', 'haproxy-bare', 'caddy', 'http-proxy-3', 'fast-proxy', 'node-undici', 'node-relay'];

/** The newest result of each scenario, and the date of the results file that it is from: what has not been measured again stands as it was. */
export type Newest = ReadonlyMap<ScenarioResult, string>;

function datesOf(newest: Newest): string[] {
  return [...new Set(newest.values())].sort().reverse();
}

function linkTo(date: string, folder: string): string {
  return `[${date}.md](${folder}${date}.md)`;
}

/** A row a scenario, a column a peer: ratios of the column `key`, or of what the scenario is about. Peers without any ratio are left out. */
function ratioTable(newest: Newest, peers: readonly string[], key: string | null): string[] {
  const scenarios = [...newest.keys()], hasDates = datesOf(newest).length > 1;
  const columnOf = (scenario: ScenarioResult): ScenarioResult['columns'][number] | undefined =>
    key === null ? scenario.columns[0] : scenario.columns.find(column => column.key === key);
  const ratioOf = (scenario: ScenarioResult, peer: string): string => {
    const [subject] = scenario.contestants, column = columnOf(scenario), other = scenario.contestants.find(({name}) => name === peer);
    const ratio = subject === undefined || column === undefined || other === undefined ? null : ratioOfColumn(subject, other, column);
    return ratio === null ? '' : formatRatio(ratio);
  };
  const shown = peers.filter(peer => scenarios.some(scenario => ratioOf(scenario, peer) !== ''));
  const rows = scenarios.flatMap((scenario): Row[] => {
    const [subject] = scenario.contestants, column = columnOf(scenario), spread = subject === undefined || column === undefined ? null : spreadOfColumn(subject, column);
    if (column === undefined || spread === null || !shown.some(peer => ratioOf(scenario, peer) !== '')) return [];
    const date = hasDates ? [newest.get(scenario) ?? ''] : [];
    return [[scenario.title, `${formatValue(spread.median, column.unit)} ${column.label}`, ...shown.map(peer => ratioOf(scenario, peer)), ...date]];
  });
  return rows.length === 0 ? [] : markdownTable([['', 'Torwart', ...shown, ...(hasDates ? ['measured'] : [])], ...rows]);
}

/** Where a comparison of the time outside of the kernel says something, and with whom. */
const USER_TIME_SCENARIOS: readonly string[] = ['get-c64', 'tls-get', 'h2-c16', 'websocket'];
const USER_TIME_CONTESTANTS: readonly string[] = ['torwart', 'nginx', 'haproxy', 'node-relay'];

/** CPU time of a request outside of the kernel and inside, by scenario and contestant. */
function userTimeTable(scenarios: readonly ScenarioResult[]): string[] {
  const rows = scenarios.filter(({name}) => USER_TIME_SCENARIOS.includes(name)).map((scenario): Row => [scenario.title, ...USER_TIME_CONTESTANTS.map(name => {
    const contestant = scenario.contestants.find(other => other.name === name), column = scenario.columns.find(({key}) => key === 'userUs');
    const medianOf = (key: string): number | undefined => contestant === undefined || column === undefined ? undefined : spreadOfColumn(contestant, {...column, key})?.median;
    const user = medianOf('userUs'), all = medianOf('cpuUs');
    return column === undefined || user === undefined || all === undefined ? '' : `${formatValue(user, column.unit)} + ${formatValue(all - user, column.unit)}`;
  })]);
  return rows.length === 0 ? [] : markdownTable([['', ...USER_TIME_CONTESTANTS], ...rows]);
}

/** Parts of documents, by name. `folder` leads from the document to the results, with a slash at its end. */
export type Parts = Readonly<Record<string, (folder: string) => readonly string[]>>;

export function resultParts(newest: Newest): Parts {
  const headlines = new Map(HEADLINES.flatMap(name => [...newest].filter(([scenario]) => scenario.name === name)));
  const source = (folder: string): string => datesOf(newest).map(date => linkTo(date, folder)).join(' and ');
  return {
    'bench-overview': folder => [
      `![Requests per CPU second, Torwart divided by its peers](${folder}${OVERVIEW}.svg)`, '',
      ...ratioTable(headlines, HEADLINE_PEERS, null), '',
      `From ${source(folder)}: the median of the rounds, with the smallest and the largest. Above 1, Torwart is the better one.`,
    ],
    'bench-equal': () => ratioTable(newest, EQUAL_PEERS, null),
    'bench-bare': () => ratioTable(newest, BARE_PEERS, null),
    'bench-p99': () => ratioTable(newest, EQUAL_PEERS, 'p99Us'),
    'bench-user': () => userTimeTable([...newest.keys()]),
    'bench-source': folder => [`From ${source(folder)}.`],
  };
}

/** The plot that goes with the above. */
export function drawNewest(newest: Newest): readonly [file: string, text: string] {
  return [`${OVERVIEW}.svg`, drawOverview([...newest.keys()])];
}

export function stageParts(results: StageResults, date: string): Parts {
  return {'bench-stages': folder => [...stageTable(results), '', `From [${date}-stages.json](${folder}${date}-stages.json).`]};
}

/** Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`. */
export function publish(document: string, folder: string, parts: Parts): string {
  return document.replaceAll(/<!-- (bench-\w+) -->\n[^]*?<!-- \/\1 -->/g, (_whole, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part ${name} to publish`);
    return [`<!-- ${name} -->`, ...part(folder), `<!-- /${name} -->`].join('\n');
  });
}
