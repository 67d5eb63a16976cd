/** A load that uses what an earlier one made gives what a load from nothing gives. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import type {FileSource} from '#src/config/file-source.ts';
import {type ConfigResult, loadConfig} from '#src/config/load.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {customerFile, customerText, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {createMemorySource} from '#test/config/memory-source.ts';
import {testAsyncProperty} from '#test/support/property.ts';

type Files = ReadonlyMap<string, string>;

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const HTTPS = '  - {name: https, address: "0.0.0.0:8443", protocol: https}\n';
const [CURRENT, SHORT] = await Promise.all([makeCertificate(['*.example', 'www.acme.example']), makeCertificate(['*.example', 'www.acme.example'], new Date(NOW_MS + 20 * DAY_MS))]);

/** Like a source of real files, it gives the earlier result again where the file is the same; unless it cannot be sure. */
function createKnowingSource(files: Files, isSure: boolean): FileSource {
  const memory = createMemorySource(files);
  return {
    ...memory,
    isKnown: (file, before) => isSure && before.ok && files.get(file) === before.text,
    readText: async (file, bytesMax, before) => {
      const read = await memory.readText(file, bytesMax);
      return isSure && before?.ok === true && read.ok && before.text === read.text ? before : read;
    },
  };
}

function load(files: Files, before: ConfigResult | null, {isSure = true, nowMs = NOW_MS} = {}): Promise<ConfigResult> {
  return loadConfig(NODE_FILE, createKnowingSource(files, isSure), {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs}, before);
}

/** All that a load says, without what it was made of. */
function saidBy({customers, ...rest}: ConfigResult): unknown {
  return {...rest, customers: customers.map(({locate: _locate, claimant: _claimant, origin: _origin, ...said}) => said)};
}

function filesOf(customers: Readonly<Record<string, string>>, node = NODE_TEXT): Map<string, string> {
  return new Map([[NODE_FILE, node], ...Object.entries(customers).map(([name, text]) => [customerFile(name), text] as const)]);
}

function withCertificate(files: Map<string, string>, {cert, key} = CURRENT): Map<string, string> {
  return files.set('/etc/customers/acme.pem', cert).set('/etc/customers/acme.key', key);
}

const CERTIFICATES = 'certificates: [{cert: acme.pem, key: acme.key}]\n';
const TLS_TEXT = customerText('acme', 1) + CERTIFICATES;

async function expectChange(before: Files, after: Files, times: {readonly thenMs?: number; readonly nowMs?: number} = {}): Promise<ConfigResult> {
  const {thenMs = NOW_MS, nowMs = NOW_MS} = times;
  const first = await load(before, null, {nowMs: thenMs});
  const second = await load(after, first, {nowMs});
  assert.deepEqual(saidBy(second), saidBy(await load(after, null, {nowMs})));
  assert.notDeepEqual(saidBy(second), saidBy(first));
  return second;
}

for (const [about, text, filesOfOne] of [['without certificates', '', 1], ['with certificates', CERTIFICATES, 3]] as const) {
  test(`a load gives way between files, also where none of them is read, of customers ${about}`, async () => {
    const files = withCertificate(filesOf(Object.fromEntries(Array.from({length: 100}, (_, n) => [`c${n}`, customerText(`c${n}`, n) + text]))));
    const first = await load(files, null);
    const source = createKnowingSource(files, true);
    let looks = 0;
    const looksBetween = [0];
    const second = await loadConfig(NODE_FILE, {...source, isKnown: (file, before) => {
      looks++;
      return source.isKnown(file, before);
    }}, {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs: NOW_MS, rest: () => {
      looksBetween.push(looks);
      looks = 0;
      return Promise.resolve();
    }}, first);
    looksBetween.push(looks);
    assert.deepEqual(saidBy(second), saidBy(first));
    assert.ok(looksBetween.length > 6);
    assert.ok(Math.max(...looksBetween) < 16 + filesOfOne, looksBetween.join(' '));
  });
}

test('a load gives way after each customer that is made anew', async () => {
  const files = filesOf(Object.fromEntries(Array.from({length: 20}, (_, n) => [`c${n}`, customerText(`c${n}`, n)])));
  let rests = 0;
  await loadConfig(NODE_FILE, createKnowingSource(files, true), {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs: NOW_MS, rest: () => {
    rests++;
    return Promise.resolve();
  }});
  assert.ok(rests >= 19, String(rests));
});

test('only the customer whose file changed is made again', async () => {
  const customers = {acme: customerText('acme', 1), globex: customerText('globex', 2)};
  const first = await load(filesOf(customers), null);
  for (const isSure of [true, false]) {
    const second = await load(filesOf({...customers, acme: customerText('acme', 1, {server: '10.1.1.99:80'})}), first, {isSure});
    assert.notEqual(second.customers[0]?.customer, first.customers[0]?.customer);
    assert.equal(second.customers[1]?.customer, first.customers[1]?.customer);
  }
});

test('settings of the node that customers do not depend on leave them as they are', async () => {
  const first = await load(filesOf({acme: customerText('acme', 1)}), null);
  const second = await load(filesOf({acme: customerText('acme', 1)}, `${NODE_TEXT}log: {level: debug}\nlimits: [{name: all, rate: 5/s}]\n`), first);
  assert.notDeepEqual(second.node, first.node);
  assert.equal(second.customers[0]?.customer, first.customers[0]?.customer);
});

test('what a source once did not know may be known the next time', async () => {
  const files = filesOf({acme: customerText('acme', 1)});
  const first = await load(files, null);
  const second = await load(files, first, {isSure: false});
  assert.notEqual(second.customers[0]?.origin.read, first.customers[0]?.origin.read, 'the newer read, which may have a stamp');
  assert.equal((await load(files, second)).customers[0], second.customers[0]);
});

test('a default of the node changes every customer that inherits it', async () => {
  const customers = {acme: customerText('acme', 1)};
  const {customers: [acme]} = await expectChange(filesOf(customers), filesOf(customers, `${NODE_TEXT}max_body: 1MiB\n`));
  assert.equal(acme?.customer?.sites[0]?.routes[0]?.maxBodyBytes, 1_048_576);
});

test('a listener on the address of a server is seen', async () => {
  const customers = {acme: customerText('acme', 1, {network: '127.0.0.0/8', server: '127.0.0.1:8081'})};
  const {problems} = await expectChange(filesOf(customers), filesOf(customers, `${NODE_TEXT}  - {name: more, address: "127.0.0.1:8081", protocol: http}\n`));
  assert.match(problems[0]?.found ?? '', /the listener more/);
});

test('a certificate or key that changes is seen, although no configuration file changes', async () => {
  const before = withCertificate(filesOf({acme: TLS_TEXT}, NODE_TEXT + HTTPS));
  const renewed = await expectChange(before, withCertificate(filesOf({acme: TLS_TEXT}, NODE_TEXT + HTTPS), SHORT));
  assert.equal(renewed.customers[0]?.customer?.certificates[0]?.certPem, SHORT.cert);
  const torn = await expectChange(before, withCertificate(filesOf({acme: TLS_TEXT}, NODE_TEXT + HTTPS), {...CURRENT, key: SHORT.key}));
  assert.match(torn.problems[0]?.found ?? '', /the key of another certificate/);
  const gone = new Map(before);
  gone.delete('/etc/customers/acme.key');
  assert.match((await expectChange(before, gone)).problems[0]?.found ?? '', /does not exist/);
  await expectChange(gone, before);
});

test('time alone can change what is said about a certificate, forwards and backwards', async () => {
  const files = withCertificate(filesOf({acme: TLS_TEXT}), SHORT);
  const [soonMs, expiredMs] = [NOW_MS + 10 * DAY_MS, NOW_MS + 30 * DAY_MS];
  assert.match((await expectChange(files, files, {nowMs: soonMs})).warnings[0]?.found ?? '', /expires soon/);
  assert.match((await expectChange(files, files, {thenMs: soonMs, nowMs: expiredMs})).warnings[0]?.found ?? '', /has expired/);
  assert.deepEqual((await expectChange(files, files, {thenMs: expiredMs, nowMs: NOW_MS})).warnings, []);
});

const customer = fc.record({
  name: fc.constantFrom('acme', 'globex', 'initech'),
  n: fc.constantFrom(1, 2, 3),
  hosts: fc.uniqueArray(fc.constantFrom('www.acme.example', '*.example', 'b.example', 'c.other'), {minLength: 1, maxLength: 2}),
  server: fc.constantFrom(undefined, '10.1.1.12:80', '127.0.0.1:9180', 'nonsense'),
  sections: fc.subarray([CERTIFICATES, 'auth: {staff: {basic: {users_file: staff.htpasswd}}}\n']),
}).map(({name, n, hosts, server, sections}) => customerText(name, n, {hosts, ...(server !== undefined && {server})}) + sections.join(''));
const text = fc.oneof({weight: 5, arbitrary: customer}, fc.constantFrom('', '{', 'customer: acme\n', 'a: &a [*a]', '__proto__: 1\n'));
const node = fc.oneof({weight: 4, arbitrary: fc.constant(NODE_TEXT)}, fc.constantFrom(NODE_TEXT + HTTPS, `${NODE_TEXT}max_body: 5MiB\n`, `${NODE_TEXT}log: {level: warn}\n`, 'listeners: [', `${NODE_TEXT}customers: none/*.yaml\n`));
const pem = fc.constantFrom(CURRENT.cert, CURRENT.key, SHORT.cert, SHORT.key, 'no PEM');
const users = fc.constantFrom('alice:$2y$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq\n', 'bob:$2y$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq\n', 'bob:secret\n');
const CUSTOMER_FILES = ['a', 'b', 'c'].map(customerFile);

/** Each puts one file in place, or takes it away. */
const edit = fc.oneof(
  fc.record({file: fc.constantFrom(...CUSTOMER_FILES), content: fc.option(text)}),
  fc.record({file: fc.constant(NODE_FILE), content: fc.option(node, {freq: 9})}),
  fc.record({file: fc.constantFrom('/etc/customers/acme.pem', '/etc/customers/acme.key'), content: fc.option(pem)}),
  fc.record({file: fc.constant('/etc/customers/staff.htpasswd'), content: fc.option(users)}),
);
const step = fc.record({edits: fc.array(edit, {maxLength: 3}), days: fc.constantFrom(0, 10, 30), isSure: fc.boolean()});

testAsyncProperty('whatever changes, a load that knows the one before says what a load from nothing says', fc.asyncProperty(fc.array(step, {maxLength: 6}), async (steps) => {
  const files = withCertificate(new Map([[NODE_FILE, NODE_TEXT], ...CUSTOMER_FILES.map((file, index) => [file, customerText(`c${index}`, 10 + index)] as const)]));
  let before = await load(files, null);
  for (const {edits, days, isSure} of steps) {
    for (const {file, content} of edits) {
      if (content === null) files.delete(file);
      else files.set(file, content);
    }
    const nowMs = NOW_MS + days * DAY_MS;
    const after = await load(files, before, {isSure, nowMs});
    assert.deepEqual(saidBy(after), saidBy(await load(files, null, {nowMs})));
    before = after;
  }
}), 150);
