/**
 * Rules for rapid mitigation: does this request look like an attack on a hole that the application still has?
 *
 * An attacker writes one request in many ways, and the application undoes them: so what is compared is the path and the query as they
 * are sent on, percent-decoded once and (for applications that decode once too often) twice, a path without its parameters, too, and a query with
 * its plus signs and with spaces in their place.
 */
import {RE2JS} from 're2js';
import type {RuleSnapshot} from '#src/config/snapshot.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {decodeForm, decodePercent, formsOf} from '#src/policy/decodings.ts';
import {stripPathParameters} from '#src/policy/path-table.ts';

interface HeaderCondition {
  /** In lower case. */
  readonly name: string;
  readonly pattern: RE2JS;
}

export interface CompiledRule {
  readonly name: string;
  readonly action: RuleSnapshot['action'];
  /** Null: every method. */
  readonly methods: ReadonlySet<string> | null;
  readonly path: RE2JS | null;
  readonly query: RE2JS | null;
  readonly headers: readonly HeaderCondition[];
}

/** The rules of one level. */
export interface RuleSet {
  /** The customer's name, or empty for the node. */
  readonly customer: string;
  readonly rules: readonly CompiledRule[];
}

/** Null where there are none. */
export function compileRuleSet(customer: string, rules: readonly RuleSnapshot[]): RuleSet | null {
  return rules.length === 0 ? null : {customer, rules: rules.map(compileRule)};
}

function compileRule({name, action, methods, path, query, headers}: RuleSnapshot): CompiledRule {
  return {
    name, action,
    methods: methods.length === 0 ? null : new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods),
    path: path === null ? null : RE2JS.compile(path),
    query: query === null ? null : RE2JS.compile(query),
    headers: headers.map(([headerName, pattern]) => ({name: headerName, pattern: RE2JS.compile(pattern)})),
  };
}

/** A request in the forms that rules are compared with, made when a rule asks for them: a query of escapes has many. */
export class RuleSubject {
  readonly method: string;
  readonly fields: FieldBlock;
  readonly #path: string;
  readonly #query: string;
  #paths: readonly string[] | null = null;
  #queries: readonly string[] | null = null;

  /** @param target normalised */
  constructor(method: string, target: string, fields: FieldBlock) {
    const mark = target.indexOf('?');
    this.method = method;
    this.fields = fields;
    this.#path = mark < 0 ? target : target.slice(0, mark);
    this.#query = mark < 0 ? '' : target.slice(mark + 1);
  }

  get paths(): readonly string[] {
    return this.#paths ??= withoutParameters([this.#path]).flatMap((text) => withoutParameters(formsOf(text, [decodePercent])));
  }

  get queries(): readonly string[] {
    return this.#queries ??= formsOf(this.#query, [decodePercent, decodeForm]);
  }
}

/** Every condition of the rule holds. */
export function matchesRule(rule: CompiledRule, subject: RuleSubject): boolean {
  return (rule.methods === null || rule.methods.has(subject.method))
    && (rule.path === null || testAny(rule.path, subject.paths))
    && rule.headers.every(({name, pattern}) => testField(subject.fields, name, pattern))
    && (rule.query === null || testAny(rule.query, subject.queries));
}

function testAny(pattern: RE2JS, texts: readonly string[]): boolean {
  return texts.some((text) => pattern.test(text));
}

/** Lines of one name are compared one by one, and joined as the application may read them (RFC 9110 §5.3). */
function testField(fields: FieldBlock, name: string, pattern: RE2JS): boolean {
  const values: string[] = [];
  for (let i = 0; i < fields.count; i++) {
    if (fields.name(i).toLowerCase() === name) values.push(fields.value(i));
  }
  return testAny(pattern, values) || (values.length > 1 && pattern.test(values.join(', ')));
}

/** The paths, and what they are without parameters. */
function withoutParameters(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => (path.includes(';') ? [path, stripPathParameters(path)] : [path]));
}
