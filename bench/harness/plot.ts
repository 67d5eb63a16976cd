/** A plot of one group of scenarios as SVG: for each column that says who is better a bar a contestant, with its spread over the rounds. Pure, no library. */
import {spreadOfColumn, type ScenarioResult} from './results.ts';
import {formatValue} from './report.ts';
import type {Column} from '../scenarios/scenario.ts';
import type {Spread} from './statistics.ts';
import {svgDocument, svgText} from './svg.ts';

const WIDTH = 760, LEFT = 116, RIGHT = 92, ROW = 22, BAR = 13, TITLE = 28, HEAD = 22, BOTTOM = 14, LEGEND = 30;

type Kind = 'subject' | 'equal' | 'bare';
const LEGENDS: Readonly<Record<Kind, string>> = {subject: 'Torwart', equal: 'peer with equal features', bare: 'peer that lacks some'};

interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly spread: Spread;
}

function barsOf(scenario: ScenarioResult, column: Column): Bar[] {
  return scenario.contestants.flatMap((contestant, index) => {
    const spread = spreadOfColumn(contestant, column);
    return spread === null ? [] : [{name: contestant.name, kind: index === 0 ? 'subject' : contestant.lacks.length === 0 ? 'equal' : 'bare', spread}];
  });
}

function drawBar({name, kind, spread}: Bar, y: number, scale: number, column: Column): string[] {
  const x = (value: number): number => LEFT + Math.max(0, value) * scale, middle = y + BAR / 2;
  const [from, to] = [x(spread.min).toFixed(1), x(spread.max).toFixed(1)];
  return [
    svgText(LEFT - 8, y + 11, name, {anchor: 'end', isBold: kind === 'subject'}),
    `<rect class="${kind}" x="${LEFT}" y="${y}" width="${(x(spread.median) - LEFT).toFixed(1)}" height="${BAR}" rx="2"/>`,
    `<path class="spread" d="M${from} ${middle}H${to}M${from} ${middle - 3}v6M${to} ${middle - 3}v6" fill="none"/>`,
    svgText(Math.max(x(spread.max), x(spread.median)) + 8, y + 11, formatValue(spread.median, column.unit), {isBold: kind === 'subject'}),
  ];
}

interface Drawn {
  readonly parts: readonly string[];
  readonly height: number;
}

/** What draws one item below the other. */
function stack<T>(items: readonly T[], top: number, draw: (item: T, top: number) => Drawn): Drawn {
  const parts: string[] = [];
  let height = 0;
  for (const item of items) {
    const drawn = draw(item, top + height);
    parts.push(...drawn.parts);
    height += drawn.height;
  }
  return {parts, height};
}

function drawColumn(scenario: ScenarioResult, column: Column, top: number): Drawn {
  const bars = barsOf(scenario, column);
  const largest = Math.max(0, ...bars.map(bar => bar.spread.max));
  const scale = largest > 0 ? (WIDTH - LEFT - RIGHT) / largest : 0;
  const height = HEAD + bars.length * ROW + BOTTOM;
  return {
    height,
    parts: [
      svgText(16, top + 11, `${column.label}, ${column.better} is better`, {className: 'muted'}),
      `<path class="grid" d="M${LEFT} ${top + HEAD - 2}V${top + height - BOTTOM}"/>`,
      ...bars.flatMap((bar, index) => drawBar(bar, top + HEAD + index * ROW, scale, column)),
    ],
  };
}

function drawScenario(scenario: ScenarioResult, top: number): Drawn {
  const columns = scenario.columns.filter(({better}) => better !== undefined);
  const panels = stack(columns, top + TITLE, (column, y) => drawColumn(scenario, column, y));
  return {parts: [svgText(16, top + 22, scenario.title, {isBold: true}), ...panels.parts], height: TITLE + panels.height};
}

function drawLegend(top: number): string[] {
  let x = LEFT;
  return (['subject', 'equal', 'bare'] as const).flatMap(kind => {
    const at = x;
    x += 24 + LEGENDS[kind].length * 6.6 + 14;
    return [`<rect class="${kind}" x="${at.toFixed(1)}" y="${top + 4}" width="11" height="11" rx="2"/>`, svgText(at + 17, top + 14, LEGENDS[kind], {className: 'muted'})];
  });
}

export function drawPlot(scenarios: readonly ScenarioResult[]): string {
  const {parts, height} = stack(scenarios, 0, drawScenario);
  return svgDocument(WIDTH, height + LEGEND, [...parts, ...drawLegend(height)]);
}
