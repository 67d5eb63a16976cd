/** What a client that reads slowly costs: the daemon in a process of its own, of which every byte that is in use is counted. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {COUNTING, createCounter} from '#test/cli/fixtures/memory-count.ts';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {eventually} from '#test/support/eventually.ts';

const NETWORK = 33;
const MIB = 1024 * 1024;
const RESPONSE_BYTES = 1024 * MIB;
const COST_BYTES_MAX = 2 * MIB;
/** Far more than the kernel takes for both connections, so that the proxy has to wait and to go on often. */
const READ_BYTES = 96 * MIB, PIECE_BYTES = 64 * 1024;

interface Application {
  readonly port: number;
  /** Connections of those who asked for `/large`, and what the system has taken from each. */
  readonly sending: net.Socket[];
}

/** Answers `/large` with 1 GiB, as fast as it is taken, and anything else with little. */
async function startApplication(context: TestContext): Promise<Application> {
  const block = Buffer.alloc(PIECE_BYTES, 'x');
  const sending: net.Socket[] = [];
  const server = net.createServer(socket => {
    const send = (): void => {
      while (socket.bytesWritten < RESPONSE_BYTES && socket.write(block));
    };
    socket.setEncoding('latin1').on('error', () => undefined).on('data', (text: string) => {
      if (!text.startsWith('GET /large ')) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        return;
      }
      sending.push(socket);
      socket.on('drain', send).write(`HTTP/1.1 200 OK\r\ncontent-length: ${RESPONSE_BYTES}\r\n\r\n`);
      send();
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => {
    server.close();
    for (const socket of sending) socket.destroy();
  });
  return {port: (server.address() as net.AddressInfo).port, sending};
}

/** Reads so many bytes, and leaves the rest where it is. */
async function read(socket: net.Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const piece = socket.read() as Buffer | null;
    if (piece === null) await once(socket, 'readable');
    else left -= piece.length;
  }
}

async function standstill(value: () => number): Promise<void> {
  let before = -1;
  await eventually('nothing moves any more', () => {
    const isStill = before === value();
    before = value();
    return isStill;
  });
}

for (const scheme of ['http', 'https'] as const) {
  test(`a client of ${scheme} that reads 1 GiB slowly costs less than 2 MiB`, async context => {
    const application = await startApplication(context);
    const config = await createConfigFolder(context);
    const {cert, key} = await makeCertificate(['acme.test']);
    await writeFile(path.join(config.folder, 'cert.pem'), cert);
    await writeFile(path.join(config.folder, 'key.pem'), key);
    await config.writeNode(NODE_TEXT.replace('threads: 2', 'threads: 1').replace('protocol: http}', 'protocol: http}, {name: https, address: "127.0.0.1:0", protocol: https}'));
    await config.writeCustomer('acme', `${customerText('acme', NETWORK, application.port)}certificates: [{cert: ../cert.pem, key: ../key.pem}]\n`);
    const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], COUNTING);
    const {listeners} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>};
    const port = Number((listeners[scheme] ?? '').split(':')[1]);
    const open = async (target: string): Promise<net.Socket> => {
      const socket = scheme === 'http' ? net.connect(port, '127.0.0.1') : tls.connect({port, host: '127.0.0.1', servername: 'acme.test', ca: cert});
      context.after(() => socket.destroy());
      socket.on('readable', () => undefined);
      socket.write(`GET ${target} HTTP/1.1\r\nhost: acme.test\r\n\r\n`);
      await eventually('the answer begins', () => socket.readableLength > 0);
      return socket;
    };
    // What is made once for everybody is there before.
    for (let i = 0; i < 3; i++) await read(await open('/small'), 100);
    const count = createCounter(torwart);
    const before = (await count()).bytes;
    const client = await open('/large');
    const [sender] = application.sending;
    assert.ok(sender !== undefined);
    const costs: number[] = [];
    const counted = async (): Promise<void> => void costs.push((await count()).bytes - before);
    await standstill(() => sender.bytesWritten - sender.writableLength);
    await counted();
    for (let bytes = 0; bytes < READ_BYTES; bytes += READ_BYTES / 12) {
      await read(client, READ_BYTES / 12);
      await counted();
    }
    assert.ok(Math.max(...costs) < COST_BYTES_MAX, `it cost ${costs.join(', ')} bytes`);
    context.diagnostic(`costs: ${costs.map(cost => Math.round(cost / 1024)).join(', ')} KiB`);
  });
}
