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
  /** ISO time of its start, in whole seconds. */
  readonly time: string;
  readonly settings: Settings;
  readonly columns: readonly Column[];
  /** The first is the subject. */
  readonly contestants: readonly ContestantResult[];
}

/** What runs must have in common to stand in one file. */
export interface Setup {
  readonly machine: Machine;
  /** By the name of the program. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Results extends Setup {
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

/** Why the two must not stand in one file; null where they may. What only one of them has is no difference. */
export function findDifference(saved: Setup, now: Setup): string | null {
  const differing = Object.keys(now.versions).find(name => saved.versions[name] !== undefined && saved.versions[name] !== now.versions[name]);
  if (differing !== undefined) return `${differing} was ${saved.versions[differing]} and is ${now.versions[differing]}`;
  const machines = [saved.machine, now.machine].map(machine => JSON.stringify(machine));
  return machines[0] === machines[1] ? null : `the machine was ${machines[0]} and is ${machines[1]}`;
}

/** The saved results with the new ones in the place of the scenarios that were measured anew; `order` has the names of all scenarios. */
export function mergeResults(saved: Results, now: Results, order: readonly string[]): Results {
  const byName = new Map([...saved.scenarios, ...now.scenarios].map(scenario => [scenario.name, scenario]));
  const versions = {...saved.versions, ...now.versions};
  return {
    machine: now.machine, versions,
    missing: Object.fromEntries(Object.entries({...saved.missing, ...now.missing}).filter(([name]) => versions[name] === undefined)),
    scenarios: [...byName.values()].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name)),
  };
}
