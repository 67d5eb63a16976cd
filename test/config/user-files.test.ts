/** Files of users are part of what a customer is made of. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {loadConfig, type ConfigResult} from '#src/config/load.ts';
import {customerFile, customerText, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {createMemorySource} from '#test/config/memory-source.ts';

const HASH = '$2y$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq';
const USER_FILE = '/etc/customers/staff.htpasswd';
const TEXT = `${customerText('acme', 1)}auth: {staff: {basic: {users: {alice: "${HASH}"}, users_file: staff.htpasswd}}}\n`;

async function load(userFile: string, before: ConfigResult | null = null): Promise<ConfigResult> {
  const files = new Map([[NODE_FILE, NODE_TEXT], [customerFile('acme'), TEXT], [USER_FILE, userFile]]);
  return loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs: 0}, before);
}

test('users of the file join those beside it', async () => {
  const {snapshot} = await load(`bob:${HASH}\n`);
  assert.deepEqual(snapshot?.customers[0]?.auth, [{type: 'basic', name: 'staff', realm: 'Restricted', users: [['alice', HASH], ['bob', HASH]], isAuthorizationPassed: false}]);
});

test('a user in both places is a problem', async () => {
  assert.deepEqual((await load(`alice:${HASH}\n`)).problems.map(({key, found}) => [key, found]), [['auth.staff.basic.users_file', 'the user alice, who is also under users']]);
});

test('the same file makes the same customer, a changed one another', async () => {
  const first = await load(`bob:${HASH}\n`);
  const same = await load(`bob:${HASH}\n`, first);
  assert.equal(same.customers[0]?.customer, first.customers[0]?.customer);
  const changed = await load(`carol:${HASH}\n`, same);
  const [way] = changed.snapshot?.customers[0]?.auth ?? [];
  assert.deepEqual(way?.type === 'basic' && way.users.map(([name]) => name), ['alice', 'carol']);
  const broken = await load('carol\n', changed);
  assert.deepEqual(broken.problems.map(({key}) => key), ['auth.staff.basic.users_file']);
});
