/** Places over two real threads: no thread gives what another one has taken, and what a thread had when it died is free. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';
import {connectRaw, type RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';

const NETWORK = 37;
const MAX = 12;
/** So many that no thread has none of them. */
const CLIENTS = 60;

/** Either of its threads ends when it is told to. */
const MORTAL = `
  import {BroadcastChannel, threadId} from "node:worker_threads";
  const channel = new BroadcastChannel("places");
  channel.unref();
  if (threadId === 0) process.on("SIGUSR2", () => channel.postMessage(null));
  else channel.onmessage = () => { throw new Error("boom"); };
`;

interface Stage {
  readonly port: number;
  /** Requests that the application has and does not answer. */
  readonly asked: () => number;
  readonly metric: (name: string) => Promise<number>;
  /** Both proxy threads die, and are replaced. */
  readonly killThreads: () => Promise<void>;
}

async function start(context: TestContext, caps: string, customerCaps = ''): Promise<Stage> {
  let asked = 0;
  const application = http.createServer(() => { asked++; }).listen(0, `127.${NETWORK}.0.1`);
  await once(application, 'listening');
  context.after(() => {
    application.closeAllConnections();
    application.close();
  });
  const config = await createConfigFolder(context);
  await config.writeNode(`${NODE_TEXT}caps: {${caps}}\n`);
  await config.writeCustomer('acme', `${customerText('acme', NETWORK, (application.address() as AddressInfo).port)}caps: {${customerCaps}}\n`);
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], MORTAL);
  const {admin, listeners} = await torwart.waitForLine('"serving"') as {admin: string; listeners: Record<string, string>};
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
  };
  const killThreads = async (): Promise<void> => {
    torwart.child.kill('SIGUSR2');
    await torwart.waitForLine('"a proxy thread was replaced"', 2);
  };
  return {port: Number((listeners['http'] ?? '').split(':')[1]), asked: () => asked, metric, killThreads};
}

async function open(context: TestContext, {port}: Stage, count: number): Promise<readonly RawClient[]> {
  return Promise.all(Array.from({length: count}, () => connectRaw(context, port)));
}

function refusedOf(clients: readonly RawClient[]): readonly RawClient[] {
  return clients.filter(({received}) => received.endsWith('\n'));
}

const CELLS = [
  ['requests_per_client', 429, `requests_per_client: ${MAX}`, ''],
  ['requests_per_customer', 503, '', `requests: ${MAX}`],
  ['requests_total', 503, `requests: ${MAX}, requests_per_client: ${MAX}`, ''],
] as const;
for (const [fault, status, caps, customerCaps] of CELLS) {
  test(`${fault}: of many that come at once to two threads exactly so many are served, and as many again when both have died`, async (context) => {
    const stage = await start(context, caps, customerCaps);
    for (let life = 1; life <= 2; life++) {
      const clients = await open(context, stage, CLIENTS);
      for (const client of clients) client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
      await eventually('all are asked or refused', () => stage.asked() + refusedOf(clients).length >= life * MAX + CLIENTS - MAX);
      // Two that come at once may refuse the last place to each other, but never both have it.
      while (stage.asked() < life * MAX) {
        const [client = assert.fail()] = await open(context, stage, 1);
        const before = stage.asked();
        client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
        await eventually('it is asked or refused', () => stage.asked() > before || client.received !== '');
      }
      const [last = assert.fail()] = await open(context, stage, 1);
      last.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
      assert.equal(statusOf(await last.response()), status);
      assert.equal(stage.asked(), life * MAX);
      assert.equal(await stage.metric('torwart_requests_in_flight{customer="acme"}'), MAX);
      if (life === 1) await stage.killThreads();
    }
  });
}

test('buffers_per_customer: bodies that two threads collect count together, and are nothing when both have died', async (context) => {
  const blocks = 4, bodies = 1024 * 1024 / LIMITS.heldBlockBytes / blocks;
  const stage = await start(context, '', 'buffered_bytes: 1MiB');
  const clients = await open(context, stage, bodies);
  for (const client of clients) client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 60000\r\n\r\n${'x'.repeat(blocks * LIMITS.heldBlockBytes)}`);
  await eventually('all is held', async () => await stage.metric('torwart_customer_buffered_bytes{customer="acme"}') === 1024 * 1024);
  assert.deepEqual(refusedOf(clients), []);
  const refused = await open(context, stage, 8);
  for (const client of refused) client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
  for (const client of refused) assert.equal(statusOf(await client.response()), 503);
  assert.equal(await stage.metric('torwart_faults_total{code="buffers_per_customer"}'), 8);
  await stage.killThreads();
  assert.deepEqual([await stage.metric('torwart_customer_buffered_bytes{customer="acme"}'), await stage.metric('torwart_buffered_bytes')], [0, 0]);
  const [client = assert.fail()] = await open(context, stage, 1);
  client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
  await eventually('it is served', () => stage.asked() === 1);
});
