import assert from 'node:assert/strict';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import {runCheck} from '#src/cli/check.ts';
import {customerText, NODE_TEXT} from '#test/config/customers.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'torwart-check-'));
after(() => rmSync(folder, {recursive: true}));
mkdirSync(path.join(folder, 'customers'));

async function check(customer: string): Promise<{code: number; stdout: string; stderr: string}> {
  writeFileSync(path.join(folder, 'torwart.yaml'), NODE_TEXT);
  writeFileSync(path.join(folder, 'customers/acme.yaml'), customer);
  const output = {stdout: '', stderr: ''};
  const write = (stream: 'stdout' | 'stderr') => ({write: (text: string) => void (output[stream] += text)});
  const code = await runCheck(path.join(folder, 'torwart.yaml'), write('stdout'), write('stderr'));
  return {code, ...output};
}

test('a right configuration is one line', async () => {
  const {code, stdout, stderr} = await check(customerText('acme', 1));
  assert.equal(code, 0);
  assert.match(stdout, /^ok: 1 customer, 1 host, 1 route, 1 server, 1 listener, 0 warnings, nothing outlives the daemon \(no state\.path\), revision [0-9a-f]{12}\n$/);
  assert.equal(stderr, '');
});

test('a warning is listed and does not fail', async () => {
  const {code, stdout, stderr} = await check(customerText('acme', 1).replace('pools: {', 'pools: {spare: {servers: [{address: "10.1.1.12:80"}]}, '));
  assert.equal(code, 0);
  assert.match(stdout, /^ok: .* 1 warning, /);
  assert.match(stderr, /^warning: .*acme\.yaml:3:16: pools\.spare: /);
});

test('every problem is listed, and the exit code is 1', async () => {
  const {code, stdout, stderr} = await check('customer: acme\nnetworks: []\nsites: []\n');
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.equal(stderr.split('\n').filter((line) => line.startsWith('error: ')).length, 2);
  assert.match(stderr, /\nfailed: 2 problems in .*torwart\.yaml\n$/);
});

test('a file that is not there is a problem like any other', async () => {
  let stderr = '';
  assert.equal(await runCheck(path.join(folder, 'absent.yaml'), {write: () => undefined}, {write: (text: string) => void (stderr += text)}), 1);
  assert.match(stderr, /absent\.yaml:1:1: found a file that does not exist/);
});
