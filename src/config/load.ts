/** The configuration as it stands in files → snapshots and everything that is wrong with it. */
import path from 'node:path';
import {CERTIFICATE_FILE_BYTES_MAX, type CertificateResult, compileCertificate} from '#src/config/certificates.ts';
import {compileCustomer} from '#src/config/compile-customer.ts';
import {type CompiledNode, compileNode, fallbackDefaults} from '#src/config/compile-node.ts';
import {describeConflict, findConflicts, findShadowedHosts} from '#src/config/conflicts.ts';
import {type CustomerInput, customerSchema} from '#src/config/customer-schema.ts';
import {CONFIG_FILE_BYTES_MAX, type ConfigDocument, type Locate, parseConfigDocument} from '#src/config/document.ts';
import type {FileSource, ReadResult} from '#src/config/file-source.ts';
import {reportIssues, valueAt} from '#src/config/issues.ts';
import {nodeSchema} from '#src/config/node-schema.ts';
import {compareProblems, type Problem} from '#src/config/problem.ts';
import {createReport, type Report, reportOn, reportUnreadable} from '#src/config/report.ts';
import {computeRevision} from '#src/config/revision.ts';
import type {CustomerSnapshot, NodeSnapshot, Snapshot} from '#src/config/snapshot.ts';

export interface LoadOptions {
  /** CPU cores: what `threads: auto` stands for. */
  readonly cores: number;
  /** Unix time, for warnings about certificates. */
  readonly nowMs: number;
}

/** One customer file. */
export interface CustomerResult {
  readonly file: string;
  /** The name that the file gives, even where something else in it is wrong; null where not even that can be read. */
  readonly name: string | null;
  /** Null where the file has problems of its own. Conflicts with other customers do not count here. */
  readonly customer: CustomerSnapshot | null;
  readonly problems: readonly Problem[];
  readonly locate: Locate;
}

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
}

const NO_PLACE: Locate = () => ({line: 1, column: 1});
const READS_AT_ONCE = 32;

/** Loads the node file and every customer file that it names. Never throws for what stands in a file. */
export async function loadConfig(nodeFile: string, source: FileSource, options: LoadOptions): Promise<ConfigResult> {
  const read = await source.readText(nodeFile, CONFIG_FILE_BYTES_MAX);
  if (!read.ok) return combine(null, reportUnreadable(nodeFile, read.reason), []);
  const document = parseConfigDocument(nodeFile, read.text);
  const report = reportOn(document);
  const compiled = compileNodeDocument(document, report, options);
  const files = await findCustomerFiles(document, source, report);
  const node = report.problems.length === 0 ? compiled : null;
  const customers = await mapSome(files, (file) => loadCustomer(file, source, node, options));
  return combine(node?.node ?? null, report, customers);
}

function compileNodeDocument(document: ConfigDocument, report: Report, {cores}: LoadOptions): CompiledNode | null {
  if (document.syntaxProblems.length > 0) return null;
  const parsed = nodeSchema.safeParse(document.value);
  if (parsed.success) return compileNode(parsed.data, document.file, cores);
  reportIssues(report, document.value, parsed.error.issues);
  return null;
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

interface LoadedCustomer extends CustomerResult {
  readonly report: Report;
}

async function loadCustomer(file: string, source: FileSource, node: CompiledNode | null, {nowMs}: LoadOptions): Promise<LoadedCustomer> {
  const read = await source.readText(file, CONFIG_FILE_BYTES_MAX);
  if (!read.ok) return toResult(null, NO_PLACE, null, reportUnreadable(file, read.reason));
  const document = parseConfigDocument(file, read.text);
  const report = reportOn(document);
  const written = valueAt(document.value, ['customer']);
  const name = typeof written === 'string' ? written : null;
  if (document.syntaxProblems.length > 0) return toResult(name, document.locate, null, report);
  const parsed = customerSchema.safeParse(document.value);
  if (!parsed.success) {
    reportIssues(report, document.value, parsed.error.issues);
    return toResult(name, document.locate, null, report);
  }
  const certificates = await loadCertificates(parsed.data, file, source);
  const context = {node: node?.node ?? null, defaults: node?.defaults ?? fallbackDefaults(), certificates, nowMs};
  return toResult(name, document.locate, compileCustomer(parsed.data, context, report), report);
}

function toResult(name: string | null, locate: Locate, customer: CustomerSnapshot | null, report: Report): LoadedCustomer {
  return {file: report.file, name, locate, customer: report.problems.length === 0 ? customer : null, problems: report.problems, report};
}

async function loadCertificates(input: CustomerInput, file: string, source: FileSource): Promise<readonly CertificateResult[]> {
  const read = (relative: string): Promise<ReadResult> => source.readText(path.resolve(path.dirname(file), relative), CERTIFICATE_FILE_BYTES_MAX);
  return mapSome(input.certificates, async ({cert, key}) => {
    const [certRead, keyRead] = [await read(cert), await read(key)];
    if (!certRead.ok) return unreadable('cert', certRead.reason);
    return keyRead.ok ? compileCertificate(certRead.text, keyRead.text) : unreadable('key', keyRead.reason);
  });
}

function unreadable(part: 'cert' | 'key', reason: string): CertificateResult {
  return {ok: false, part, complaint: {found: reason, allowed: 'a readable PEM file of at most 256 KiB', remedy: 'correct the path (it is relative to this file) or the permissions'}};
}

function combine(node: NodeSnapshot | null, nodeReport: Report, customers: readonly LoadedCustomer[]): ConfigResult {
  const across = checkAcross(customers);
  const reports = [nodeReport, ...customers.map((customer) => customer.report), ...across];
  const problems = reports.flatMap((report) => report.problems).sort(compareProblems);
  const warnings = reports.flatMap((report) => report.warnings).sort(compareProblems);
  const compiled = customers.map(({customer}) => customer).filter((customer) => customer !== null);
  return {
    snapshot: node !== null && problems.length === 0 ? assembleSnapshot(node, compiled) : null,
    problems, warnings, node,
    nodeFile: nodeReport.file,
    nodeProblems: nodeReport.problems,
    customers: customers.map(({report: _report, ...result}) => result),
  };
}

/** What is wrong between customers, each side of it in its own file. */
function checkAcross(customers: readonly LoadedCustomer[]): readonly Report[] {
  const claimants = customers.flatMap(({file, customer, locate}) => (customer === null ? [] : [{file, customer, report: createReport(file, locate)}]));
  for (const conflict of findConflicts(claimants)) {
    for (const side of [0, 1] as const) {
      const {claimant, path: place} = conflict.claims[side];
      claimant.report.problem(place, describeConflict(conflict, side));
    }
  }
  for (const {claim, wildcard} of findShadowedHosts(claimants)) {
    claim.claimant.report.warning(claim.path, {
      found: `"${claim.text}", which lies under the wildcard ${wildcard.text} in ${wildcard.claimant.file}`,
      allowed: 'hosts outside the wildcards of other customers',
      remedy: 'make sure that both customers know: the exact host wins',
    });
  }
  return claimants.map(({report}) => report);
}

/** Customers by name, so that the order of files changes nothing. */
export function assembleSnapshot(node: NodeSnapshot, customers: readonly CustomerSnapshot[]): Snapshot {
  const sorted = [...customers].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {revision: computeRevision({node, customers: sorted.map(({name, revision}) => [name, revision])}), node, customers: sorted};
}

/** Like `Promise.all` over `map`, but only so many at once that file descriptors last. */
async function mapSome<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += READS_AT_ONCE) {
    results.push(...await Promise.all(items.slice(start, start + READS_AT_ONCE).map(map)));
  }
  return results;
}
