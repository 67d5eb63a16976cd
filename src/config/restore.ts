/** What earlier runs have saved of customers → the versions that a start can fall back to. Saved texts are believed no more than files. */
import {type Claimant, findConflicts, listClaims} from '#src/config/conflicts.ts';
import type {FileSource} from '#src/config/file-source.ts';
import type {ConfigResult} from '#src/config/load.ts';
import {type CustomerResult, loadCustomer} from '#src/config/load-customer.ts';
import type {ServedFile} from '#src/config/merge.ts';
import {formatProblem} from '#src/config/problem.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';

/** A customer file as it was when it was last in force. */
export interface SavedCustomer {
  readonly name: string;
  /** Absolute path that it was read from: what it names is looked for from there. */
  readonly file: string;
  readonly text: string;
}

export interface RestoredCustomers {
  /** Free of conflicts among themselves. */
  readonly customers: readonly CustomerSnapshot[];
  /** Those of the customers. */
  readonly files: readonly ServedFile[];
  readonly refused: readonly {readonly customer: string; readonly reasons: readonly string[]}[];
}

interface Restored extends Claimant {
  readonly saved: SavedCustomer;
  readonly customer: CustomerSnapshot;
}

/** @param loaded what the files say now */
export async function restoreCustomers(savedCustomers: readonly SavedCustomer[], loaded: ConfigResult, source: FileSource, nowMs: number): Promise<RestoredCustomers> {
  const [some] = loaded.customers;
  if (some === undefined) return {customers: [], files: [], refused: []};
  const {context} = some.origin;
  const current = new Map(loaded.customers.map((customer) => [customer.file, customer]));
  const restored: Restored[] = [];
  const refused: {customer: string; reasons: readonly string[]}[] = [];
  for (const saved of savedCustomers) {
    const {name, file} = saved;
    const now = current.get(file);
    const result = isSameText(now, saved) ? now : await loadCustomer(file, {source: withText(source, saved), context, nowMs}, undefined);
    if (result.customer?.name === name) restored.push({saved, file, customer: result.customer, claimed: listClaims(result.customer)});
    else refused.push({customer: name, reasons: describeRefusal(result, result === now)});
  }
  const contested = new Set(findConflicts(restored).flatMap(({claims}) => claims.map(({claimant}) => claimant)));
  const accepted = restored.filter((entry) => !contested.has(entry));
  return {
    customers: accepted.map(({customer}) => customer),
    files: accepted.map(({file, customer}) => ({file, customer})),
    refused: [...refused, ...[...contested].map(({saved}) => ({customer: saved.name, reasons: ['another saved customer claims the same host, network or name']}))],
  };
}

function describeRefusal({customer, problems}: CustomerResult, isSame: boolean): readonly string[] {
  if (customer !== null) return [`it is the file of ${customer.name}`];
  return isSame ? ['it is the same as the file: what is wrong is in the files that it names, or beside it'] : problems.map(formatProblem);
}

function isSameText(now: CustomerResult | undefined, {text}: SavedCustomer): now is CustomerResult {
  return now?.origin.read.ok === true && now.origin.read.text === text;
}

/** Certificates and files of users are where they were: no copy of a secret is made. */
function withText(source: FileSource, {file, text}: SavedCustomer): FileSource {
  return {
    ...source,
    isKnown: (wanted, before) => wanted !== file && source.isKnown(wanted, before),
    readText: (wanted, bytesMax, before) => (wanted === file ? Promise.resolve({ok: true, text, stamp: null}) : source.readText(wanted, bytesMax, before)),
  };
}
