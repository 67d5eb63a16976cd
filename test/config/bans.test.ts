/** What the node file says about bans, the state folder and the admin socket. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {findAdminSocket} from '#src/config/admin-socket.ts';
import {diffSnapshots} from '#src/config/diff.ts';
import {formatProblem} from '#src/config/problem.ts';
import {listNeverBanned} from '#src/config/never-banned.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {formatCidr} from '#src/core/ip.ts';
import {customerText, loadTexts, NODE_TEXT} from '#test/config/customers.ts';

async function load(extra: string): Promise<Snapshot> {
  const {snapshot, problems} = await loadTexts({acme: customerText('acme', 1)}, `${NODE_TEXT}${extra}`);
  assert.deepEqual(problems.map(formatProblem), []);
  return snapshot ?? assert.fail();
}

async function explain(extra: string): Promise<string> {
  return (await loadTexts({acme: customerText('acme', 1)}, `${NODE_TEXT}${extra}`)).problems.map(formatProblem).join('\n');
}

test('paths are relative to the node file', async () => {
  const {node} = await load('state: {path: state}\nadmin_socket: ../run/admin.sock\n');
  assert.deepEqual([node.stateFolder, node.adminSocket], ['/etc/state', '/run/admin.sock']);
});

test('this machine, trusted proxies and allowed networks are never banned', async () => {
  const {node} = await load('trusted_proxies: [198.51.100.1]\nbans: {allow: [192.0.2.0/28, "2001:DB8::/32"]}\n');
  assert.deepEqual(listNeverBanned(node).map(({network, because}) => `${formatCidr(network)} ${because}`), [
    '127.0.0.1/32 this machine itself', '::1/128 this machine itself', '198.51.100.1/32 in trusted_proxies', '192.0.2.0/28 in bans.allow', '2001:db8::/32 in bans.allow',
  ]);
});

test('mistakes are told', async () => {
  assert.match(await explain('bans: {allow: [192.0.2.1/28]}\n'), /bans\.allow\[0\]: found "192\.0\.2\.1\/28"/);
  assert.match(await explain('bans: {allows: []}\n'), /did you mean allow\?/);
  assert.match(await explain(`admin_socket: ${'x'.repeat(108)}\n`), /admin_socket: found .*at most 107 bytes/);
  assert.match(await explain('admin_socket: ""\n'), /admin_socket: found ""/);
  assert.match(await explain('state: {path: 5}\n'), /state\.path: found 5/);
});

test('the folder and the socket change with a restart, allowed networks at once', async () => {
  const before = await load('');
  const moved = diffSnapshots(before, await load('state: {path: state}\nadmin_socket: a.sock\n'));
  assert.deepEqual([moved.node, moved.needsRestart], [null, ['stateFolder', 'adminSocket']]);
  const allowed = diffSnapshots(before, await load('bans: {allow: [192.0.2.1]}\n'));
  assert.deepEqual([allowed.node?.bans.allow, allowed.needsRestart], [['192.0.2.1/32'], []]);
});

test('the socket is found in a file in which everything else is wrong', () => {
  assert.equal(findAdminSocket('/etc/torwart/torwart.yaml', 'bogus: 1\nlisteners: {}\nadmin_socket: ../a.sock\n'), '/etc/a.sock');
  for (const text of ['', 'admin_socket: 5\n', 'admin_socket: ""\n', 'listeners: []\n', '[', '{{']) assert.equal(findAdminSocket('/etc/torwart.yaml', text), null, text);
});
