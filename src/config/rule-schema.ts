/** Rules for rapid mitigation ("virtual patches"): the same section at the node, a customer, a site and a route. */
import {RE2JS} from 're2js';
import {z} from 'zod';
import {checked, checkNames, type Finding} from '#src/config/checks.ts';
import {choice, method, name, readText, scalar, section} from '#src/config/scalars.ts';
import type {RuleSnapshot} from '#src/config/snapshot.ts';

const PATTERN_CHARACTERS_MAX = 512;
/** Matching takes at most this many steps for each character: what a contrived pattern may cost every request. */
const PROGRAM_STEPS_MAX = 256;

function isPattern(text: string): boolean {
  if (text === '' || text.length > PATTERN_CHARACTERS_MAX || !text.isWellFormed()) return false;
  try {
    return RE2JS.compile(text).programSize() <= PROGRAM_STEPS_MAX;
  } catch {
    return false;
  }
}

/** Node's own expressions can take exponential time, which a client would choose: RE2 has no back-references and look-arounds, and never does. */
const pattern = scalar({
  type: 'pattern',
  allowed: `a regular expression in the syntax of RE2 of at most ${PATTERN_CHARACTERS_MAX} characters, which compiles to at most ${PROGRAM_STEPS_MAX} steps`,
  remedy: 'write for example "(?i)^/wp-login" in single quotes, without back-references, look-arounds and large repeats',
  json: {type: 'string', minLength: 1, maxLength: PATTERN_CHARACTERS_MAX},
  read: readText((text) => (isPattern(text) ? text : null)),
});

const headerName = scalar({
  type: 'field name',
  allowed: 'a lower-case field name of at most 256 characters',
  remedy: 'write it like x-api-version',
  json: {type: 'string', pattern: "^[!#$%&'*+\\-.^_`|~0-9a-z]{1,256}$"},
  read: readText((text) => (/^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/.test(text) ? text : null)),
});

const rule = checked(section({
  name: name.describe('Unique within the list; a field of the access log and a label of `torwart_rule_matches_total`.'),
  action: choice('deny', 'observe').prefault('deny').describe('`deny` answers 403; `observe` only logs and counts.'),
  methods: z.array(method).max(32).prefault([]).describe('Methods that the rule is for; none: all. `GET` stands for `HEAD`, too.'),
  path: pattern.optional().describe('Found anywhere in the path: as it is sent on, percent-decoded once and twice, with and without path parameters.'),
  query: pattern.optional().describe('Found anywhere in the query: as it is sent on, percent-decoded once and twice.'),
  headers: z.record(headerName, pattern).prefault({}).describe("Found anywhere in a field's value; `.*` asks only whether the field is there. All of them must be found."),
}), checkRule);

export const rulesSection = checked(z.array(rule).max(64), checkNames('rule')).prefault([]);

interface RuleFacts {
  readonly methods: readonly string[];
  readonly path?: string | undefined;
  readonly query?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

function checkRule({methods, path, query, headers}: RuleFacts): readonly Finding[] {
  if (methods.length > 0 || path !== undefined || query !== undefined || Object.keys(headers).length > 0) return [];
  return [{path: [], needs: [['methods'], ['path'], ['query'], ['headers']], found: 'a rule without a condition, which every request would match', allowed: 'at least one of methods, path, query and headers', remedy: 'add a condition'}];
}

export function compileRules(rules: z.output<typeof rulesSection>): readonly RuleSnapshot[] {
  return rules.map(({name: ruleName, action, methods, path, query, headers}) => ({
    name: ruleName, action, methods, path: path ?? null, query: query ?? null, headers: Object.entries(headers),
  }));
}
