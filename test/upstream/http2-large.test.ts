/** HTTP/2 on both sides: large responses at once, of an application of `node:http2`, which counts for each session what waits in it. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import http2, {createServer, type ServerHttp2Stream} from 'node:http2';
import {Readable} from 'node:stream';
import {test, type TestContext} from 'node:test';
import {PAIR} from '#test/http2-edge/stage.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';
import {startApplication, type Application} from '#test/upstream/http2-stage.ts';

const MIB = 1024 * 1024;
const REQUESTS = 16;
const CONTENT = Buffer.alloc(2 * MIB, 'x');

interface Stage {
  readonly application: Application;
  readonly proxy: ProxyHarness;
  /** Status and bytes of one response. */
  readonly ask: () => Promise<string>;
}

async function start(context: TestContext, answer: (stream: ServerHttp2Stream) => void): Promise<Stage> {
  // In MB.
  const application = await startApplication(context, createServer({maxSessionMemory: 1}));
  application.respond = (stream) => {
    stream.respond({':status': 200, 'content-length': String(CONTENT.length)});
    answer(stream);
  };
  const customers = [{...acme([application.port], {pool: {protocol: 'h2c'}}), certificates: [certificate(PAIR, ['acme.test'])]}];
  const proxy = await ProxyHarness.start(context, {customers, node: {listeners: [HTTP, HTTPS]}});
  context.after(() => proxy.reload({customers: []}));
  const session = http2.connect(`https://127.0.0.1:${proxy.ports['https']}`, {servername: 'acme.test', rejectUnauthorized: false});
  session.on('error', () => undefined);
  context.after(() => session.destroy());
  const ask = async (): Promise<string> => {
    const stream = session.request({':authority': 'acme.test'});
    let bytes = 0, status = 0;
    stream.on('response', (fields) => { status = Number(fields[':status']); });
    stream.on('data', (chunk: Buffer) => { bytes += chunk.length; });
    await once(stream, 'end');
    return status === 200 ? `200 ${bytes}` : String(status);
  };
  return {application, proxy, ask};
}

async function askAtOnce({ask}: Stage): Promise<readonly string[]> {
  return Promise.all(Array.from({length: REQUESTS}, ask));
}

const COMPLETE = `200 ${CONTENT.length}`;

test('what is written in pieces arrives, of all of them', async (context) => {
  const stage = await start(context, (stream) => {
    Readable.from(Array.from({length: CONTENT.length / 16_384}, (_, i) => CONTENT.subarray(i * 16_384, (i + 1) * 16_384))).pipe(stream);
  });
  assert.deepEqual(await askAtOnce(stage), Array.from({length: REQUESTS}, () => COMPLETE));
  assert.deepEqual([stage.application.sessions, stage.proxy.faults()], [1, {}]);
});

test('more than its session may hold, at once: it refuses others, each for itself, and goes on', async (context) => {
  const stage = await start(context, (stream) => { stream.end(CONTENT); });
  const answers = await askAtOnce(stage);
  const refused = answers.filter((answer) => answer === '502').length;
  assert.ok(refused > 0, 'it has refused some');
  assert.equal(answers.filter((answer) => answer === COMPLETE).length, REQUESTS - refused);
  assert.equal(await stage.ask(), COMPLETE);
  assert.deepEqual([stage.application.sessions, stage.proxy.faults()], [1, {upstream_closed: refused}]);
});
