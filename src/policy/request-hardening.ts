/** Which fields of a request reach the application (RFC 9110 §7.6.1 and what attackers do with the rest). */
import type {FieldChangesSnapshot} from '#src/config/snapshot.ts';
import {copyFields, type FieldBlock} from '#src/http1/field-block.ts';
import {CLAIMS, FIELD, FIELD_NUMBERS, FOLDING_KNOWN, FOLDING_NAME, FORWARDED_OTHER, JOINED_COOKIE, NAMED_BY_CONNECTION, fieldNumber} from '#src/http1/field-names.ts';

/** Hop-by-hop, framing, what Torwart writes itself, `Proxy` ("httpoxy", CVE-2016-5385), and what would go past what Torwart has decided. */
const NEVER_FORWARDED: readonly number[] = [
  FIELD.host, FIELD['content-length'], FIELD['transfer-encoding'], FIELD.connection, FIELD['keep-alive'], FIELD['proxy-connection'],
  FIELD.te, FIELD.trailer, FIELD.upgrade, FIELD['http2-settings'], FIELD.expect, FIELD.forwarded, FIELD['x-forwarded-for'],
  FIELD['x-forwarded-proto'], FIELD['x-forwarded-host'], FIELD['x-forwarded-port'], FIELD['x-real-ip'], FIELD['x-request-id'],
  FIELD['proxy-authorization'], FIELD.proxy, FORWARDED_OTHER, NAMED_BY_CONNECTION, FOLDING_NAME, FOLDING_KNOWN, JOINED_COOKIE,
  ...CLAIMS.map((name) => FIELD[name]),
];

/** What is dropped and added in one direction; made once a route. */
export interface FieldPlan {
  /** 1 at the number of each known field that is dropped. */
  readonly dropped: Uint8Array;
  /** Lower-case names of other fields that are dropped; null where there are none. */
  readonly removedNames: ReadonlySet<string> | null;
  /** Complete lines that are added. */
  readonly added: string;
}

/** @param keep numbers that stay although their list says otherwise */
export function planFields(neverForwarded: readonly number[], changes: FieldChangesSnapshot): FieldPlan {
  const dropped = new Uint8Array(FIELD_NUMBERS);
  for (const number of neverForwarded) dropped[number] = 1;
  const removedNames = new Set<string>();
  for (const name of [...changes.remove, ...changes.set.map(([setName]) => setName)]) {
    const number = fieldNumber(name);
    if (number === 0) removedNames.add(name);
    else dropped[number] = 1;
  }
  return {dropped, removedNames: removedNames.size === 0 ? null : removedNames, added: changes.set.map(([name, value]) => `${name}: ${value}\r\n`).join('')};
}

/** Most routes change nothing: they share one plan. */
const UNCHANGED = planFields(NEVER_FORWARDED, {set: [], remove: []});

/** @param withheld lower-case names of further fields that the application must not see as the client sent them */
export function planRequestFields({set, remove}: FieldChangesSnapshot, withheld: readonly string[] = []): FieldPlan {
  const changes = {set, remove: [...remove, ...withheld]};
  return isEmpty(changes) ? UNCHANGED : planFields(NEVER_FORWARDED, changes);
}

export function isEmpty({set, remove}: FieldChangesSnapshot): boolean {
  return set.length === 0 && remove.length === 0;
}

/** The client's fields that the application may see, as lines. */
export function hardenRequestFields(fields: FieldBlock, plan: FieldPlan): string {
  return copyFields(fields, plan.dropped, plan.removedNames) + plan.added;
}
