/** The admin socket with raw bytes: who may use it, what it answers, and that nothing makes it wait or grow. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {mkdtemp, rm, stat, writeFile} from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {createAdminRouter, type AdminAnswer} from '#src/control/admin-commands.ts';
import {AdminSocket} from '#src/control/admin-socket.ts';
import {BanKeeper} from '#src/control/ban-keeper.ts';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {createLogLines} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

async function createFile(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torwart-admin-'));
  context.after(() => rm(folder, {recursive: true, force: true}));
  return path.join(folder, 'admin.sock');
}

async function listen(context: TestContext, answer?: (text: string) => Promise<AdminAnswer>): Promise<{file: string; errors: unknown[]}> {
  const file = await createFile(context);
  const errors: unknown[] = [];
  const bans = new BanKeeper({memory: createSharedMemory(1, 10), stateFolder: null, log: createLogLines().log, now: () => Date.now()});
  await bans.start(makeSnapshot('1', [makeCustomer('acme')]));
  const socket = await AdminSocket.listen(file, {answer: answer ?? createAdminRouter({bans}), onError: (error) => errors.push(error)});
  context.after(async () => {
    await socket.close();
    await bans.stop();
  });
  return {file, errors};
}

/** Sends bytes, leaves its side open, and reads until the other side ends. */
async function converse(file: string, bytes: string): Promise<string> {
  const socket = net.connect({path: file, allowHalfOpen: true});
  socket.setEncoding('utf8').on('error', () => undefined).write(bytes);
  let text = '';
  socket.on('data', (chunk: string) => { text += chunk; });
  await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  socket.destroy();
  return text;
}

async function ask(file: string, request: unknown): Promise<AdminAnswer> {
  return JSON.parse(await converse(file, `${JSON.stringify(request)}\n`)) as AdminAnswer;
}

const BAN = {command: 'ban', customer: null, network: '192.0.2.1', reason: 'a test', forMs: 60_000};

test('ban, list, unban', async (context) => {
  const {file} = await listen(context);
  const banned = await ask(file, BAN);
  assert.ok(banned.ok && 'ban' in banned.result);
  const {ban, isSaved} = banned.result;
  assert.deepEqual([ban.network, ban.source, isSaved], ['192.0.2.1/32', 'admin_socket', false]);
  assert.deepEqual(await ask(file, {command: 'bans'}), {ok: true, result: [ban]});
  assert.equal((await ask(file, {command: 'unban', customer: 'acme', network: '192.0.2.1'})).ok, false);
  assert.deepEqual(await ask(file, {command: 'unban', customer: null, network: '192.0.2.1'}), {ok: true, result: {ban, isSaved: false}});
  assert.deepEqual(await ask(file, {command: 'bans'}), {ok: true, result: []});
});

test('only its owner may use it', async (context) => {
  const {file} = await listen(context);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

for (const [what, text, pattern] of [
  ['no JSON', '{\n', /not JSON/], ['an empty line', '\n', /not JSON/], ['a number', '1\n', /not understood/], ['an unknown command', '{"command":"stop"}\n', /not understood: command/],
  ['an unknown key', `${JSON.stringify({...BAN, extra: 1})}\n`, /not understood: .*extra/], ['a missing key', '{"command":"unban","network":"192.0.2.1"}\n', /customer/],
  ['a wrong type', `${JSON.stringify({...BAN, forMs: '60000'})}\n`, /forMs/], ['a prototype', '{"__proto__":{"command":"bans"}}\n', /not understood/],
  ['a refusal', `${JSON.stringify({...BAN, network: '127.0.0.1'})}\n`, /this machine itself/],
  ['a network of a thousand characters', `${JSON.stringify({...BAN, network: '1'.repeat(1000)})}\n`, /network/],
  ['a line without end', 'x'.repeat(LIMITS.adminRequestBytesMax + 1), /too long/],
  ['a line that is too long', `${'x'.repeat(LIMITS.adminRequestBytesMax + 1)}\n`, /too long/],
  ['two requests', '{"command":"stop"}\n{"command":"bans"}\n', /^\{"ok":false[^\n]*\n$/],
] as const) {
  test(`it is answered with the reason: ${what}`, async (context) => {
    const {file, errors} = await listen(context);
    const answer = await converse(file, text);
    assert.match(answer, /^\{"ok":false,"error":"/);
    assert.match(answer, pattern);
    assert.deepEqual(errors, []);
  });
}

test('a request of the longest length that is allowed is read, in however many pieces', async (context) => {
  const {file} = await listen(context);
  const bare = JSON.stringify({command: 'bans'});
  const text = `${' '.repeat(LIMITS.adminRequestBytesMax - bare.length)}${bare}\n`;
  assert.equal(await converse(file, text), '{"ok":true,"result":[]}\n');
});

test('whoever leaves without a request gets nothing, and the next is served', async (context) => {
  const {file} = await listen(context);
  const socket = net.connect(file);
  await once(socket, 'connect');
  socket.end('{"command":');
  await once(socket, 'close');
  assert.equal((await ask(file, {command: 'bans'})).ok, true);
});

test('a bug is logged and tells the client nothing', async (context) => {
  const {file, errors} = await listen(context, () => Promise.reject(new Error('secret')));
  assert.deepEqual(await ask(file, {command: 'bans'}), {ok: false, error: 'something went wrong in the daemon: see its log'});
  assert.equal(errors.length, 1);
});

test('a second daemon does not take the socket of one that lives', async (context) => {
  const {file} = await listen(context);
  await assert.rejects(AdminSocket.listen(file, {answer: () => assert.fail(), onError: () => undefined}), /belongs to a daemon that is running/);
  assert.equal((await ask(file, {command: 'bans'})).ok, true);
});

test('what is no socket is left alone', async (context) => {
  const file = await createFile(context);
  await writeFile(file, 'precious');
  await assert.rejects(AdminSocket.listen(file, {answer: () => assert.fail(), onError: () => undefined}), /is not a socket/);
});

test('a path that the system would cut is refused', async (context) => {
  const file = `${await createFile(context)}${'x'.repeat(100)}`;
  await assert.rejects(AdminSocket.listen(file, {answer: () => assert.fail(), onError: () => undefined}), /longer than 107 bytes/);
});
