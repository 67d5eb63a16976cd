/**
 * One customer file → the customer's snapshot and everything that is wrong with it.
 *
 * A result carries what it was made of. The same texts, the same settings of the node and the same warnings of expiry give the same
 * result, so then the one from before is used again: parsing and checking ten thousand files to find one that changed takes seconds.
 */
import path from 'node:path';
import {type CertificateWish, listCertificates} from '#src/config/certificate-wishes.ts';
import {CERTIFICATE_FILE_BYTES_MAX, type CertificateResult, compileCertificate, compileRoots, expiryOf} from '#src/config/certificates.ts';
import {compileCustomer, type NodeContext} from '#src/config/compile-customer.ts';
import {type Claimant, type Claims, listClaims} from '#src/config/conflicts.ts';
import {type CustomerInput, customerSchema} from '#src/config/customer-schema.ts';
import {CONFIG_FILE_BYTES_MAX, type Locate, parseConfigDocument} from '#src/config/document.ts';
import {type FileSource, isSameContent, type ReadResult} from '#src/config/file-source.ts';
import {valueAt} from '#src/config/issues.ts';
import {parsePartial, type Placement} from '#src/config/parse-partial.ts';
import type {Problem} from '#src/config/problem.ts';
import {type Report, reportOn, reportOnPart, reportUnreadable} from '#src/config/report.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {parseUserFile, USER_FILE_BYTES_MAX, type UserFileResult} from '#src/config/user-file.ts';

/** One customer file. */
export interface CustomerResult {
  readonly file: string;
  /** The name that the file gives, even where something else in it is wrong; null where not even that can be read. */
  readonly name: string | null;
  /** Null where the file has problems of its own. Conflicts with other customers do not count here. */
  readonly customer: CustomerSnapshot | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** What is right of all that no two customers may have, also where the file has problems; null where nothing is. */
  readonly claimant: ClaimingFile | null;
  readonly locate: Locate;
  readonly origin: CustomerOrigin;
}

/**
 * The claims of a file as far as it can be read. A path is no name that a customer can have: files without one have none in common.
 */
export interface ClaimingFile extends Claimant {
  /** Of the claims in the document. */
  readonly placement: Placement;
  readonly locate: Locate;
}

/** Everything that a result depends on. */
export interface CustomerOrigin {
  readonly read: ReadResult;
  /** Everything of `listCertificates`, in its order. */
  readonly certificates: readonly CertificateOrigin[];
  readonly userFiles: readonly UserFileOrigin[];
  readonly context: NodeContext;
  readonly nowMs: number;
}

interface CertificateOrigin {
  readonly wish: CertificateWish;
  readonly cert: NamedRead;
  /** Null where no key belongs to it. */
  readonly key: NamedRead | null;
  readonly result: CertificateResult;
}

interface UserFileOrigin extends NamedRead {
  /** Name of the way under `auth` that names the file. */
  readonly auth: string;
  readonly result: UserFileResult;
}

interface NamedRead {
  /** Absolute path. */
  readonly file: string;
  readonly read: ReadResult;
}

export interface CustomerLoading {
  readonly source: FileSource;
  readonly context: NodeContext;
  readonly nowMs: number;
}

const NO_PLACE: Locate = () => ({line: 1, column: 1});

/** Files without them still have much to be checked. */
const STAND_INS = {customer: 'unknown', networks: [], sites: []} as const;

/** Whether a load would give the same result again. It waits for nothing: of ten thousand customers nearly all are. */
export function isUntouched({file, origin}: CustomerResult, {source, context, nowMs}: CustomerLoading): boolean {
  if (origin.context !== context || !source.isKnown(file, origin.read)) return false;
  const isKnown = ({file: named, read}: NamedRead): boolean => source.isKnown(named, read);
  return origin.certificates.every(({cert, key}) => isKnown(cert) && (key === null || isKnown(key)))
    && origin.userFiles.every(isKnown) && !hasNewExpiry(origin, nowMs);
}

/** @param before what an earlier load made of the same file */
export async function loadCustomer(file: string, loading: CustomerLoading, before: CustomerResult | undefined): Promise<CustomerResult> {
  const read = await loading.source.readText(file, CONFIG_FILE_BYTES_MAX, before?.origin.read);
  if (before === undefined || !isSameContent(before.origin.read, read)) return makeCustomer(file, read, loading, null);
  const certificates = await readAgain(before.origin.certificates, loading.source);
  const userFiles = await readUserFilesAgain(before.origin.userFiles, loading.source);
  const isSame = certificates.every(({result}, index) => result === before.origin.certificates[index]?.result)
    && userFiles.every(({result}, index) => result === before.origin.userFiles[index]?.result)
    && before.origin.context === loading.context && !hasNewExpiry(before.origin, loading.nowMs);
  if (!isSame) return makeCustomer(file, read, loading, {certificates, userFiles});
  // The same content may have been read anew: then the file may be known by its times from now on.
  const isKnown = read === before.origin.read && certificates.every((certificate, index) => certificate === before.origin.certificates[index])
    && userFiles.every((userFile, index) => userFile === before.origin.userFiles[index]);
  return isKnown ? before : {...before, origin: {...before.origin, read, certificates, userFiles}};
}

async function readAgain(certificates: readonly CertificateOrigin[], source: FileSource): Promise<readonly CertificateOrigin[]> {
  const again: CertificateOrigin[] = [];
  for (const before of certificates) again.push(await readCertificate(before.wish, before.cert.file, before.key?.file ?? null, source, before));
  return again;
}

function hasNewExpiry({certificates, nowMs: thenMs}: CustomerOrigin, nowMs: number): boolean {
  return certificates.some(({result}) => result.ok && expiryOf(result.certificate, thenMs) !== expiryOf(result.certificate, nowMs));
}

/** @param known what the file names and what has been read already */
async function makeCustomer(file: string, read: ReadResult, loading: CustomerLoading, known: Pick<CustomerOrigin, 'certificates' | 'userFiles'> | null): Promise<CustomerResult> {
  const {context, nowMs} = loading;
  const origin: CustomerOrigin = {read, certificates: [], userFiles: [], ...known, context, nowMs};
  if (!read.ok) return toResult({name: null, locate: NO_PLACE, origin}, reportUnreadable(file, read.reason));
  const document = parseConfigDocument(file, read.text);
  const report = reportOn(document);
  const written = valueAt(document.value, ['customer']);
  const named = {name: typeof written === 'string' ? written : null, locate: document.locate};
  if (document.syntaxProblems.length > 0) return toResult({...named, origin}, report);
  const {value: input, ...placement} = parsePartial(customerSchema, document.value, STAND_INS, report);
  if (input === null) return toResult({...named, origin}, report);
  const certificates = known?.certificates ?? await readCertificates(input, file, loading.source);
  const userFiles = known?.userFiles ?? await readUserFiles(input, file, loading.source);
  const customer = compileCustomer(input, {
    ...context, nowMs, isLost: placement.isLost,
    certificates: certificates.map(({wish, result}) => ({wish, result})),
    userFiles: new Map(userFiles.map(({auth, result}) => [auth, result])),
  }, report.problems.length === 0 ? report : reportOnPart(report, placement.placeOf));
  const claims = customer ?? claimsIn(input);
  const claimant: ClaimingFile = {
    file, placement, locate: document.locate,
    customer: placement.isLost(['customer']) ? {...claims, name: file} : claims,
    claimed: listClaims(claims),
  };
  return toResult({...named, customer, claimant, origin: {...origin, certificates, userFiles}}, report);
}

function claimsIn({customer: name, networks, source_address: source, sites}: CustomerInput): Claims {
  return {name, networks, sourceAddress: {ipv4: source?.ipv4 ?? null, ipv6: source?.ipv6 ?? null}, sites: sites.map(({hosts}) => ({hosts}))};
}

type Made = Pick<CustomerResult, 'name' | 'locate' | 'origin'> & Partial<Pick<CustomerResult, 'customer' | 'claimant'>>;

function toResult(made: Made, {file, problems, warnings}: Report): CustomerResult {
  return {file, customer: null, claimant: null, ...made, problems, warnings};
}

async function readCertificates(input: CustomerInput, file: string, source: FileSource): Promise<readonly CertificateOrigin[]> {
  const resolve = (relative: string): string => path.resolve(path.dirname(file), relative);
  const certificates: CertificateOrigin[] = [];
  for (const wish of listCertificates(input)) {
    certificates.push(await readCertificate(wish, resolve(wish.cert), wish.key === null ? null : resolve(wish.key), source));
  }
  return certificates;
}

/** Checking that a key fits its certificate is the dearest part of a customer: a pair that is the same as before keeps its result. */
async function readCertificate(wish: CertificateWish, certFile: string, keyFile: string | null, source: FileSource, before?: CertificateOrigin): Promise<CertificateOrigin> {
  const cert = {file: certFile, read: await source.readText(certFile, CERTIFICATE_FILE_BYTES_MAX, before?.cert.read)};
  const key = keyFile === null ? null : {file: keyFile, read: await source.readText(keyFile, CERTIFICATE_FILE_BYTES_MAX, before?.key?.read)};
  if (before !== undefined && cert.read === before.cert.read && key?.read === before.key?.read) return before;
  const isSame = before !== undefined && isSameContent(before.cert.read, cert.read) && isSameKey(before.key, key);
  return {wish, cert, key, result: isSame ? before.result : compileReads(wish, cert.read, key?.read)};
}

function isSameKey(before: NamedRead | null, key: NamedRead | null): boolean {
  return before === null || key === null ? before === key : isSameContent(before.read, key.read);
}

function compileReads({use}: CertificateWish, cert: ReadResult, key: ReadResult | undefined): CertificateResult {
  if (!cert.ok) return unreadable(use === 'roots' ? 'ca' : 'cert', cert.reason);
  if (use === 'roots' || key === undefined) return compileRoots(cert.text);
  return key.ok ? compileCertificate(use, cert.text, key.text) : unreadable('key', key.reason);
}

function unreadable(part: 'cert' | 'key' | 'ca', reason: string): CertificateResult {
  return {ok: false, part, complaint: {found: reason, allowed: 'a readable PEM file of at most 256 KiB', remedy: 'correct the path (it is relative to this file) or the permissions'}};
}

async function readUserFiles({auth}: CustomerInput, file: string, source: FileSource): Promise<readonly UserFileOrigin[]> {
  const userFiles: UserFileOrigin[] = [];
  for (const [name, {basic}] of Object.entries(auth)) {
    if (basic?.users_file !== undefined) userFiles.push(await readUserFile(name, path.resolve(path.dirname(file), basic.users_file), source));
  }
  return userFiles;
}

async function readUserFilesAgain(userFiles: readonly UserFileOrigin[], source: FileSource): Promise<readonly UserFileOrigin[]> {
  const again: UserFileOrigin[] = [];
  for (const before of userFiles) again.push(await readUserFile(before.auth, before.file, source, before));
  return again;
}

async function readUserFile(auth: string, file: string, source: FileSource, before?: UserFileOrigin): Promise<UserFileOrigin> {
  const read = await source.readText(file, USER_FILE_BYTES_MAX, before?.read);
  if (read === before?.read) return before;
  if (before !== undefined && isSameContent(before.read, read)) return {...before, read};
  return {auth, file, read, result: read.ok ? parseUserFile(read.text) : {ok: false, complaint: {found: read.reason, allowed: 'a readable file of users of at most 1 MiB', remedy: 'correct the path (it is relative to this file) or the permissions'}}};
}
