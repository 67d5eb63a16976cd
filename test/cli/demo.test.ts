import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {ROOT, spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {eventually} from '#test/support/eventually.ts';

const run = promisify(execFile);

/** The example configuration has fixed addresses: with a demo running on this machine there is no second one. */
async function isFree(address: string, port: number): Promise<boolean> {
  const server = net.createServer().listen(port, address);
  const free = await once(server, 'listening').then(() => true, () => false);
  if (free) server.close();
  return free;
}

const ADDRESSES = [['127.10.1.11', 3000], ['127.10.1.12', 3000], ['127.10.2.11', 3000], ['127.10.2.12', 3000], ['127.0.0.1', 8080], ['127.0.0.1', 8443], ['127.0.0.1', 9180]] as const;
const taken = (await Promise.all(ADDRESSES.map(async ([address, port]) => (await isFree(address, port) ? [] : [`${address}:${port}`])))).flat();
const skip = taken.length === 0 ? false : `the demo needs ${taken.join(', ')}, which something else uses`;

test('every line that the demo prints works as printed, and SIGINT ends it with 0', {skip}, async context => {
  const {child, output, exited} = spawnTorwart(context, ['demo']);
  await eventually('it says what to try', () => {
    if (child.exitCode !== null) throw new Error(`the demo ended: ${output.stderr}`);
    return output.stdout.includes('Ctrl-C');
  });
  const lines = output.stdout.split('\n').filter(line => line.startsWith('  curl ')).map(line => line.trim());
  const answers = await Promise.all(lines.map(async line => (await run('sh', ['-c', line.replace('curl', 'curl -sS')], {cwd: ROOT})).stdout));
  const expected = [/"customer": "acme"/, /"customer": "acme"/, /"customer": "globex"/, /^HTTP\/2 400 /, /^HTTP\/1\.1 308 /, /^torwart_build_info/m, /^ready$/m];
  assert.equal(lines.length, expected.length);
  const tour = readFileSync(path.join(ROOT, 'README.md'), 'utf8').split('\n').filter(line => line.startsWith('curl '));
  assert.deepEqual(tour.filter(line => !lines.includes(line)), [], "the README's lines are among them");
  assert.ok(tour.length > 5);
  for (const [index, pattern] of expected.entries()) assert.match(answers[index] ?? '', pattern, lines[index] ?? '');
  child.kill('SIGINT');
  assert.equal(await exited, 0);
});

test('an address that is taken is a clear error', {skip}, async context => {
  const server = net.createServer().listen(3000, '127.10.1.11');
  await once(server, 'listening');
  context.after(() => server.close());
  const {output, exited} = spawnTorwart(context, ['demo']);
  assert.equal(await exited, 1);
  assert.match(output.stderr, /demo applications cannot start: .*EADDRINUSE.*127\.10\.1\.11:3000/);
});
