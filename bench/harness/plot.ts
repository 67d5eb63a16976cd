/** A plot of one group of scenarios as SVG: a bar a contestant with its spread over the rounds. Pure, no library. */
import {spreadOfColumn, type ContestantResult, type ScenarioResult} from './results.ts';
import {formatValue} from './report.ts';
import type {Column} from '../scenarios/scenario.ts';
import type {Spread} from './statistics.ts';

const WIDTH = 760, LEFT = 120, RIGHT = 110, ROW = 22, BAR = 14, HEAD = 34, BOTTOM = 12;
const COLORS = {subject: '#0b6e4f', equal: '#4a6fa5', bare: '#b8b8b8'} as const;

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

interface Bar {
  readonly name: string;
  readonly color: string;
  readonly spread: Spread;
}

function barsOf(scenario: ScenarioResult, column: Column): Bar[] {
  const colorOf = (contestant: ContestantResult, index: number): string =>
    index === 0 ? COLORS.subject : contestant.lacks.length === 0 ? COLORS.equal : COLORS.bare;
  return scenario.contestants.flatMap((contestant, index) => {
    const spread = spreadOfColumn(contestant, column);
    return spread === null ? [] : [{name: contestant.name, color: colorOf(contestant, index), spread}];
  });
}

function drawBar({name, color, spread}: Bar, y: number, scale: number, column: Column): string[] {
  const x = (value: number): string => (LEFT + Math.max(0, value) * scale).toFixed(1);
  const middle = y + BAR / 2, length = Math.max(0, spread.median) * scale;
  return [
    `<text x="${LEFT - 8}" y="${y + 11}" text-anchor="end">${escapeXml(name)}</text>`,
    `<rect x="${LEFT}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" fill="${color}"/>`,
    `<path d="M${x(spread.min)} ${middle}H${x(spread.max)}" stroke="#222" stroke-width="1.5"/>`,
    `<text x="${(Number(x(Math.max(spread.max, spread.median))) + 6).toFixed(1)}" y="${y + 11}">${escapeXml(formatValue(spread.median, column.unit))}</text>`,
  ];
}

function drawScenario(scenario: ScenarioResult, top: number): {parts: string[]; height: number} {
  const [column] = scenario.columns;
  if (column === undefined) return {parts: [], height: 0};
  const bars = barsOf(scenario, column);
  const largest = Math.max(0, ...bars.map(bar => bar.spread.max));
  const scale = largest > 0 ? (WIDTH - LEFT - RIGHT) / largest : 0;
  const better = column.better === undefined ? '' : `, ${column.better} is better`;
  const title = `<text x="8" y="${top + 20}" font-weight="bold">${escapeXml(scenario.title)}: ${escapeXml(column.label)}${better}</text>`;
  const parts = bars.flatMap((bar, index) => drawBar(bar, top + HEAD + index * ROW, scale, column));
  return {parts: [title, ...parts], height: HEAD + bars.length * ROW + BOTTOM};
}

export function drawPlot(scenarios: readonly ScenarioResult[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const scenario of scenarios) {
    const drawn = drawScenario(scenario, top);
    parts.push(...drawn.parts);
    top += drawn.height;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}
