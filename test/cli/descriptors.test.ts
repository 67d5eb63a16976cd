/** Out of file descriptors: new clients are refused and counted, the others are served, and it recovers. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';

const DESCRIPTORS = 256;
const CLIENTS = 300;
const NETWORK = 33;
const REQUEST = 'GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n';

/** It answers when `together` requests are waiting. */
async function startApplication(context: TestContext): Promise<{readonly port: number; together: number}> {
  const application = {port: 0, together: 1};
  const waiting: net.Socket[] = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => {
      waiting.push(socket);
      if (waiting.length < application.together) return;
      for (const peer of waiting.splice(0)) peer.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => server.close());
  return Object.assign(application, {port: (server.address() as net.AddressInfo).port});
}

/** A connection, or null where it was refused. */
async function openClient(port: number): Promise<net.Socket | null> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(REQUEST);
  return new Promise((resolve) => {
    socket.once('data', () => resolve(socket));
    socket.once('close', () => resolve(null));
  });
}

test('without descriptors new clients are refused and counted, old ones are served, and it recovers', async (context) => {
  const application = await startApplication(context);
  const config = await createConfigFolder(context);
  await config.writeNode(NODE_TEXT);
  await config.writeCustomer('acme', customerText('acme', NETWORK, application.port));
  const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], '', DESCRIPTORS);
  const {listeners, admin} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>; admin: string};
  const port = Number((listeners['http'] ?? '').split(':')[1]);
  const readFaults = async (): Promise<number> => {
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    return Number(/^torwart_faults_total\{code="descriptors_exhausted"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
  };

  const clients: net.Socket[] = [];
  context.after(() => clients.forEach((client) => client.destroy()));
  let refused = 0;
  for (let i = 0; i < CLIENTS; i++) {
    const client = await openClient(port);
    if (client === null) refused++;
    else clients.push(client);
  }
  assert.ok(refused > 0 && clients.length > 0, `${refused} refused, ${clients.length} served`);
  assert.equal(await readFaults(), refused, 'every refusal is counted');

  application.together = clients.length;
  const answers = await Promise.all(clients.map(async (client) => {
    client.write(REQUEST);
    return String((await once(client, 'data'))[0]).slice(0, 12);
  }));
  assert.deepEqual(answers, clients.map(() => 'HTTP/1.1 200'), 'who is connected is served, all of them at once');
  application.together = 1;

  for (const client of clients.splice(0)) client.destroy();
  await eventually('it accepts again', async () => {
    const client = await openClient(port);
    client?.destroy();
    return client !== null;
  });
});
