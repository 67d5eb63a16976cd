/** TLS to servers, from the file to the snapshot. What is refused is in `golden/pool-tls-…`. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {type ConfigResult, loadConfig} from '#src/config/load.ts';
import type {PoolTlsSnapshot} from '#src/config/snapshot.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {customerFile, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {createMemorySource} from '#test/config/memory-source.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';

const NOW_MS = Date.now();
const DAY_MS = 86_400_000;
const authority = await CertificateAuthority.create('the authority');
const other = await CertificateAuthority.create('another');
const CLIENT = await authority.issue({isForClients: true});
const RENEWED = await authority.issue({isForClients: true});

function filesWith(tls: string): Map<string, string> {
  const text = `customer: acme
networks: [10.1.1.0/24]
pools: {web: {servers: [{address: "10.1.1.11:3000"}], tls: ${tls}}, clear: {servers: [{address: "10.1.1.12:3000"}]}}
sites: [{hosts: [acme.example], routes: [{path: /, pool: web}, {path: /clear, pool: clear}]}]
`;
  return new Map([
    [NODE_FILE, NODE_TEXT], [customerFile('acme'), text],
    ['/etc/customers/ca.pem', authority.certPem], ['/etc/customers/us.pem', CLIENT.cert], ['/etc/customers/us.key', CLIENT.key],
  ]);
}

async function load(files: Map<string, string>, before: ConfigResult | null = null, nowMs = NOW_MS): Promise<ConfigResult> {
  return loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs}, before);
}

function tlsOf({snapshot, problems}: ConfigResult): PoolTlsSnapshot | null | undefined {
  assert.deepEqual(problems, []);
  return snapshot?.customers[0]?.pools.find(({name}) => name === 'web')?.tls;
}

const DEFAULTS: PoolTlsSnapshot = {caPem: null, serverName: '', certificate: null, isVerified: true, versionMin: 'TLSv1.2'};

for (const [written, expected] of [
  ['{}', DEFAULTS],
  ['{server_name: app.internal, min_version: TLSv1.3}', {...DEFAULTS, serverName: 'app.internal', versionMin: 'TLSv1.3'}],
  ['{ca: ca.pem}', {...DEFAULTS, caPem: authority.certPem}],
  ['{insecure: true}', {...DEFAULTS, isVerified: false}],
] as const) {
  test(`tls: ${written}`, async () => {
    const result = await load(filesWith(written));
    assert.deepEqual(tlsOf(result), expected);
    assert.equal(result.snapshot?.customers[0]?.pools.find(({name}) => name === 'clear')?.tls, null);
    assert.deepEqual(result.snapshot?.customers[0]?.certificates, [], 'none of them is shown to clients');
    assert.equal(result.warnings.length, expected.isVerified ? 0 : 1);
  });
}

test('a certificate that is shown to servers needs no names', async () => {
  const tls = tlsOf(await load(filesWith('{ca: ca.pem, cert: us.pem, key: us.key}')));
  assert.deepEqual([tls?.certificate?.certPem, tls?.certificate?.keyPem, tls?.certificate?.names], [CLIENT.cert, CLIENT.key, []]);
});

test('a reload sees that a file of it has changed, although no configuration file has', async () => {
  const files = filesWith('{ca: ca.pem, cert: us.pem, key: us.key}');
  const first = await load(files);
  const moved = await load(new Map(files).set('/etc/customers/ca.pem', other.certPem), first);
  assert.equal(tlsOf(moved)?.caPem, other.certPem);
  const renewed = await load(new Map(files).set('/etc/customers/us.pem', RENEWED.cert).set('/etc/customers/us.key', RENEWED.key), first);
  assert.equal(tlsOf(renewed)?.certificate?.certPem, RENEWED.cert);
  for (const changed of [moved, renewed]) assert.notEqual(changed.snapshot?.customers[0]?.revision, first.snapshot?.customers[0]?.revision);
  const same = await load(files, first);
  assert.equal(same.snapshot?.customers[0], first.snapshot?.customers[0]);
  const gone = new Map(files);
  gone.delete('/etc/customers/ca.pem');
  assert.match((await load(gone, first)).problems[0]?.key ?? '', /^pools\.web\.tls\.ca$/);
});

test('the end of certificates is warned of in time', async () => {
  const soon = await makeCertificate([], new Date(NOW_MS + 20 * DAY_MS));
  for (const [tls, key] of [['{ca: soon.pem}', 'pools.web.tls.ca'], ['{cert: soon.pem, key: soon.key}', 'pools.web.tls.cert']] as const) {
    const files = filesWith(tls).set('/etc/customers/soon.pem', soon.cert).set('/etc/customers/soon.key', soon.key);
    const first = await load(files);
    assert.deepEqual(first.warnings, []);
    const later = await load(files, first, NOW_MS + 10 * DAY_MS);
    assert.deepEqual(later.warnings.map((warning) => [warning.key, /that expires soon/.test(warning.found)]), [[key, true]]);
  }
});

test('of several authorities the last one counts', async () => {
  const soon = await makeCertificate([], new Date(NOW_MS + 2 * DAY_MS));
  const files = filesWith('{ca: both.pem}').set('/etc/customers/both.pem', `${soon.cert}\n${authority.certPem}`);
  assert.deepEqual((await load(files)).warnings, []);
});
