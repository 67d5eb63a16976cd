/** Checks of a whole section, in the schema: they run on what is right of it (see `parse-partial.ts`), whatever is wrong elsewhere. */
import type {z} from 'zod';
import {type Complaint, type ConfigPath, quote} from '#src/config/problem.ts';

/** Parameters of the issues that our own checks raise; `issues.ts` makes problems of them. */
export interface IssueParameters extends Complaint {
  readonly part: 'key' | 'value';
  /** Of findings between values; there is none where a value is wrong as such. */
  readonly needs?: {
    /** From the section that was checked. */
    readonly paths: readonly ConfigPath[];
    /** Steps from that section to what the finding is about. */
    readonly depth: number;
  };
}

export interface Finding extends Complaint {
  /** From the section that is checked. */
  readonly path: ConfigPath;
  /** Where the problem is shown; the value by default. */
  readonly part?: 'key' | 'value';
  /**
   * What must be right for this to be more than a consequence, from the section that is checked. Of what is there, nothing; of what is
   * missing or has its default, that nothing wrong was left out in its place.
   */
  readonly needs: readonly ConfigPath[];
}

export function checked<S extends z.ZodType>(schema: S, check: (value: z.output<S>) => readonly Finding[]): S {
  return schema.check((context) => {
    for (const {path, found, allowed, remedy, part = 'value', needs} of check(context.value)) {
      const params: IssueParameters = {found, allowed, remedy, part, needs: {paths: needs, depth: path.length}};
      // The values are right as such, so the checks of what is around this section can run, too.
      context.issues.push({code: 'custom', input: context.value, path: [...path], params: {...params}, continue: true});
    }
  });
}

export interface Occurrence {
  readonly text: string;
  /** From the section that is checked. */
  readonly path: ConfigPath;
}

/** Every occurrence but the first. `what` continues "found": for example `the name of another listener`. */
export function findRepeated(occurrences: readonly Occurrence[], what: string): readonly Finding[] {
  const seen = new Map<string, ConfigPath>();
  return occurrences.flatMap(({text, path}) => {
    const first = seen.get(text);
    if (first === undefined) {
      seen.set(text, path);
      return [];
    }
    return [{path, needs: [first, path], found: `${quote(text)}, ${what}`, allowed: 'each once', remedy: 'remove or change one of the two'}];
  });
}

/** For lists whose entries have names of their own. */
export function checkNames(what: string): (entries: readonly {readonly name: string}[]) => readonly Finding[] {
  return (entries) => findRepeated(entries.map(({name}, index) => ({text: name, path: [index, 'name']})), `the name of another ${what}`);
}
