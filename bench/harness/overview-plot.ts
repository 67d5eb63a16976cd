/** One plot of all scenarios: how Torwart stands to each peer, on an axis of ratios. Pure. */
import {ratioOfColumn, type ScenarioResult} from './results.ts';
import type {Spread} from './statistics.ts';
import {svgDocument, svgText} from './svg.ts';

/** In the order of their marks in a row. */
const MARKS = [
  {peer: 'nginx', kind: 'equal', label: 'nginx', shape: 'circle'},
  {peer: 'haproxy', kind: 'second', label: 'HAProxy', shape: 'diamond'},
  {peer: 'http-proxy-3', kind: 'bare', label: 'http-proxy-3 (bare)', shape: 'square'},
] as const;
type Mark = typeof MARKS[number];

const WIDTH = 840, LEFT = 322, AXIS = 326, NUMBERS = LEFT + AXIS + 14, NUMBER = 56, ROW = 30, LANE = 8, HEAD = 88, BOTTOM = 14;
/** What lies outside is drawn at the edge; its number is beside it. */
const RATIO_MIN = 0.25, RATIO_MAX = 8;
const TICKS = [0.25, 0.5, 1, 2, 4, 8] as const;
/** The overview is about this column: what a request costs. */
const COLUMN_KEY = 'perCpuSecond';

function xOf(ratio: number): number {
  const bounded = Math.min(RATIO_MAX, Math.max(RATIO_MIN, ratio));
  return LEFT + AXIS * Math.log(bounded / RATIO_MIN) / Math.log(RATIO_MAX / RATIO_MIN);
}

function drawShape({shape, kind}: Pick<Mark, 'shape' | 'kind'>, x: number, y: number): string {
  if (shape === 'circle') return `<circle class="${kind}" cx="${x.toFixed(1)}" cy="${y}" r="4"/>`;
  if (shape === 'square') return `<rect class="${kind}" x="${(x - 3.5).toFixed(1)}" y="${y - 3.5}" width="7" height="7"/>`;
  return `<path class="${kind}" d="M${x.toFixed(1)} ${y - 5}l5 5l-5 5l-5 -5z"/>`;
}

function drawMark(mark: Mark, index: number, {median, min, max}: Spread, middle: number): string[] {
  const y = middle + (index - 1) * LANE;
  return [
    `<path class="${mark.kind}-line" d="M${xOf(min).toFixed(1)} ${y}H${xOf(max).toFixed(1)}" stroke-width="1.5"/>`,
    drawShape(mark, xOf(median), y),
    svgText(NUMBERS + (index + 1) * NUMBER - 8, middle + 4, median.toFixed(2), {anchor: 'end', className: mark.kind === 'bare' ? 'muted' : mark.kind}),
  ];
}

function ratiosOf(scenario: ScenarioResult): (Spread | null)[] {
  const [subject] = scenario.contestants, column = scenario.columns.find(({key}) => key === COLUMN_KEY);
  return MARKS.map(({peer}) => {
    const other = scenario.contestants.find(({name}) => name === peer || name === `${peer}-bare`);
    return subject === undefined || column === undefined || other === undefined ? null : ratioOfColumn(subject, other, column);
  });
}

function drawRow(scenario: ScenarioResult, top: number): string[] {
  const middle = top + ROW / 2;
  return [
    `<path class="grid" d="M16 ${top}H${WIDTH - 16}"/>`,
    svgText(LEFT - 12, middle + 4, scenario.title, {anchor: 'end'}),
    ...MARKS.flatMap((mark, index) => {
      const ratio = ratiosOf(scenario)[index] ?? null;
      return ratio === null ? [] : drawMark(mark, index, ratio, middle);
    }),
  ];
}

function drawHead(bottom: number): string[] {
  let x = 16;
  const legend = MARKS.flatMap(({label, shape, kind}) => {
    const at = x;
    x += 34 + label.length * 6.6;
    return [drawShape({shape, kind}, at + 5, 44), svgText(at + 15, 48, label, {className: 'muted'})];
  });
  return [
    svgText(16, 26, 'Requests per CPU second: Torwart ÷ peer. Right of 1, Torwart is the better one', {isBold: true}),
    ...legend,
    ...MARKS.map((mark, index) => drawShape(mark, NUMBERS + (index + 1) * NUMBER - 22, HEAD - 14)),
    ...TICKS.flatMap(tick => [
      `<path class="${tick === 1 ? 'spread' : 'grid'}" d="M${xOf(tick).toFixed(1)} ${HEAD - 4}V${bottom}"/>`,
      svgText(xOf(tick), HEAD - 10, String(tick), {anchor: 'middle', className: 'muted'}),
    ]),
  ];
}

/** Of the scenarios that measure what a request costs, against at least one of the peers. */
export function drawOverview(scenarios: readonly ScenarioResult[]): string {
  const rows = scenarios.filter(scenario => ratiosOf(scenario).some(ratio => ratio !== null));
  const bottom = HEAD + rows.length * ROW;
  return svgDocument(WIDTH, bottom + BOTTOM, [...drawHead(bottom), ...rows.flatMap((scenario, index) => drawRow(scenario, HEAD + index * ROW))]);
}
