/** Everything that is generated from the schemas: JSON Schemas for editors, and the reference for people. */
import {z} from 'zod';
import {customerSchema} from '#src/config/customer-schema.ts';
import {nodeSchema} from '#src/config/node-schema.ts';
import {REFERENCE_INTRODUCTION} from '#src/config/reference-introduction.ts';
import {SWITCHABLE_TYPE} from '#src/config/scalars.ts';

/** The part of JSON Schema that the schemas use. */
interface JsonSchema {
  readonly title?: string;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
}

/** Text of every generated file by its path in the repository. */
export function generateFiles(): ReadonlyMap<string, string> {
  const node = describeSchema(nodeSchema, 'Torwart: the node file');
  const customer = describeSchema(customerSchema, 'Torwart: a customer file');
  return new Map([
    ['config/schema/node.schema.json', toText(node)],
    ['config/schema/customer.schema.json', toText(customer)],
    ['docs/configuration.md', [
      REFERENCE_INTRODUCTION,
      '## The node file', '', ...describeSection(node, '', new Map()),
      '## A customer file', '', ...describeSection(customer, '', new Map()),
    ].join('\n')],
  ]);
}

function describeSchema(schema: z.ZodType, title: string): JsonSchema {
  return {...z.toJSONSchema(schema, {io: 'input', target: 'draft-7', override: ({jsonSchema}) => allowSwitch(jsonSchema)}) as JsonSchema, title};
}

/** What zod says of a preprocessed schema is what comes behind it: that `true` and `false` may stand for it is added here, in place. */
function allowSwitch(schema: Record<string, unknown>): void {
  const {title, description: _stays, ...section} = schema;
  if (title !== SWITCHABLE_TYPE || section['anyOf'] !== undefined) return;
  for (const key of Object.keys(section)) delete schema[key];
  schema['anyOf'] = [{type: 'boolean'}, section];
}

function toText(schema: JsonSchema): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/**
 * A table of the section's keys, then the sections inside it. A section that stands in several places is described once.
 *
 * @param known where each section that has been described stands, by its schema as JSON
 */
function describeSection(section: JsonSchema, prefix: string, known: Map<string, string>): string[] {
  const entries = Object.entries(section.properties ?? {});
  const rows = entries.map(([key, value]) => `| \`${key}\` | ${typeOf(value).replaceAll('|', '\\|')} | ${defaultOf(value, section.required?.includes(key) ?? false)} | ${value.description ?? ''} |`);
  const lines = ['| key | type | default | meaning |', '|---|---|---|---|', ...rows, ''];
  for (const [key, value] of entries) {
    const inner = innerSection(value);
    if (inner === null) continue;
    const name = `${prefix}${key}${inner.suffix}`;
    const identity = JSON.stringify(inner.schema);
    const twin = known.get(identity);
    lines.push(`### \`${name}\``, '', ...(value.description === undefined ? [] : [value.description, '']));
    lines.push(...(twin === undefined ? describeSection(inner.schema, `${name}.`, known.set(identity, name)) : [`The same keys as in \`${twin}\`.`, '']));
  }
  return lines;
}

interface InnerSection {
  readonly schema: JsonSchema;
  /** How its place is written behind the key: nothing, `[]` for an entry of a list, `.NAME` for one of a mapping. */
  readonly suffix: '' | '[]' | '.NAME';
}

function innerSection(value: JsonSchema): InnerSection | null {
  const own = value.properties === undefined ? value.anyOf?.find(({properties}) => properties !== undefined) : value;
  if (own !== undefined) return {schema: own, suffix: ''};
  if (value.items?.properties !== undefined) return {schema: value.items, suffix: '[]'};
  const entry = value.additionalProperties;
  if (typeof entry === 'object' && entry.properties !== undefined) return {schema: entry, suffix: '.NAME'};
  return null;
}

function typeOf(value: JsonSchema): string {
  if (value.items !== undefined) return value.items.properties === undefined ? `list of ${typeOf(value.items)}` : 'list of mappings';
  if (value.properties !== undefined) return 'mapping';
  if (typeof value.additionalProperties === 'object') return value.additionalProperties.properties === undefined ? `mapping of names to ${typeOf(value.additionalProperties)}` : 'mapping by name';
  return value.title ?? value.type ?? 'any';
}

function defaultOf(value: JsonSchema, isRequired: boolean): string {
  if (isRequired) return '**required**';
  const byDefault = value.default;
  if (byDefault === '') return 'empty';
  return typeof byDefault === 'string' || typeof byDefault === 'number' || typeof byDefault === 'boolean' ? `\`${byDefault}\`` : '–';
}
