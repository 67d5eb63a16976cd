/**
 * Each attack of slowhttptest with 2,000 connections that are all open at once: trickling heads, trickling bodies, sipping responses. Clients
 * with other addresses notice nothing: all their requests are answered, on connections that stay and on new ones.
 */
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import http from 'node:http';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import {setTimeout} from 'node:timers/promises';
import {spawnTorwart, type TorwartProcess} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';

const NETWORK = 37;
const SLOW = 2000;
/** Of each fast client while all slow ones are there. */
const ASKED_MEANWHILE = 100;
/** Longer than the last of the slow clients are borne, even where gigabytes take their time. */
const LASTS_SECONDS = 120;
/** They ask often, but leave the attack the time to be one. */
const PAUSE_MS = 5;
/** The last ones may have read some bytes more, and have a little longer. */
const ENDED = 0.95 * SLOW;
/** Far more than the kernel takes for a reader with a window of some bytes. */
const LARGE = respond('x'.repeat(4 * 1024 * 1024)), SMALL = respond('ok');

/** @param patience long enough that the last slow client is there before the first one is ended */
const nodeText = (patience: string): string => `
listeners: [{name: http, address: "127.0.0.1:0", protocol: http}]
admin: {address: "127.0.0.1:0"}
threads: 2
timeouts: {request_head: ${patience}, request_body_idle: ${patience}, response_idle: ${patience}, drain: 1s}
caps: {connections: 5000, connections_per_client: 2500}
log: {access: "off"}
customers: customers/*.yaml
`;

/** What slowhttptest is told, and how its connections end. It sends or reads a few bytes a second: no connection is ever silent. */
const ATTACKS = [
  {name: 'heads', path: '/', fault: 'request_head_timeout', patience: '8s', args: ['-H', '-i', '1', '-x', '10']},
  {name: 'bodies', path: '/', fault: 'request_body_timeout', patience: '8s', args: ['-B', '-i', '1', '-s', '8192', '-x', '10']},
  // Gigabytes go into the kernel's buffers first.
  {name: 'responses', path: '/large', fault: 'client_stalled', patience: '20s', args: ['-X', '-n', '1', '-z', '5', '-w', '10', '-y', '20']},
] as const;

function respond(body: string): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

async function startApplication(context: TestContext): Promise<number> {
  const server = net.createServer((socket) => {
    socket.setEncoding('latin1').on('error', () => undefined).on('data', (text: string) => {
      socket.write(text.startsWith('GET /large') ? LARGE : SMALL);
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`, 4096);
  await once(server, 'listening');
  context.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

interface Stage {
  readonly torwart: TorwartProcess;
  readonly port: number;
  /** The value of a metric, with its labels. */
  readonly read: (metric: string) => Promise<number>;
}

async function startStage(context: TestContext, patience: string): Promise<Stage> {
  const config = await createConfigFolder(context);
  await config.writeNode(nodeText(patience));
  await config.writeCustomer('acme', `
customer: acme
networks: [127.${NETWORK}.0.0/16]
pools: {web: {servers: [{address: "127.${NETWORK}.0.1:${await startApplication(context)}"}], connections: 2100}}
sites: [{hosts: [localhost], routes: [{path: /, pool: web}]}]
`);
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  return {
    torwart, port: Number(listeners['http']?.split(':')[1]),
    read: async (metric) => {
      const lines = (await (await fetch(`http://${admin}/metrics`)).text()).split('\n');
      return Number(lines.find((line) => line.startsWith(`${metric} `))?.slice(metric.length) ?? Number.NaN);
    },
  };
}

/** Asks until it is stopped; counts what was answered, and keeps everything that was not 200. */
class FastClient {
  served = 0;
  readonly failures: unknown[] = [];
  readonly #agent: http.Agent;
  readonly #target: http.RequestOptions;
  readonly #asking: Promise<void>;
  #isStopped = false;

  constructor(port: number, localAddress: string, keepAlive: boolean) {
    this.#agent = new http.Agent({keepAlive});
    this.#target = {host: '127.0.0.1', port, localAddress, path: '/fast', headers: {host: 'localhost'}, agent: this.#agent};
    this.#asking = this.#keepAsking();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#asking;
    this.#agent.destroy();
  }

  async #keepAsking(): Promise<void> {
    for (; !this.#isStopped; await setTimeout(PAUSE_MS)) {
      try {
        const [response] = await once(http.get(this.#target), 'response') as [http.IncomingMessage];
        await response.resume().toArray();
        if (response.statusCode === 200) this.served++;
        else this.failures.push(response.statusCode);
      } catch (error) {
        this.failures.push(error);
      }
    }
  }
}

const isMissing = spawnSync('slowhttptest', ['-h']).error !== undefined;

for (const {name, path, fault, patience, args} of ATTACKS) {
  test(`${SLOW} slow clients at once (${name}) are ended and counted, and nobody else notices`, {skip: isMissing && 'slowhttptest is not installed'}, async (context) => {
    const {torwart, port, read} = await startStage(context, patience);
    const fast = [new FastClient(port, '127.0.0.2', true), new FastClient(port, '127.0.0.3', false)];
    const stopFast = () => Promise.all(fast.map((client) => client.stop()));
    context.after(stopFast);
    const slow = spawn('slowhttptest', [...args, '-c', String(SLOW), '-r', '1000', '-l', String(LASTS_SECONDS), '-p', '30', '-v', '0', '-u', `http://localhost:${port}${path}`], {stdio: 'ignore'});
    context.after(() => slow.kill('SIGKILL'));
    await eventually('all slow clients are there', async () => await read('torwart_connections_open') >= SLOW);
    assert.equal(await read(`torwart_faults_total{code="${fault}"}`), 0, 'none has been ended yet');
    const servedBefore = fast.map(({served}) => served);
    await eventually('the others are served meanwhile', () => fast.every(({served}, index) => served >= (servedBefore[index] ?? 0) + ASKED_MEANWHILE));
    assert.ok(await read('torwart_connections_open') >= SLOW, 'they are all still there');
    await eventually('they are ended', async () => await read(`torwart_faults_total{code="${fault}"}`) >= ENDED, LASTS_SECONDS * 1000);
    await stopFast();
    assert.deepEqual(fast.flatMap(({failures}) => failures), []);
    context.diagnostic(`${fast.map(({served}) => served).join(' and ')} requests were served`);
    assert.doesNotMatch(torwart.output.stderr, /"level":"(?:error|fatal)"|please report/);
  });
}
