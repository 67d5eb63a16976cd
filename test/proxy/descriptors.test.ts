/** Out of file descriptors: those who are here are served, those who come are refused and counted, and it passes. */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {test} from 'node:test';
import {PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {connectRaw, type RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';

const DESCRIPTORS = 160;
const COMMAND = `ulimit -n ${DESCRIPTORS} && exec "$0" "$1" ${DESCRIPTORS}`;
const FIXTURE = new URL('fixtures/scarce-process.ts', import.meta.url).pathname;

test('a process without file descriptors left', {skip: process.platform === 'win32' && 'there is no ulimit'}, async (context) => {
  const child = spawn('sh', ['-c', COMMAND, process.execPath, FIXTURE], {stdio: ['pipe', 'pipe', 'inherit']});
  context.after(() => { child.kill('SIGKILL'); });
  const lines = createInterface({input: child.stdout});
  const [port] = await once(lines, 'line') as [string];

  const clients: RawClient[] = [];
  while (clients.length < DESCRIPTORS) clients.push(await connectRaw(context, Number(port)));
  const isServed = async (client: RawClient): Promise<boolean> => {
    client.send(PROBE);
    await eventually('an answer or an end', () => client.received !== '' || client.end !== 'none');
    return client.end === 'none' && statusOf(await client.response()) === 200;
  };
  const served: RawClient[] = [];
  let refused = 0;
  for (const client of clients) {
    if (await isServed(client)) served.push(client);
    else refused++;
  }
  assert.ok(served.length >= 30 && refused > 0, `${served.length} served, ${refused} refused`);
  for (const client of served) assert.ok(await isServed(client), 'who is here is served');

  child.stdin.write('\n');
  const [report] = await once(lines, 'line') as [string];
  assert.deepEqual(JSON.parse(report), {descriptors_exhausted: refused});

  for (const client of clients) client.destroy();
  let isRecovered = false;
  for (let attempt = 0; attempt < 100 && !isRecovered; attempt++) isRecovered = await isServed(await connectRaw(context, Number(port)));
  assert.ok(isRecovered, 'it passes');
  child.stdin.end();
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
