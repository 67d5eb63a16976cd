/** The cap of a pool's connections over real threads: one connection at most in use, and never a refusal while none is. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import {test} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';

const NETWORK = 34;
const REQUESTS = 20;

async function ask(port: number): Promise<number> {
  const request = http.get({port, host: '127.0.0.1', agent: false, headers: {host: 'acme.test'}});
  const [response] = await once(request, 'response') as [http.IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}

test('with one connection and two threads, requests one after the other are all served', async (context) => {
  const application = http.createServer((_, response) => response.end('ok')).listen(0, `127.${NETWORK}.0.1`);
  await once(application, 'listening');
  context.after(() => { application.closeAllConnections(); application.close(); });
  const config = await createConfigFolder(context);
  await config.writeNode(NODE_TEXT);
  const text = customerText('acme', NETWORK, (application.address() as AddressInfo).port);
  await config.writeCustomer('acme', text.replace('{servers', '{connections: 1, servers'));
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile]);
  const {listeners} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>};
  const port = Number((listeners['http'] ?? '').split(':')[1]);
  const statuses: number[] = [];
  for (let i = 0; i < REQUESTS; i++) statuses.push(await ask(port));
  assert.deepEqual(statuses, Array<number>(REQUESTS).fill(200));
});
