import {createHash} from 'node:crypto';

/** SHA-256 in hex over the canonical JSON of a value: keys sorted, no spaces. */
export function computeRevision(value: unknown): string {
  return createHash('sha256').update(toCanonicalJson(value)).digest('hex');
}

/** By hand, because `JSON.stringify` with a replacer is several times slower, and every customer is hashed at every load. */
function toCanonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(toCanonicalJson).join(',')}]`;
  const fields = Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}:${toCanonicalJson(field)}`);
  return `{${fields.sort().join(',')}}`;
}
