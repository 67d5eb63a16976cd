/**
 * What operators read when something is wrong. Each folder in `golden/` holds the files that differ from `golden/base/`, which is
 * valid, and `expected.txt` with every problem and warning. `UPDATE_GOLDEN=1` writes what is said now: read the difference.
 */
import assert from 'node:assert/strict';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {before, test} from 'node:test';
import {loadConfig} from '#src/config/load.ts';
import {formatProblem} from '#src/config/problem.ts';
import {makeCertificate, makeWeakCertificate} from '#test/config/certificates.ts';
import {createMemorySource} from '#test/config/memory-source.ts';

const GOLDEN = path.join(import.meta.dirname, 'golden');
const ROOT = '/golden/';
const certificates = new Map<string, string>();

before(async () => {
  for (const [name, hosts] of [['acme', ['shop.acme.example', '*.shop.acme.example']], ['other', ['other.example']], ['nameless', []]] as const) {
    const {cert, key} = await makeCertificate(hosts);
    certificates.set(`${ROOT}certs/${name}.pem`, cert).set(`${ROOT}certs/${name}.key`, key);
  }
  const weak = await makeWeakCertificate(['shop.acme.example', '*.shop.acme.example']);
  certificates.set(`${ROOT}certs/weak.pem`, weak.cert).set(`${ROOT}certs/weak.key`, weak.key);
  // A chain is as weak as its weakest key.
  certificates.set(`${ROOT}certs/chain.pem`, `${certificates.get(`${ROOT}certs/acme.pem`) ?? ''}\n${weak.cert}`);
  certificates.set(`${ROOT}certs/short`, 'too short\n').set(`${ROOT}certs/secret`, `${'0123456789abcdef'.repeat(4)}\n`);
  certificates.set(`${ROOT}certs/garbage.pem`, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
});

function readCase(name: string): Map<string, string> {
  const folder = path.join(GOLDEN, name);
  const files = readdirSync(folder, {recursive: true, encoding: 'utf8'}).filter((file) => file.endsWith('.yaml'));
  return new Map(files.map((file) => [ROOT + file, readFileSync(path.join(folder, file), 'utf8')]));
}

async function explain(name: string): Promise<string> {
  const files = new Map([...readCase('base'), ...readCase(name), ...certificates]);
  const result = await loadConfig(`${ROOT}torwart.yaml`, createMemorySource(files), {machine: {cores: 4, memoryBytes: 2 ** 30}, nowMs: Date.now()});
  assert.equal(result.snapshot === null, result.problems.length > 0, 'a snapshot or problems, never both and never neither');
  const lines = [...result.problems.map((problem) => `error: ${formatProblem(problem)}`), ...result.warnings.map((problem) => `warning: ${formatProblem(problem)}`)];
  return lines.map((line) => `${line.replaceAll(ROOT, '')}\n`).join('');
}

for (const name of readdirSync(GOLDEN)) {
  test(name.replaceAll('-', ' '), async () => {
    const expectedFile = path.join(GOLDEN, name, 'expected.txt');
    const actual = await explain(name);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(expectedFile, actual);
    assert.equal(actual, readFileSync(expectedFile, 'utf8'));
  });
}
