/** The command line of the bench. */
import {parseArgs} from 'node:util';
import {FULL_SETTINGS, SMOKE_SETTINGS, type Settings} from './workplace.ts';

export interface Options {
  readonly scenarios: readonly string[];
  /** Empty: all. */
  readonly peers: readonly string[];
  readonly settings: Settings;
  readonly smoke: boolean;
  readonly json: boolean;
  readonly list: boolean;
  readonly save: boolean;
  readonly help: boolean;
  /** What is not an option. */
  readonly rest: readonly string[];
}

export const OPTIONS_HELP = `  --scenario NAME   a scenario or a group; may be repeated (default: all)
  --peer NAME       a peer, or all variants of a program; may be repeated (default: all that are installed)
  --seconds N       length of a sample (default: ${FULL_SETTINGS.seconds})
  --rounds N        samples of each contestant (default: ${FULL_SETTINGS.rounds})
  --smoke           half a minute: shows that the bench works, measures nothing
  --json            print the results as JSON
  --save            write bench/results/<date>.md with plots, beside the scenarios that the file of today has already
  --list            print scenarios and peers
  --help            print this`;

const SECONDS_MAX = 600, ROUNDS_MAX = 100;

/** A whole number, because wrk takes no others. */
function parseCount(name: string, text: string | undefined, fallback: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${name} ${text}: a whole number from 1 to ${max} is needed`);
  return value;
}

/** Throws for what is not understood. */
export function parseOptions(args: readonly string[]): Options {
  const {values, positionals} = parseArgs({
    args: [...args], allowPositionals: true, strict: true,
    options: {
      scenario: {type: 'string', multiple: true}, peer: {type: 'string', multiple: true}, seconds: {type: 'string'}, rounds: {type: 'string'},
      smoke: {type: 'boolean'}, json: {type: 'boolean'}, save: {type: 'boolean'}, list: {type: 'boolean'}, help: {type: 'boolean'},
    },
  });
  if (values.smoke === true && values.save === true) throw new Error('--smoke measures nothing that is worth to --save');
  const base = values.smoke === true ? SMOKE_SETTINGS : FULL_SETTINGS;
  return {
    scenarios: values.scenario ?? [], peers: values.peer ?? [], rest: positionals,
    settings: {
      ...base, seconds: parseCount('seconds', values.seconds, base.seconds, SECONDS_MAX), rounds: parseCount('rounds', values.rounds, base.rounds, ROUNDS_MAX),
    },
    smoke: values.smoke === true, json: values.json === true, save: values.save === true, list: values.list === true, help: values.help === true,
  };
}
