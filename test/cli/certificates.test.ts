import assert from 'node:assert/strict';
import {X509Certificate} from 'node:crypto';
import {mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import tls from 'node:tls';
import {ensureCertificates} from '#src/cli/demo/certificates.ts';

const DAY_MS = 86_400_000;
const CERTIFICATES = [{name: 'acme', hosts: ['shop.acme.test', '*.shop.acme.test']}];

async function createFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torwart-test-'));
  context.after(() => rm(folder, {recursive: true, force: true}));
  return path.join(folder, 'certs');
}

async function readCertificate(folder: string, name: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(path.join(folder, `${name}.pem`), 'utf8'));
}

test('the certificates are signed by the CA, cover their hosts, and OpenSSL takes them', async context => {
  const folder = await createFolder(context);
  assert.equal(await ensureCertificates(folder, CERTIFICATES, Date.now()), path.join(folder, 'ca.pem'));
  const [ca, acme] = [await readCertificate(folder, 'ca'), await readCertificate(folder, 'acme')];
  assert.ok(ca.ca && !acme.ca && acme.verify(ca.publicKey) && acme.checkIssued(ca));
  assert.equal(acme.checkHost('eu.shop.acme.test'), '*.shop.acme.test');
  assert.equal(acme.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  const key = await readFile(path.join(folder, 'acme.key'), 'utf8');
  tls.createSecureContext({cert: acme.toString(), key});
});

test('only the owner may read a key', async context => {
  const folder = await createFolder(context);
  await ensureCertificates(folder, CERTIFICATES, Date.now());
  for (const name of ['ca.key', 'acme.key']) assert.equal((await stat(path.join(folder, name))).mode & 0o777, 0o600);
});

test('what is good is kept; what expires soon, is damaged or lacks a host is made anew', async context => {
  const folder = await createFolder(context);
  const nowMs = Date.now();
  const serials = async (): Promise<string[]> => Promise.all(['ca', 'acme'].map(async name => (await readCertificate(folder, name)).serialNumber));
  await ensureCertificates(folder, CERTIFICATES, nowMs);
  const first = await serials();
  await ensureCertificates(folder, CERTIFICATES, nowMs + DAY_MS);
  assert.deepEqual(await serials(), first);
  await ensureCertificates(folder, CERTIFICATES, nowMs + 380 * DAY_MS);
  const renewed = await serials();
  assert.deepEqual([renewed[0] === first[0], renewed[1] === first[1]], [true, false]);
  await writeFile(path.join(folder, 'acme.pem'), 'not a certificate');
  await ensureCertificates(folder, CERTIFICATES, nowMs);
  await ensureCertificates(folder, [{name: 'acme', hosts: ['other.test']}], nowMs);
  assert.equal((await readCertificate(folder, 'acme')).checkHost('other.test'), 'other.test');
  await rm(path.join(folder, 'ca.key'));
  await ensureCertificates(folder, CERTIFICATES, nowMs);
  const [ca, acme] = [await readCertificate(folder, 'ca'), await readCertificate(folder, 'acme')];
  assert.notEqual(ca.serialNumber, first[0]);
  assert.ok(acme.verify(ca.publicKey));
});
