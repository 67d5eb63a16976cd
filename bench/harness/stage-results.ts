/** What the micro-benchmarks found: plain data, and the table of it. Pure. */
import type {Machine} from './machine.ts';
import {markdownTable} from './report.ts';
import {spreadOf} from './statistics.ts';

export interface StageResult {
  readonly name: string;
  /** Nanoseconds an operation, one a run. */
  readonly samples: readonly number[];
}

export interface StageResults {
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly stages: readonly StageResult[];
}

export function formatStages({stages}: StageResults): string {
  const width = Math.max(...stages.map(({name}) => name.length));
  const rows = stages.map(({name, samples}) => {
    const {median, min, max} = spreadOf(samples);
    return `${name.padEnd(width)}  ${median.toFixed(0).padStart(6)} (${min.toFixed(0)} to ${max.toFixed(0)})`;
  });
  return [`${'stage'.padEnd(width)}  ns / operation: median (smallest to largest run)`, ...rows].join('\n');
}

export function stageTable({stages}: StageResults): string[] {
  return markdownTable([['stage', 'ns: median (smallest to largest run)'], ...stages.map(({name, samples}) => {
    const {median, min, max} = spreadOf(samples);
    return [name, `${median.toFixed(0)} (${min.toFixed(0)} to ${max.toFixed(0)})`];
  })]);
}
