/** What a run found: plain data, which is what `--json` prints and `--save` keeps. */
import type {Column, Sample} from '../scenarios/scenario.ts';
import type {Machine} from './machine.ts';
import {pairedRatio, spreadOf, type Spread} from './statistics.ts';
import type {Settings} from './workplace.ts';

export interface ContestantResult {
  readonly name: string;
  /** Empty: all features that the subject has. */
  readonly lacks: readonly string[];
  /** One a round. Empty where it failed. */
  readonly samples: readonly Sample[];
  /** Why there are no samples; null where there are. */
  readonly failure: string | null;
}

export interface ScenarioResult {
  readonly name: string;
  readonly group: string;
  readonly title: string;
  readonly columns: readonly Column[];
  /** The first is the subject. */
  readonly contestants: readonly ContestantResult[];
}

export interface Results {
  /** ISO time of the start, in whole seconds. */
  readonly time: string;
  readonly machine: Machine;
  readonly settings: Settings;
  /** By the name of the program. */
  readonly versions: Readonly<Record<string, string>>;
  /** What could not take part, with the way to get it. */
  readonly missing: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioResult[];
}

export function valuesOf(contestant: ContestantResult, key: string): number[] {
  return contestant.samples.map(sample => sample[key] ?? NaN);
}

/** Null where the contestant has no sample. */
export function spreadOfColumn(contestant: ContestantResult, column: Column): Spread | null {
  return contestant.samples.length === 0 ? null : spreadOf(valuesOf(contestant, column.key));
}

/** How much better the subject is than the peer in this column; null where that cannot be said. */
export function ratioOfColumn(subject: ContestantResult, peer: ContestantResult, column: Column): Spread | null {
  if (column.better === undefined || peer === subject) return null;
  return pairedRatio(valuesOf(subject, column.key), valuesOf(peer, column.key), column.better);
}

/** A table with holes must not look like a success. */
export function hasFailure(results: Results): boolean {
  return results.scenarios.some(({contestants}) => contestants.some(({failure}) => failure !== null));
}
