/** Collects what is said about one file. */
import type {ConfigDocument, Locate} from '#src/config/document.ts';
import {type Complaint, type ConfigPath, formatPath, type Problem} from '#src/config/problem.ts';

export interface Report {
  readonly file: string;
  readonly problems: Problem[];
  readonly warnings: Problem[];
  problem(path: ConfigPath, complaint: Complaint, part?: 'key' | 'value'): void;
  warning(path: ConfigPath, complaint: Complaint): void;
}

export function createReport(file: string, locate: Locate): Report {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const place = (path: ConfigPath, complaint: Complaint, part: 'key' | 'value'): Problem => {
    const {found, allowed, remedy} = complaint;
    return {file, ...locate(path, part), key: formatPath(path), found, allowed, remedy};
  };
  return {
    file, problems, warnings,
    problem: (path, complaint, part = 'value') => void problems.push(place(path, complaint, part)),
    warning: (path, complaint) => void warnings.push(place(path, complaint, 'value')),
  };
}

/** The same report, for what was made of only a part of the document: warnings could be mere consequences. */
export function reportOnPart(report: Report, placeOf: (path: ConfigPath) => ConfigPath): Report {
  return {...report, problem: (path, complaint, part) => report.problem(placeOf(path), complaint, part), warning: () => undefined};
}

/** A report that begins with what is wrong with the syntax of the document. */
export function reportOn(document: ConfigDocument): Report {
  const report = createReport(document.file, document.locate);
  for (const problem of document.syntaxProblems) report.problems.push({file: document.file, key: '', ...problem});
  return report;
}

/** A report on a file whose text could not even be had. */
export function reportUnreadable(file: string, reason: string): Report {
  const report = createReport(file, () => ({line: 1, column: 1}));
  report.problem([], {found: reason, allowed: 'a readable UTF-8 text file of at most 1 MiB', remedy: 'correct the path or the permissions of the file'});
  return report;
}
