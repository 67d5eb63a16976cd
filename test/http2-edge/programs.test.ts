/** Clients that others wrote: each has its own idea of settings, windows, priorities and the order of frames. */
import assert from 'node:assert/strict';
import {execFile, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import http2 from 'node:http2';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, beforeEach, describe, test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {makeCertificate} from '#test/config/certificates.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {certificate, customer, pool, route, site} from '#test/support/snapshots.ts';

const run = promisify(execFile);
const LOCAL_PAIR = await makeCertificate(['localhost']);
const {proxy, upstream} = await startStage({after}, {
  acme: {route: {maxBodyBytes: 16 * 1024 * 1024}, pool: {connectionsMax: 200}},
  // For a program that can be told of no other name.
  customers: ({port}) => [customer('local', {certificates: [certificate(LOCAL_PAIR, ['localhost'])], pools: [pool('app', [port])], sites: [site(['localhost'], [route('/')])]})],
});
const PORT = proxy.ports['https'];
const ORIGIN = `https://acme.test:${PORT}`;

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

/** The reason to skip, or false where the program is there. */
function missing(program: string, packageName: string): string | false {
  return spawnSync(program, ['--version']).status === 0 ? false : `${program} is not installed (Debian package ${packageName})`;
}

function createFolder(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'torwart-programs-'));
  context.after(() => rmSync(folder, {recursive: true, force: true}));
  return folder;
}

test('curl', {skip: missing('curl', 'curl')}, async (context) => {
  const file = path.join(createFolder(context), 'upload');
  writeFileSync(file, Buffer.alloc(3_000_000, 'x'));
  const options = ['-sk', '--http2', '--resolve', `acme.test:${PORT}:127.0.0.1`, '--max-time', '20'];
  const write = ['-w', ' %{http_version} %{http_code} %{num_connects}\n'];
  assert.equal((await run('curl', [...options, ...write, `${ORIGIN}/`, `${ORIGIN}/`])).stdout, 'ok 2 200 1\nok 2 200 0\n');
  upstream.respond = () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n';
  assert.equal((await run('curl', [...options, ...write, '-I', '-o', '/dev/null', `${ORIGIN}/`])).stdout, ' 2 200 1\n');
  upstream.respond = () => OK;
  assert.equal((await run('curl', [...options, ...write, '-H', 'expect: 100-continue', '-T', file, `${ORIGIN}/`])).stdout, 'ok 2 200 1\n');
  assert.equal(upstream.requests.at(-1)?.body.length, 3_000_000);
  upstream.respond = () => `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100000\r\n${'y'.repeat(0x10_0000)}\r\n0\r\n\r\n`;
  assert.equal((await run('curl', [...options, '-o', '/dev/null', '-w', '%{size_download}', `${ORIGIN}/`])).stdout, String(0x10_0000));
});

test('nghttp', {skip: missing('nghttp', 'nghttp2-client')}, async () => {
  const paths = Array.from({length: 5}, (_, i) => `https://localhost:${PORT}/${i}`);
  const {stdout} = await run('nghttp', ['-v', '-n', ...paths]);
  assert.equal(stdout.match(/recv \(stream_id=\d+\) :status: 200/g)?.length, paths.length, stdout);
  assert.equal(stdout.includes('RST_STREAM') || /GOAWAY.*error_code=(?!NO_ERROR)/s.test(stdout), false, stdout);
  const seen = await Promise.all(paths.map(async () => (await upstream.nextRequest()).startLine));
  assert.deepEqual(seen.toSorted(), paths.map((_, i) => `GET /${i} HTTP/1.1`));
});

test('h2load: many requests, small and large, and uploads', {skip: missing('h2load', 'nghttp2-client')}, async (context) => {
  const file = path.join(createFolder(context), 'upload');
  writeFileSync(file, Buffer.alloc(4096, 'x'));
  const load = async (...args: readonly string[]): Promise<string> =>
    (await run('h2load', ['--connect-to', `127.0.0.1:${PORT}`, '-n', '400', '-c', '4', '-m', '20', ...args, `${ORIGIN}/`])).stdout;
  const all = /400 succeeded, 0 failed, 0 errored, 0 timeout/;
  assert.match(await load(), all);
  assert.match(await load('-d', file), all);
  upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n${'x'.repeat(65_536)}`;
  assert.match(await load(), all);
  assert.deepEqual(proxy.faults(), {});
});

describe('node:http2', () => {
  function connect(context: TestContext): http2.ClientHttp2Session {
    const session = http2.connect(`https://127.0.0.1:${PORT}`, {servername: 'acme.test', rejectUnauthorized: false});
    session.on('error', () => undefined);
    context.after(() => session.destroy());
    return session;
  }

  async function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer): Promise<{readonly status: number; readonly length: number}> {
    const stream = session.request({':authority': 'acme.test', ...headers}, {endStream: body === undefined});
    if (body !== undefined) stream.end(body);
    let length = 0;
    stream.on('data', (chunk: Buffer) => { length += chunk.length; });
    const [head] = await once(stream, 'response') as [http2.IncomingHttpHeaders];
    if (!stream.readableEnded) await once(stream, 'end');
    return {status: Number(head[':status']), length};
  }

  test('requests with and without content, many at once', async (context) => {
    const session = connect(context);
    const body = Buffer.alloc(500_000, 'x');
    upstream.respond = ({body: {length}}) => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${'y'.repeat(length)}`;
    const answers = await Promise.all(Array.from({length: 40}, (_, i) => (i % 4 === 0 ? ask(session, {':method': 'POST', ':path': `/${i}`}, body) : ask(session, {':path': `/${i}`}))));
    assert.deepEqual(answers, Array.from({length: 40}, (_, i) => ({status: 200, length: i % 4 === 0 ? 500_000 : 0})));
    assert.deepEqual(proxy.faults(), {});
  });

  test('a stream that its client closes ends at the upstream', async (context) => {
    const session = connect(context);
    upstream.respond = () => null;
    const stream = session.request({':authority': 'acme.test'});
    stream.on('error', () => undefined);
    const {peer} = await upstream.nextRequest();
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await eventually('the upstream request ends', () => !peer.isOpen);
    upstream.respond = () => OK;
    assert.deepEqual(await ask(session, {}), {status: 200, length: 2});
  });

  test('a response that breaks off is an error', async (context) => {
    const session = connect(context);
    upstream.respond = ({peer}) => {
      peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
      peer.socket.end();
      return null;
    };
    const stream = session.request({':authority': 'acme.test'});
    stream.resume();
    const [error] = await once(stream, 'error') as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ERR_HTTP2_STREAM_ERROR');
  });
});
