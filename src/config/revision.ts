import {hash} from 'node:crypto';

/**
 * SHA-256 in hex over the JSON of a value, which must have been made by code of ours: there equal values have their keys in the same
 * order, and need no sorting. Every customer is hashed at every start.
 */
export function computeRevision(value: unknown): string {
  return hash('sha256', JSON.stringify(value));
}
