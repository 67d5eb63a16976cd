/** What clients of HTTP/2 cost that ask for much on every stream and read none of it: what is counted is the memory of a real daemon. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {COUNTING, createCounter} from '#test/cli/fixtures/memory-count.ts';
import {spawnTorwart} from '#test/cli/fixtures/torwart-process.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {createConfigFolder, customerText, NODE_TEXT} from '#test/control/fixtures/config-folder.ts';
import {opening, request, windowUpdate} from '#test/http2/frames.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {GET, HOST, Http2Client} from '#test/support/http2-client.ts';
import {connectRawTls} from '#test/support/raw-client.ts';

const NETWORK = 34;
const MIB = 1024 * 1024;
const CONNECTIONS = 10;
const COST_BYTES_MAX = 4 * MIB;
const BODY = Buffer.alloc(MIB, 'x');
const HEAD = `HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\n\r\n`;

interface Application {
  readonly port: number;
  requests: number;
  /** What the system has taken of all responses. */
  readonly sentBytes: () => number;
}

/** Answers every request with 1 MiB, as fast as it is taken. */
async function startApplication(context: TestContext): Promise<Application> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined).on('data', () => {
      application.requests++;
      socket.write(HEAD);
      socket.write(BODY);
    });
  });
  server.listen(0, `127.${NETWORK}.0.1`);
  await once(server, 'listening');
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const application: Application = {
    port: (server.address() as net.AddressInfo).port, requests: 0,
    sentBytes: () => sockets.reduce((sum, {bytesWritten, writableLength}) => sum + bytesWritten - writableLength, 0),
  };
  return application;
}

async function standstill(value: () => number): Promise<void> {
  for (let before = -1; before !== value(); await settle(100)) before = value();
}

for (const [what, window] of [['windows of zero', 0], ['the windows that it began with', 65_535], ['windows that are never used up', 0x7fff_ffff]] as const) {
  test(`${CONNECTIONS} connections with ${LIMITS.h2StreamsMax} large responses that nobody reads cost less than 4 MiB each: ${what}`, async (context) => {
    const application = await startApplication(context);
    const config = await createConfigFolder(context);
    const {cert, key} = await makeCertificate([HOST]);
    await writeFile(path.join(config.folder, 'cert.pem'), cert);
    await writeFile(path.join(config.folder, 'key.pem'), key);
    await config.writeNode(NODE_TEXT.replace('threads: 2', 'threads: 1').replace('protocol: http}', 'protocol: https}').replace('{drain: 2s}', '{drain: 2s, response_idle: 10m}'));
    const customer = customerText('acme', NETWORK, application.port).replace('servers:', `connections: ${2 * CONNECTIONS * LIMITS.h2StreamsMax}, servers:`);
    await config.writeCustomer('acme', `${customer}certificates: [{cert: ../cert.pem, key: ../key.pem}]\n`);
    const torwart = spawnTorwart(context, ['run', '--config', config.nodeFile], COUNTING);
    const {listeners} = await torwart.waitForLine('"serving"') as {listeners: Record<string, string>};
    const port = Number((listeners['http'] ?? '').split(':')[1]);

    /** From an address of its own: what one client may hold in all of its connections is bounded besides. */
    const open = async (i: number): Promise<Http2Client> => {
      const client = new Http2Client(await connectRawTls(context, port, {servername: HOST, ALPNProtocols: ['h2'], localAddress: `127.0.1.${i}`}));
      client.send(opening({INITIAL_WINDOW_SIZE: window}));
      if (window > 65_535) client.send(windowUpdate(0, 0x7000_0000));
      return client;
    };
    /** Asks for everything, and reads nothing of it. */
    const attack = async (client: Http2Client): Promise<void> => {
      const before = application.requests;
      client.tls.socket.pause();
      client.send(...Array.from({length: LIMITS.h2StreamsMax}, (_, i) => request(2 * i + 1, GET)));
      await eventually('all are at the application', () => application.requests === before + LIMITS.h2StreamsMax);
    };

    // What is made once for everybody is there before.
    const first = await open(0);
    await attack(first);
    first.destroy();
    const count = createCounter(torwart);
    await standstill(application.sentBytes);
    const before = await count();
    for (let i = 1; i <= CONNECTIONS; i++) await attack(await open(i));
    await standstill(application.sentBytes);
    const now = await count();
    const [used, resident] = [(now.bytes - before.bytes) / CONNECTIONS, (now.residentBytes - before.residentBytes) / CONNECTIONS];
    assert.ok(used < COST_BYTES_MAX, `one uses ${used} bytes`);
    assert.ok(resident < COST_BYTES_MAX, `the process grew by ${resident} bytes for each`);
    context.diagnostic(`one uses ${Math.round(used / 1024)} KiB, and the process grew by ${Math.round(resident / 1024)} KiB for each`);
  });
}
