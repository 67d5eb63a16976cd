/** Certificates: read, matched with their keys, and compared with the hosts that they are to serve. */
import {createPrivateKey, X509Certificate, type KeyObject} from 'node:crypto';
import {type Complaint, quote} from '#src/config/problem.ts';
import type {CertificateSnapshot} from '#src/config/snapshot.ts';

export const CERTIFICATE_FILE_BYTES_MAX = 256 * 1024;
const EXPIRY_WARNING_MS = 14 * 86_400_000;
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** `server`: shown to clients, by its names; `client`: shown to servers, which look at more than names. */
export type CertificateUse = 'server' | 'client';

export type CertificateResult =
  | {readonly ok: true; readonly certificate: CertificateSnapshot}
  /** `part` is the key of the section at which the complaint is made. */
  | {readonly ok: false; readonly part: 'cert' | 'key' | 'ca'; readonly complaint: Complaint};

/** Certificates that others must descend from. In force until the last of them has expired. */
export function compileRoots(caPem: string): CertificateResult {
  const roots = readCertificates(caPem);
  if (roots.length === 0) return refuse('ca', 'a file without a readable certificate', 'PEM blocks `BEGIN CERTIFICATE`, one for each authority', 'convert the file to PEM');
  const notAfterMs = Math.max(...roots.map(({validTo}) => Date.parse(validTo)));
  return {ok: true, certificate: {certPem: caPem, keyPem: '', names: [], notAfterMs}};
}

/** One certificate with its chain and key. Nothing of the key ever stands in a complaint. */
export function compileCertificate(use: CertificateUse, certPem: string, keyPem: string): CertificateResult {
  const chain = readCertificates(certPem);
  const [leaf] = chain;
  if (leaf === undefined) return refuse('cert', 'a file without a readable certificate', 'PEM blocks `BEGIN CERTIFICATE`: the certificate, then its intermediates', 'convert the file to PEM');
  const weak = chain.find(({publicKey}) => !isAcceptedKey(publicKey));
  if (weak !== undefined) return refuse('cert', `${weak === leaf ? 'a certificate' : 'an intermediate certificate'} whose key is ${describeKey(weak.publicKey)}`, 'RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, Ed25519 or Ed448', 'have it issued again, for a new key');
  const names = readNames(leaf);
  if (use === 'server' && names.length === 0) return refuse('cert', 'a certificate without DNS names', 'a certificate whose subjectAltName lists its hosts', 'have the certificate issued with the names of the hosts');
  const key = readKey(keyPem);
  if (key === null) return refuse('key', 'a file without a readable private key', 'a PEM private key without a passphrase', 'convert the key to PEM, or remove its passphrase');
  if (!leaf.checkPrivateKey(key)) return refuse('key', 'the key of another certificate', `the private key of ${describeCertificate(names)}`, 'give the two files that belong together; the own certificate stands first in its file');
  return {ok: true, certificate: {certPem, keyPem, names, notAfterMs: Date.parse(leaf.validTo)}};
}

function refuse(part: 'cert' | 'key' | 'ca', found: string, allowed: string, remedy: string): CertificateResult {
  return {ok: false, part, complaint: {found, allowed, remedy}};
}

/** All certificates of the file; none where one of them, or its key, cannot be read. */
function readCertificates(pem: string): readonly X509Certificate[] {
  try {
    const certificates = (pem.match(CERTIFICATE_BLOCK) ?? []).map((block) => new X509Certificate(block));
    return certificates.every(({publicKey}) => publicKey.type === 'public') ? certificates : [];
  } catch {
    return [];
  }
}

function readKey(pem: string) {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

const RSA_BITS_MIN = 2048;
const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** OpenSSL refuses the others when the first client asks for the certificate, or no client takes them: too late for whoever checks a file. */
function isAcceptedKey({asymmetricKeyType, asymmetricKeyDetails}: KeyObject): boolean {
  switch (asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss': return (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN;
    case 'ec': return CURVES.has(asymmetricKeyDetails?.namedCurve);
    default: return asymmetricKeyType === 'ed25519' || asymmetricKeyType === 'ed448';
  }
}

function describeKey({asymmetricKeyType, asymmetricKeyDetails}: KeyObject): string {
  const {modulusLength, namedCurve} = asymmetricKeyDetails ?? {};
  return [asymmetricKeyType ?? 'of an unknown kind', namedCurve, modulusLength === undefined ? undefined : `${modulusLength} bits`].filter((part) => part !== undefined).join(', ');
}

function describeCertificate(names: readonly string[]): string {
  return names.length === 0 ? 'the certificate' : `the certificate for ${quote(names.join(', '))}`;
}

/** Names with odd characters come quoted from Node (CVE-2021-44532): they match no host and are left out. */
function readNames(certificate: X509Certificate): readonly string[] {
  const names = (certificate.subjectAltName ?? '').split(', ').map((entry) => /^DNS:((?:\*\.)?[A-Za-z0-9.-]+)$/.exec(entry)?.[1]?.toLowerCase());
  return names.filter((name) => name !== undefined);
}

/** A wildcard stands for exactly one label (RFC 9525 §6.3), so only the same wildcard covers a wildcard. */
export function isCovered(host: string, names: ReadonlySet<string>): boolean {
  return names.has(host) || (!host.startsWith('*.') && names.has(`*${host.slice(host.indexOf('.'))}`) && host.includes('.'));
}

/** What there is to say about the time that is left; null: nothing. */
export function expiryOf({notAfterMs}: CertificateSnapshot, nowMs: number): 'has expired' | 'expires soon' | null {
  if (notAfterMs - nowMs > EXPIRY_WARNING_MS) return null;
  return notAfterMs <= nowMs ? 'has expired' : 'expires soon';
}

/** A warning about the time that is left, or null. */
export function describeExpiry(certificate: CertificateSnapshot, nowMs: number): Complaint | null {
  const expiry = expiryOf(certificate, nowMs);
  if (expiry === null) return null;
  const until = new Date(certificate.notAfterMs).toISOString();
  return {
    found: `a certificate ${certificate.names.length === 0 ? '' : `for ${quote(certificate.names.join(', '))} `}that ${expiry} (${until})`,
    allowed: 'a certificate that is valid for 14 more days',
    remedy: 'renew it, then reload',
  };
}
