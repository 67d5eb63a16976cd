/** 2,000 connections of slowhttptest at once, trickling heads, trickling bodies and sipping responses: other clients notice nothing. */
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import http from 'node:http';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder} from '#test/control/fixtures/config-folder.ts';

const NETWORK = 37;
/** Far more than the kernel takes for a reader with a window of some bytes. */
const LARGE = Buffer.alloc(4 * 1024 * 1024, 'x');
/** All clients have one address here. */
const NODE_TEXT = `
listeners: [{name: http, address: "127.0.0.1:0", protocol: http}]
admin: {address: "127.0.0.1:0"}
threads: 2
timeouts: {request_head: 3s, request_body_idle: 3s, response_idle: 3s, drain: 1s}
caps: {connections: 5000, connections_per_client: 5000}
log: {access: "off"}
customers: customers/*.yaml
`;

/** What slowhttptest is told, and how its connections end. It sends or reads a few bytes a second: no connection is ever silent. */
const ATTACKS = [
  {name: 'heads', connections: 700, fault: 'request_head_timeout', args: ['-H', '-i', '1', '-x', '10']},
  {name: 'bodies', connections: 700, fault: 'request_body_timeout', args: ['-B', '-i', '1', '-s', '8192', '-x', '10']},
  {name: 'responses', connections: 600, fault: 'client_stalled', args: ['-X', '-n', '1', '-z', '5', '-w', '10', '-y', '20']},
] as const;

async function startApplication(context: TestContext): Promise<number> {
  const server = net.createServer((socket) => {
    socket.setEncoding('latin1').on('error', () => undefined).on('data', (text: string) => {
      const body = text.startsWith('GET /large') ? LARGE : Buffer.from('ok');
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
      socket.write(body);
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

/** Ends when the proxy has ended every connection, or after its time. */
async function runSlowHttpTest(context: TestContext, url: string, {args, connections}: (typeof ATTACKS)[number]): Promise<void> {
  const child = spawn('slowhttptest', [...args, '-c', String(connections), '-r', '700', '-l', '10', '-p', '3', '-v', '0', '-u', url], {stdio: 'ignore'});
  context.after(() => child.kill('SIGKILL'));
  await once(child, 'close');
}

const isMissing = spawnSync('slowhttptest', ['-h']).error !== undefined;

test('2,000 slow clients are ended and counted, and a fast one is served all the while', {skip: isMissing && 'slowhttptest is not installed'}, async (context) => {
  const config = await createConfigFolder(context);
  await config.writeNode(NODE_TEXT);
  await config.writeCustomer('acme', `
customer: acme
networks: [127.${NETWORK}.0.0/16]
pools: {web: {servers: [{address: "127.${NETWORK}.0.1:${await startApplication(context)}"}], connections: 2000}}
sites: [{hosts: [localhost], routes: [{path: /, pool: web}]}]
`);
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const port = (listeners['http'] ?? '').split(':')[1] ?? '';
  const url = `http://localhost:${port}`;

  const state = {attacking: true, served: 0, faults: [] as (number | string)[]};
  const agent = new http.Agent({keepAlive: true, maxSockets: 4});
  context.after(() => agent.destroy());
  const ask = async (): Promise<void> => {
    const [response] = await once(http.get({host: '127.0.0.1', port, path: '/fast', headers: {host: 'localhost'}, agent}), 'response') as [http.IncomingMessage];
    await response.resume().toArray();
    if (response.statusCode === 200) state.served++;
    else state.faults.push(response.statusCode ?? 0);
  };
  const keepAsking = async (): Promise<void> => {
    while (state.attacking) await ask();
  };
  const asking = Promise.all([keepAsking(), keepAsking()]);
  await Promise.all(ATTACKS.map((attack) => runSlowHttpTest(context, attack.name === 'responses' ? `${url}/large` : `${url}/`, attack)));
  state.attacking = false;
  await asking;

  assert.deepEqual(state.faults, []);
  assert.ok(state.served > 0);
  const metrics = await (await fetch(`http://${admin}/metrics`)).text();
  const counts = ATTACKS.map(({fault}) => Number(new RegExp(`^torwart_faults_total\\{code="${fault}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0));
  context.diagnostic(`${state.served} served; ${ATTACKS.map(({fault}, index) => `${fault} ${counts[index]}`).join(', ')}`);
  // On a busy machine slowhttptest opens fewer, and gives some up by itself.
  for (const [index, {connections, fault}] of ATTACKS.entries()) assert.ok((counts[index] ?? 0) > 0, `${fault}: ${counts[index]} of ${connections}`);
  assert.doesNotMatch(torwart.output.stderr, /"level":(?:50|60)|please report/);
});
