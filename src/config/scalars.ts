/**
 * The values that keys of the configuration can have. Each one carries its type's name and JSON Schema for editors and the
 * reference, and says what is allowed and how to mend what is not.
 */
import {z} from 'zod';
import {isFieldValue, isToken} from '#src/http1/characters.ts';
import type {IssueParameters} from '#src/config/checks.ts';
import {describeValue} from '#src/config/problem.ts';
import {formatSize, parseDuration, parseRate, parseSize, type Rate} from '#src/config/units.ts';

export interface ScalarSpec<T> {
  /** Name of the type in the reference. */
  readonly type: string;
  readonly allowed: string;
  readonly remedy: string | ((value: unknown) => string);
  /** JSON Schema of what may be written. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Null where the value is not of this type. */
  readonly read: (value: unknown) => T | null;
  /** The value must not be repeated in an error: it may be a secret. */
  readonly secret?: boolean;
}

export function scalar<T>(spec: ScalarSpec<T>) {
  return z.unknown().transform((value, context): T => {
    const read = spec.read(value);
    if (read !== null) return read;
    const remedy = value === undefined ? 'add the key' : typeof spec.remedy === 'string' ? spec.remedy : spec.remedy(value);
    const found = spec.secret === true && typeof value === 'string' ? `${value.length} characters that are not repeated here` : describeValue(value);
    const params: IssueParameters = {found, allowed: spec.allowed, remedy, part: 'value'};
    context.issues.push({code: 'custom', input: value, params: {...params}});
    return z.NEVER;
  }).meta({...spec.json, title: spec.type});
}

/** Reads text only, so that a number or a list never passes for it. */
export function readText<T>(read: (text: string) => T | null): (value: unknown) => T | null {
  return (value) => (typeof value === 'string' ? read(value) : null);
}

/** A mapping with exactly these keys. */
export function section<S extends z.core.$ZodLooseShape>(shape: S) {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {error: (issue) => (issue.code === 'unrecognized_keys' ? keys : undefined)});
}

/** Name of the type of what `switchable` makes, by which the generator of the JSON Schemas knows it. */
export const SWITCHABLE_TYPE = 'boolean | mapping';

/** A section that may be left out: `true` stands for one with nothing but defaults in it, `false` for none. */
export function switchable<S extends z.ZodType>(inner: S) {
  return z.preprocess((value) => (value === true ? {} : value === false ? undefined : value), inner.optional()).optional().meta({title: SWITCHABLE_TYPE});
}

const DURATION_MS_MAX = 24 * 3_600_000;

export function duration(minMs = 1) {
  const inRange = (text: string): number | null => {
    const ms = parseDuration(text);
    return ms !== null && ms >= minMs && ms <= DURATION_MS_MAX ? ms : null;
  };
  return scalar({
    type: 'duration',
    allowed: `a whole number with its unit (ms, s, m or h), from ${minMs}ms to 24h`,
    remedy: 'write for example 250ms, 5s, 10m or 1h',
    json: {type: 'string', pattern: '^(0|[1-9]\\d*)(ms|s|m|h)$'},
    read: readText(inRange),
  });
}

const SIZE_BYTES_MAX = 1024 ** 4;

function describeSize(maxBytes: number, minBytes: number): ScalarSpec<number> {
  return {
    type: 'size',
    allowed: `a number of bytes ${minBytes === 0 ? '' : `from ${formatSize(minBytes)} `}up to ${formatSize(maxBytes)}, plain or with the unit KiB, MiB or GiB`,
    remedy: 'write for example 65536, 64KiB or 10MiB',
    json: {anyOf: [{type: 'integer', minimum: minBytes, maximum: maxBytes}, {type: 'string', pattern: '^(0|[1-9]\\d*)(KiB|MiB|GiB)?$'}]},
    read: (value) => {
      const bytes = typeof value === 'number' ? parseSize(String(value)) : typeof value === 'string' ? parseSize(value) : null;
      return bytes !== null && bytes >= minBytes && bytes <= maxBytes ? bytes : null;
    },
  };
}

export function size(maxBytes = SIZE_BYTES_MAX, minBytes = 0) {
  return scalar(describeSize(maxBytes, minBytes));
}

/** A size, or what fits the machine. */
export function sizeOrAuto(maxBytes: number, minBytes: number) {
  const spec = describeSize(maxBytes, minBytes);
  return scalar<'auto' | number>({
    ...spec,
    type: 'auto | size',
    allowed: `auto, or ${spec.allowed}`,
    json: {anyOf: [{const: 'auto'}, spec.json]},
    read: (value) => (value === 'auto' ? value : spec.read(value)),
  });
}

export const rate = scalar<Rate>({
  type: 'rate',
  allowed: 'a whole number from 1 to 9999999 per second, minute or hour',
  remedy: 'write for example 50/s, 600/m or 10/h',
  json: {type: 'string', pattern: '^[1-9]\\d{0,6}/(s|m|h)$'},
  read: readText(parseRate),
});

export function integer(min: number, max: number) {
  return scalar({
    type: 'integer',
    allowed: `a whole number from ${min} to ${max}`,
    remedy: 'write the number without quotes or unit',
    json: {type: 'integer', minimum: min, maximum: max},
    read: (value) => (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : null),
  });
}

export const flag = scalar({
  type: 'boolean',
  allowed: 'true or false',
  remedy: 'write true or false without quotes',
  json: {type: 'boolean'},
  read: (value) => (typeof value === 'boolean' ? value : null),
});

/** `strip_prefix: true`: a key whose presence is the statement. */
export const presence = scalar({
  type: 'true',
  allowed: 'true',
  remedy: 'write true, or leave the key out',
  json: {const: true},
  read: (value) => (value === true ? true : null),
});

export function choice<const T extends readonly (string | number)[]>(...values: T) {
  return scalar<T[number]>({
    type: values.join(' | '),
    allowed: `one of ${values.join(', ')}`,
    remedy: 'choose one of them',
    json: {enum: values},
    read: (value) => values.find((known) => known === value) ?? null,
  });
}

const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names become labels of metrics and fields of log lines. */
export const name = scalar({
  type: 'name',
  allowed: '1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends',
  remedy: 'write for example shop or blue-1; digits alone need quotes',
  json: {type: 'string', pattern: NAME_PATTERN.source},
  read: readText((text) => (NAME_PATTERN.test(text) ? text : null)),
});

export const filePath = scalar({
  type: 'path',
  allowed: 'the path of a file',
  remedy: 'write an absolute path, or one relative to this file',
  json: {type: 'string', minLength: 1},
  read: readText((text) => (text !== '' && text.length <= 4096 && !text.includes('\0') ? text : null)),
});

/** Not CONNECT and TRACE: they are refused whatever the configuration says. */
export const method = scalar({
  type: 'method',
  allowed: 'an HTTP method in upper case, but not CONNECT or TRACE',
  remedy: 'write for example GET or POST',
  json: {type: 'string', pattern: '^[A-Z-]{1,32}$'},
  read: readText((text) => (/^[A-Z-]{1,32}$/.test(text) && text !== 'CONNECT' && text !== 'TRACE' ? text : null)),
});

/** Printable ASCII without spaces at the ends (RFC 9110 §5.5 without obs-text, which nobody agrees on how to read). */
export const fieldValue = scalar({
  type: 'text',
  allowed: 'printable ASCII text of at most 4096 characters without line breaks and without spaces at its ends',
  remedy: 'put the value in quotes on one line',
  json: {type: 'string', maxLength: 4096, pattern: '^[\\t -~]*$'},
  read: readText((text) => (text.length <= 4096 && isFieldValue(text) && /^[\t -~]*$/.test(text) && text.trim() === text ? text : null)),
  secret: true,
});

const HOP_BY_HOP = [
  'connection', 'content-length', 'http2-settings', 'keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
  'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'x-request-id',
] as const;

/** What Torwart itself decides: framing, the connection, and who the client is. */
const OWNED: {readonly [D in 'request' | 'response']: ReadonlySet<string>} = {
  request: new Set([...HOP_BY_HOP, 'expect', 'forwarded', 'host', 'proxy', 'x-real-ip']),
  response: new Set(HOP_BY_HOP),
};

function isOwned(direction: 'request' | 'response', text: string): boolean {
  return OWNED[direction].has(text) || (direction === 'request' && text.startsWith('x-forwarded-'));
}

function readFieldName(direction: 'request' | 'response', text: string): string | null {
  if (!isToken(text) || text.length > 256 || text !== text.toLowerCase() || isOwned(direction, text)) return null;
  // A CGI environment folds both into `-`: such a field would pass for another one.
  return direction === 'request' && /[_.]/.test(text) ? null : text;
}

export function fieldName(direction: 'request' | 'response') {
  return scalar({
    type: 'field name',
    allowed: direction === 'request'
      ? 'a lower-case field name without `_` and `.` that Torwart does not set itself'
      : 'a lower-case field name that Torwart does not set itself',
    remedy: (value) => (typeof value === 'string' && isOwned(direction, value.toLowerCase())
      ? 'remove it: Torwart alone decides about framing, the connection and who the client is'
      : 'write it like x-frame-options'),
    json: {type: 'string', pattern: direction === 'request' ? "^[!#$%&'*+\\-^`|~0-9a-z]+$" : "^[!#$%&'*+\\-.^_`|~0-9a-z]+$"},
    read: readText((text) => readFieldName(direction, text)),
  });
}

export const fieldOrCookieName = scalar({
  type: 'text',
  allowed: 'the name of a header or cookie: at most 256 letters, digits and !#$%&\'*+-.^_`|~',
  remedy: 'write for example session',
  json: {type: 'string', pattern: "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]{1,256}$"},
  read: readText((text) => (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/.test(text) ? text : null)),
});
