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
import {stripPathParameters} from '#src/policy/path-table.ts';

const DECODINGS = 2;
/** `%u0024` is a letter to ASP. */
const ESCAPE = /%(?:u([0-9A-Fa-f]{4})|([0-9A-Fa-f]{2}))/g;
/** Characters in more bytes than they need: never valid (RFC 3629 §3), but careless decoders read them. */
const OVERLONG = /[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}/g;

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

/** A request in the forms that rules are compared with. */
export interface RuleSubject {
  readonly method: string;
  readonly paths: readonly string[];
  readonly queries: readonly string[];
  readonly fields: FieldBlock;
}

/** @param target normalised */
export function createRuleSubject(method: string, target: string, fields: FieldBlock): RuleSubject {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const paths = withoutParameters([path]).flatMap((text) => withoutParameters(formsOf(text, [decodePercent])));
  return {method, paths, queries: mark < 0 ? [''] : formsOf(target.slice(mark + 1), [decodePercent, decodeForm]), fields};
}

/** Every condition of the rule holds. */
export function matchesRule(rule: CompiledRule, subject: RuleSubject): boolean {
  return (rule.methods === null || rule.methods.has(subject.method))
    && (rule.path === null || testAny(rule.path, subject.paths))
    && (rule.query === null || testAny(rule.query, subject.queries))
    && rule.headers.every(({name, pattern}) => testField(subject.fields, name, pattern));
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

/** The text, and all that it can become. */
function formsOf(text: string, decodings: readonly ((text: string) => string)[]): readonly string[] {
  const forms = new Set([text]);
  for (let i = 0, last = [text]; i < DECODINGS; i++) {
    last = last.flatMap((form) => decodings.map((decode) => decode(form)));
    for (const form of last) forms.add(form);
  }
  return Array.from(forms);
}

/** Escapes to bytes, and bytes to text as UTF-8: what is no escape, or no UTF-8, harms nothing here. */
function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = toUtf8(text).replace(ESCAPE, (_escape, unit: string | undefined, byte: string) => (
    unit === undefined ? String.fromCharCode(Number.parseInt(byte, 16)) : toUtf8(String.fromCharCode(Number.parseInt(unit, 16)))
  ));
  return Buffer.from(bytes.replace(OVERLONG, shorten), 'latin1').toString('utf8');
}

/** The bytes as text of as many letters. */
function toUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The first byte of such a character has one bit of it at most. */
function shorten(bytes: string): string {
  const code = Array.from(bytes, (byte) => byte.charCodeAt(0)).reduce((sum, byte, index) => (index === 0 ? byte & 1 : (sum << 6) | (byte & 0x3f)), 0);
  return toUtf8(String.fromCharCode(code));
}

function decodeForm(text: string): string {
  return decodePercent(text.replaceAll('+', ' '));
}
