/**
 * A document → its value, or, where something in it is wrong, the value of what is right. So whatever spans several sections can be
 * judged in the same round: an operator who mends what is printed is not met with more.
 *
 * What is wrong is left out, and so is what cannot be without it (a server without its address). A finding is only made where nothing
 * that it rests on was left out: it could be a mere consequence.
 */
import type {z} from 'zod';
import type {IssueParameters} from '#src/config/checks.ts';
import {type Issue, pathOfIssue, reportIssues, valueAt} from '#src/config/issues.ts';
import {type ConfigPath, formatPath} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';

/** How a value relates to the document that it was made of. */
export interface Placement {
  /** Lists are shorter where entries were left out: path in the value → path in the document. */
  readonly placeOf: (path: ConfigPath) => ConfigPath;
  /** Whether something at, below or around this path of the value was left out. */
  readonly isLost: (path: ConfigPath) => boolean;
}

export interface Parsed<T> extends Placement {
  /** Null where nothing is right. */
  readonly value: T | null;
}

export const WHOLE: Placement = {placeOf: (path) => path, isLost: () => false};

/** What stands for keys that entries of these lists cannot be without, so that the rest of the entry is judged. No finding is about them. */
const STAND_INS_OF_ENTRIES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  limits: {name: 'unknown', rate: '1/s'},
  login_guards: {name: 'unknown'},
  routes: {path: '/'},
  rules: {name: 'unknown'},
};

function standInsAt(place: ConfigPath): Readonly<Record<string, string>> {
  const [list = '', entry = ''] = place.slice(-2);
  return typeof entry === 'number' ? STAND_INS_OF_ENTRIES[list] ?? {} : {};
}

/** @param standIns values of the keys at the top without which there would be no value at all */
export function parsePartial<S extends z.ZodType>(schema: S, root: unknown, standIns: Readonly<Record<string, unknown>>, report: Report): Parsed<z.output<S>> {
  const parsed = schema.safeParse(root);
  if (parsed.success) return {...WHOLE, value: parsed.data};
  const {issues: all} = parsed.error;
  const wrong = all.filter((issue) => !isFinding(issue));
  // Next to wrong values, findings are made anew on what is left.
  const firm = wrong.length === 0 ? all : all.filter((issue) => needsOf(issue) === null);
  reportIssues(report, root, firm);
  let value: z.output<S> | null = null;
  // Runs where no value is wrong as such, whatever was found between values.
  const capturing = schema.check((context) => {
    value = context.value;
  });
  const said = new Set(firm.map((issue) => describe(issue, WHOLE)));
  const remainder = new Remainder(root, standIns);
  for (let issues: readonly Issue[] = all; remainder.lose(issues.filter((issue) => !isFinding(issue)));) {
    issues = capturing.safeParse(remainder.value).error?.issues ?? [];
    const fresh = issues.filter((issue) => needsOf(issue)?.every((need) => !remainder.isLost(need)) === true && !said.has(describe(issue, remainder)));
    for (const issue of fresh) said.add(describe(issue, remainder));
    reportIssues(report, root, fresh.map((issue) => ({...issue, path: [...remainder.placeOf(pathOfIssue(issue))]})));
  }
  if (!remainder.isEmpty && value === null) capturing.safeParse(remainder.value);
  return {value: remainder.isEmpty ? null : value, placeOf: (path) => remainder.placeOf(path), isLost: (path) => remainder.isLost(path)};
}

function describe(issue: Issue, placement: Placement): string {
  return `${formatPath(placement.placeOf(pathOfIssue(issue)))} ${JSON.stringify((issue as {params?: unknown}).params)}`;
}

/** Paths that the finding rests on; null where a value is wrong as such. */
function needsOf(issue: Issue): readonly ConfigPath[] | null {
  if (issue.code !== 'custom') return null;
  const {needs} = issue.params as unknown as IssueParameters;
  if (needs === undefined) return null;
  const path = pathOfIssue(issue);
  const section = path.slice(0, path.length - needs.depth);
  return needs.paths.map((need) => [...section, ...need]);
}

/** Bounds of lists are no reason to leave the list out. */
function isFinding(issue: Issue): boolean {
  return needsOf(issue) !== null || issue.code === 'too_small' || issue.code === 'too_big';
}

function isWithin(path: ConfigPath, outer: ConfigPath): boolean {
  return outer.length <= path.length && outer.every((step, index) => String(step) === String(path[index]));
}

/** What is left of a document. Paths in `#lost` and `#guessed` are those of the document. */
class Remainder implements Placement {
  value: unknown;
  readonly #root: unknown;
  readonly #standIns: Readonly<Record<string, unknown>>;
  /** By their JSON. */
  readonly #lost = new Map<string, ConfigPath>();
  /** Mappings with unknown keys: any key that is not there may be the one that was meant. */
  readonly #guessed: ConfigPath[] = [];
  /** Position in the document of each entry, for every list in `value`. */
  #positions = new Map<readonly unknown[], readonly number[]>();

  constructor(root: unknown, standIns: Readonly<Record<string, unknown>>) {
    this.#root = root;
    this.#standIns = standIns;
    this.value = root;
  }

  get isEmpty(): boolean {
    return this.#lost.has('[]');
  }

  placeOf(path: ConfigPath): ConfigPath {
    let value = this.value;
    return path.map((step) => {
      const place = Array.isArray(value) ? this.#positions.get(value)?.[Number(step)] ?? step : step;
      value = valueAt(value, [step]);
      return place;
    });
  }

  isLost(path: ConfigPath): boolean {
    const place = this.placeOf(path);
    return [...this.#lost.values()].some((lost) => isWithin(lost, place) || isWithin(place, lost))
      || this.#guessed.some((outer) => isWithin(place, outer) && place.length > outer.length && valueAt(this.#root, place.slice(0, outer.length + 1)) === undefined);
  }

  /** False where there was nothing to leave out, or nothing is left. */
  lose(issues: readonly Issue[]): boolean {
    const before = this.#lost.size;
    for (const issue of issues) {
      const path = pathOfIssue(issue);
      const place = this.placeOf(path);
      if (issue.code === 'unrecognized_keys') {
        this.#guessed.push(place);
        for (const key of issue.keys) this.#add([...place, key]);
      } else {
        this.#add(valueAt(this.value, path) !== undefined || this.#isReplaced(place) ? place : place.slice(0, -1));
      }
    }
    if (this.isEmpty || this.#lost.size === before) return false;
    this.#positions = new Map();
    this.value = {...this.#standIns, ...this.#copy(this.#root, []) as Readonly<Record<string, unknown>>};
    return true;
  }

  #add(place: ConfigPath): void {
    this.#lost.set(JSON.stringify(place), place);
  }

  #isReplaced(place: ConfigPath): boolean {
    const standIns = place.length === 1 ? this.#standIns : standInsAt(place.slice(0, -1));
    return Object.hasOwn(standIns, place.at(-1) ?? '');
  }

  #copy(value: unknown, path: ConfigPath): unknown {
    if (typeof value !== 'object' || value === null) return value;
    const kept = Object.entries(value).map(([step, inner]) => [step, inner, [...path, Array.isArray(value) ? Number(step) : step]] as const)
      .filter(([, , place]) => !this.#lost.has(JSON.stringify(place)));
    if (!Array.isArray(value)) {
      const missing = Object.entries(standInsAt(path)).filter(([key]) => this.#lost.has(JSON.stringify([...path, key])));
      return Object.fromEntries([...missing, ...kept.map(([step, inner, place]) => [step, this.#copy(inner, place)] as const)]);
    }
    const list = kept.map(([, inner, place]) => this.#copy(inner, place));
    this.#positions.set(list, kept.map(([step]) => Number(step)));
    return list;
  }
}
