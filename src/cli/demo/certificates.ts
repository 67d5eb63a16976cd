/** Development certificates: a CA of its own, and one certificate a demo customer. Never for anything but this machine. */
import {X509Certificate} from 'node:crypto';
import {mkdir, readFile, rename, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {generate} from 'selfsigned';

export interface DemoCertificate {
  /** Name of the files without `.pem` and `.key`. */
  readonly name: string;
  readonly hosts: readonly string[];
}

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

const CA_NAME = 'ca';
const CA_LIFE_DAYS = 3650;
/** Browsers refuse certificates with a longer life. */
const LIFE_DAYS = 397;
const RENEW_BEFORE_DAYS = 30;
const DAY_MS = 86_400_000;

/** Makes what is missing or expires soon. A new CA renews everything. Returns the path of the CA's certificate. */
export async function ensureCertificates(folder: string, certificates: readonly DemoCertificate[], nowMs: number): Promise<string> {
  await mkdir(folder, {recursive: true});
  let ca = await readPair(folder, CA_NAME);
  if (ca === null || !isFresh(ca, nowMs)) {
    ca = await makeCa(nowMs);
    await writePair(folder, CA_NAME, ca);
  }
  for (const {name, hosts} of certificates) {
    const pair = await readPair(folder, name);
    if (pair !== null && isFresh(pair, nowMs) && isIssuedBy(pair, ca) && hosts.every(host => coversHost(pair, host))) continue;
    await writePair(folder, name, await makeCertificate(hosts, ca, nowMs));
  }
  return path.join(folder, `${CA_NAME}.pem`);
}

async function makeCa(nowMs: number): Promise<KeyPair> {
  const {cert, private: key} = await generate([{name: 'commonName', value: 'Torwart development CA'}], {
    keyType: 'ec', curve: 'P-256', algorithm: 'sha256', ...lifeOf(nowMs, CA_LIFE_DAYS),
    extensions: [
      {name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true},
      {name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true},
    ],
  });
  return {cert, key};
}

async function makeCertificate(hosts: readonly string[], ca: KeyPair, nowMs: number): Promise<KeyPair> {
  const {cert, private: key} = await generate([{name: 'commonName', value: hosts[0] ?? ''}], {
    keyType: 'ec', curve: 'P-256', algorithm: 'sha256', ca, ...lifeOf(nowMs, LIFE_DAYS),
    extensions: [
      {name: 'basicConstraints', cA: false, critical: true},
      {name: 'keyUsage', digitalSignature: true, critical: true},
      {name: 'extKeyUsage', serverAuth: true},
      {name: 'subjectAltName', altNames: hosts.map(value => ({type: 2, value}))},
    ],
  });
  return {cert, key};
}

function lifeOf(nowMs: number, days: number): {notBeforeDate: Date; notAfterDate: Date} {
  // An hour back, for clients whose clock is behind.
  return {notBeforeDate: new Date(nowMs - 3_600_000), notAfterDate: new Date(nowMs + days * DAY_MS)};
}

function isFresh(pair: KeyPair, nowMs: number): boolean {
  return Date.parse(new X509Certificate(pair.cert).validTo) > nowMs + RENEW_BEFORE_DAYS * DAY_MS;
}

function isIssuedBy(pair: KeyPair, ca: KeyPair): boolean {
  return new X509Certificate(pair.cert).verify(new X509Certificate(ca.cert).publicKey);
}

function coversHost(pair: KeyPair, host: string): boolean {
  return new X509Certificate(pair.cert).subjectAltName?.split(', ').includes(`DNS:${host}`) ?? false;
}

/** Null where a file is missing or is not what its name says. */
async function readPair(folder: string, name: string): Promise<KeyPair | null> {
  try {
    const [cert, key] = await Promise.all([readFile(path.join(folder, `${name}.pem`), 'utf8'), readFile(path.join(folder, `${name}.key`), 'utf8')]);
    new X509Certificate(cert).toString();
    return {cert, key};
  } catch {
    return null;
  }
}

async function writePair(folder: string, name: string, {cert, key}: KeyPair): Promise<void> {
  await writeWhole(path.join(folder, `${name}.key`), key, 0o600);
  await writeWhole(path.join(folder, `${name}.pem`), cert, 0o644);
}

/** Through a new file, so that an existing one's wider permissions are never inherited by a key. */
async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  const fresh = `${file}.new`;
  await writeFile(fresh, text, {mode});
  await rename(fresh, file);
}
