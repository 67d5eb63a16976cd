/** The configuration as it stands in files → snapshots and everything that is wrong with it. */
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import type {NodeContext} from '#src/config/compile-customer.ts';
import {type CompiledNode, compileNode, fallbackDefaults, type Machine} from '#src/config/compile-node.ts';
import {CHANGES_COMPARED_MAX, describeConflict, findConflicts, findContested, findShadowedHosts} from '#src/config/conflicts.ts';
import {CONFIG_FILE_BYTES_MAX, type ConfigDocument, parseConfigDocument} from '#src/config/document.ts';
import {compileFleet} from '#src/config/fleet-schema.ts';
import type {FileSource} from '#src/config/file-source.ts';
import {valueAt} from '#src/config/issues.ts';
import {type ClaimingFile, type CustomerLoading, type CustomerResult, isUntouched, loadCustomer} from '#src/config/load-customer.ts';
import {type NodeInput, nodeSchema} from '#src/config/node-schema.ts';
import {type Parsed, parsePartial} from '#src/config/parse-partial.ts';
import {compareProblems, type Problem} from '#src/config/problem.ts';
import {createReport, type Report, reportOn, reportUnreadable} from '#src/config/report.ts';
import {pairChanges} from '#src/config/sorted-lists.ts';
import {computeRevision} from '#src/config/revision.ts';
import type {CustomerSnapshot, NodeSnapshot, Snapshot} from '#src/config/snapshot.ts';

export interface LoadOptions {
  readonly machine: Machine;
  /** Unix time, for warnings about certificates. */
  readonly nowMs: number;
  /** Called all the time; by default loading is one stretch as far as files do not have to be read. */
  readonly rest?: Rest;
}

/** Gives way to others where that is due. */
export type Rest = () => Promise<void>;

export interface ConfigResult {
  /** Null where there is any problem at all. */
  readonly snapshot: Snapshot | null;
  /** Every problem and warning, by file and place. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** The parts, for a reload that keeps the last good version of what is broken. */
  readonly nodeFile: string;
  readonly node: NodeSnapshot | null;
  readonly nodeProblems: readonly Problem[];
  readonly customers: readonly CustomerResult[];
  /** Whether two customers claim the same thing. */
  readonly hasConflicts: boolean;
}

/**
 * Loads the node file and every customer file that it names. Never throws for what stands in a file.
 *
 * @param before an earlier result for the same node file: customer files that have not changed since are not read and made again
 */
export async function loadConfig(nodeFile: string, source: FileSource, options: LoadOptions, before: ConfigResult | null = null): Promise<ConfigResult> {
  const {machine, nowMs, rest = () => Promise.resolve()} = options;
  const read = await source.readText(nodeFile, CONFIG_FILE_BYTES_MAX);
  if (!read.ok) return combine(null, reportUnreadable(nodeFile, read.reason), [], NOTHING_ACROSS);
  const document = parseConfigDocument(nodeFile, read.text);
  const report = reportOn(document);
  const parsed = parseNodeDocument(document, report);
  const input = parsed?.value ?? null;
  const fleet = input?.fleet === undefined ? null : await compileFleet(input.fleet, document.file, source, report);
  const compiled = input === null ? null : compileNode(input, {file: document.file, machine, fleet});
  const files = await findCustomerFiles(document, source, report);
  const node = report.problems.length === 0 ? compiled : null;
  const loading = {source, context: contextOf(compiled, parsed?.isLost(['admin']) === true, before), nowMs};
  const customers = await loadCustomers(files, loading, before?.customers ?? [], rest);
  await rest();
  const across = checkAcross(customers, before);
  await rest();
  return combine(node?.node ?? null, report, customers, across);
}

/** Few enough that a rest is never far, enough that asking for it costs nothing beside looking at the files. */
const FILES_BETWEEN_RESTS = 16;

/** What is untouched is not waited for: of ten thousand customers it is nearly all. */
async function loadCustomers(files: readonly string[], loading: CustomerLoading, before: readonly CustomerResult[], rest: Rest): Promise<readonly CustomerResult[]> {
  const customers: CustomerResult[] = [];
  let next = 0, looks = 0;
  for (const file of files) {
    if (looks >= FILES_BETWEEN_RESTS) {
      await rest();
      looks = 0;
    }
    let known = before[next];
    while (known !== undefined && known.file < file) known = before[++next];
    if (known?.file !== file) known = undefined;
    const untouched = known !== undefined && isUntouched(known, loading) ? known : null;
    customers.push(untouched ?? await loadCustomer(file, loading, known));
    // Making a customer takes longer than looking at so many files.
    looks += untouched === null ? FILES_BETWEEN_RESTS : countFiles(untouched);
  }
  return customers;
}

function countFiles({origin: {certificates, userFiles}}: CustomerResult): number {
  return 1 + 2 * certificates.length + userFiles.length;
}

/** The same object as before where nothing has changed, so that it is compared once and not for every customer. */
function contextOf(compiled: CompiledNode | null, isAdminLost: boolean, before: ConfigResult | null): NodeContext {
  const {node, defaults} = compiled ?? {node: null, defaults: fallbackDefaults()};
  const context = {node: node === null ? null : {listeners: node.listeners, admin: isAdminLost ? null : node.admin, fleet: node.fleet === null ? null : {address: node.fleet.address, port: node.fleet.port}}, defaults};
  const known = before?.customers[0]?.origin.context;
  return isDeepStrictEqual(known, context) ? known as NodeContext : context;
}

function parseNodeDocument(document: ConfigDocument, report: Report): Parsed<NodeInput> | null {
  return document.syntaxProblems.length > 0 ? null : parsePartial(nodeSchema, document.value, {listeners: []}, report);
}

/**
 * No match is an error: a directory that is missing for a moment (a mount, a deployment half done) must not take every customer off
 * the air at the next reload.
 */
async function findCustomerFiles(document: ConfigDocument, source: FileSource, report: Report): Promise<readonly string[]> {
  const written = valueAt(document.value, ['customers']);
  if (document.syntaxProblems.length > 0 || (written !== undefined && typeof written !== 'string')) return [];
  const pattern = written ?? nodeSchema.shape.customers.parse(undefined);
  const complain = (found: string): void => report.problem(['customers'], {found, allowed: 'a pattern that matches at least one customer file', remedy: 'correct the pattern, or add a customer file'});
  try {
    const files = await source.glob(pattern, path.dirname(document.file));
    if (files.length === 0) complain(`no file that matches ${JSON.stringify(pattern)}`);
    return files;
  } catch {
    complain(`a directory that cannot be searched for ${JSON.stringify(pattern)}`);
    return [];
  }
}

function combine(node: NodeSnapshot | null, nodeReport: Report, customers: readonly CustomerResult[], {reports: across, hasConflicts}: AcrossResult): ConfigResult {
  const problems: Problem[] = [], warnings: Problem[] = [], compiled: CustomerSnapshot[] = [];
  const gather = (report: Report | CustomerResult): void => {
    for (const problem of report.problems) problems.push(problem);
    for (const warning of report.warnings) warnings.push(warning);
  };
  gather(nodeReport);
  for (const result of customers) {
    gather(result);
    if (result.customer !== null) compiled.push(result.customer);
  }
  for (const report of across) gather(report);
  return {
    snapshot: node !== null && problems.length === 0 ? assembleSnapshot(node, compiled) : null,
    problems: problems.sort(compareProblems), warnings: warnings.sort(compareProblems), node, customers, hasConflicts,
    nodeFile: nodeReport.file,
    nodeProblems: nodeReport.problems,
  };
}

interface AcrossResult {
  readonly reports: readonly Report[];
  readonly hasConflicts: boolean;
}

const NOTHING_ACROSS: AcrossResult = {reports: [], hasConflicts: false};

/** What is wrong between customers, each side of it in its own file. */
function checkAcross(customers: readonly CustomerResult[], before: ConfigResult | null): AcrossResult {
  const claimants = listClaimants(customers);
  const reports: Report[] = [];
  const reportTo = ({file, locate}: ClaimingFile): Report => {
    const report = createReport(file, locate);
    reports.push(report);
    return report;
  };
  const conflicts = findConflicts(before === null || before.hasConflicts ? claimants : narrowToChange(claimants, customers, before.customers));
  for (const conflict of conflicts) {
    for (const side of [0, 1] as const) {
      const {claimant, path: place} = conflict.claims[side];
      reportTo(claimant).problem(claimant.placement.placeOf(place), describeConflict(conflict, side));
    }
  }
  for (const {claim, wildcard} of findShadowedHosts(claimants)) {
    reportTo(claim.claimant).warning(claim.claimant.placement.placeOf(claim.path), {
      found: `"${claim.text}", which lies under the wildcard ${wildcard.text} in ${wildcard.claimant.file}`,
      allowed: 'hosts outside the wildcards of other customers',
      remedy: 'make sure that both customers know: the exact host wins',
    });
  }
  return {reports, hasConflicts: conflicts.length > 0};
}

function listClaimants(customers: readonly CustomerResult[]): readonly ClaimingFile[] {
  const claimants: ClaimingFile[] = [];
  for (const {claimant} of customers) if (claimant !== null) claimants.push(claimant);
  return claimants;
}

/** Where nobody was in conflict before, only what has changed can be. */
function narrowToChange(claimants: readonly ClaimingFile[], customers: readonly CustomerResult[], before: readonly CustomerResult[]): readonly ClaimingFile[] {
  const changes = pairChanges(before, customers, ({file}) => file)
    .map(([old, fresh]) => [old?.claimant ?? null, fresh?.claimant ?? null] as const)
    .filter(([old, fresh]) => old !== fresh);
  return changes.length > CHANGES_COMPARED_MAX ? claimants : findContested(claimants, changes);
}

/** Customers by name, so that the order of files changes nothing. */
export function assembleSnapshot(node: NodeSnapshot, customers: readonly CustomerSnapshot[]): Snapshot {
  const sorted = [...customers].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {revision: computeRevision({node, customers: sorted.map(({revision}) => revision).join(' ')}), node, customers: sorted};
}
