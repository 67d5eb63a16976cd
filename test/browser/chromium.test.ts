/** What a browser does: pages, WebSockets and event streams over HTTP/2, and the same over HTTP/1.1. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {after, suite, test} from 'node:test';
import type {Page} from 'playwright-core';
import {WebSocketServer} from 'ws';
import {makeCertificate} from '#test/config/certificates.ts';
import {MISSING, startChromium} from '#test/browser/chromium.ts';
import {eventually} from '#test/support/eventually.ts';
import {ProxyHarness, type LogLine} from '#test/support/proxy-harness.ts';
import {HTTPS, acme, certificate} from '#test/support/snapshots.ts';
import {WEBSOCKET} from '#test/websocket/handshakes.ts';

const DEADLINE_MS = 120_000;
const EVENTS = 3;
const SCRIPT = 'document.documentElement.dataset.script = "ran"';
const PAGE = '<!doctype html><title>t</title><link rel=icon href="data:,"><link rel=stylesheet href=/a.css><script src=/a.js></script><p>static</p>';

/** An application: a page, what it refers to, an event stream that goes on for ever, and an echo of messages. */
class Application {
  /** Event streams whose client is there. */
  streams = 0;
  readonly #server = createServer((request, response) => this.#answer(request, response));

  async listen(): Promise<number> {
    const sockets = new WebSocketServer({server: this.#server, path: '/ws', perMessageDeflate: true});
    sockets.on('connection', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    after(() => {
      for (const client of sockets.clients) client.terminate();
      this.#server.closeAllConnections();
      this.#server.close();
    });
    return (this.#server.address() as AddressInfo).port;
  }

  #answer({url = ''}: IncomingMessage, response: ServerResponse): void {
    const bodies: Readonly<Record<string, readonly [type: string, body: string]>> = {'/': ['text/html', PAGE], '/a.css': ['text/css', 'p { color: red }'], '/a.js': ['text/javascript', SCRIPT]};
    if (url === '/events') {
      response.writeHead(200, {'content-type': 'text/event-stream'});
      for (let i = 1; i <= EVENTS; i++) response.write(`id: ${i}\ndata: event ${i}\n\n`);
      this.streams++;
      response.on('close', () => { this.streams--; });
      return;
    }
    const [type, body] = bodies[url] ?? ['text/plain', 'nothing'];
    response.writeHead(bodies[url] === undefined ? 404 : 200, {'content-type': type}).end(body);
  }
}

/** Runs in the page. Opens a WebSocket, sends two messages, and closes it. */
async function talk(url: string): Promise<{readonly messages: readonly (string | number)[]; readonly code: number; readonly extensions: string}> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const messages: (string | number)[] = [];
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      socket.send('grüße');
      socket.send(new Uint8Array(300_000));
    });
    socket.addEventListener('message', ({data}: {data: string | ArrayBuffer}) => {
      messages.push(typeof data === 'string' ? data : data.byteLength);
      if (messages.length === 2) socket.close(4001, 'enough');
    });
    socket.addEventListener('error', () => { reject(new Error('the WebSocket failed')); });
    socket.addEventListener('close', ({code}) => { resolve({messages, code, extensions: socket.extensions}); });
  });
}

/** Runs in the page. Takes events until there are enough, and goes away. */
async function listen(count: number): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const source = new EventSource('/events');
    const events: string[] = [];
    source.addEventListener('message', ({data}: {data: string}) => {
      if (events.push(data) < count) return;
      source.close();
      resolve(events);
    });
    source.addEventListener('error', () => { reject(new Error('the event stream failed')); });
  });
}

suite('Chromium', {timeout: 4 * DEADLINE_MS}, async () => {
  const application = new Application();
  const pair = await makeCertificate(['acme.test']);
  const customer = {...acme([await application.listen()], {route: {websocket: WEBSOCKET}}), certificates: [certificate(pair, ['acme.test'])]};
  const listeners = [HTTPS, {...HTTPS, name: 'https1', http2: false}];
  const proxy = await ProxyHarness.start({after}, {customers: [customer], node: {listeners}});
  const browser = MISSING === false ? await startChromium({after}, pair.cert) : null;

  async function open(port: number | undefined): Promise<Page> {
    assert.ok(browser !== null);
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    await page.goto(`https://acme.test:${port}/`);
    assert.equal(await page.locator('html').getAttribute('data-script'), 'ran');
    return page;
  }

  async function nextLines(count: number): Promise<readonly string[]> {
    const lines: LogLine[] = [];
    while (lines.length < count) lines.push(await proxy.nextLogLine());
    return lines.map(({path, protocol, status, fault}) => `${path} ${protocol} ${status} ${fault}`).toSorted();
  }

  for (const [listener, protocol] of [['https', 'HTTP/2'], ['https1', 'HTTP/1.1']] as const) {
    test(`a page, a WebSocket and events over ${protocol}`, {skip: MISSING}, async () => {
      const port = proxy.ports[listener];
      const opened = proxy.counter('connectionsOpened');
      const page = await open(port);
      assert.deepEqual(await nextLines(3), [`/ ${protocol} 200 null`, `/a.css ${protocol} 200 null`, `/a.js ${protocol} 200 null`]);

      const {messages, code, extensions} = await page.evaluate(talk, `wss://acme.test:${port}/ws`);
      assert.deepEqual([messages, code], [['grüße', 300_000], 4001], 'the application has answered the close');
      assert.match(extensions, /permessage-deflate/);
      assert.deepEqual(await nextLines(1), [`/ws ${protocol} 101 null`]);

      assert.deepEqual(await page.evaluate(listen, EVENTS), ['event 1', 'event 2', 'event 3']);
      await eventually('the application hears that the page has gone away', () => application.streams === 0);
      assert.deepEqual(await nextLines(1), [`/events ${protocol} 200 client_gone`]);
      if (protocol === 'HTTP/2') assert.ok(proxy.counter('connectionsOpened') - opened <= 2, 'all over one connection; Chromium may open one in advance');
      await page.context().close();
      assert.deepEqual([proxy.fault('client_gone') > 0, proxy.reports], [true, []]);
    });
  }

  test('another page may not open a WebSocket here', {skip: MISSING}, async () => {
    const page = await open(proxy.ports['https']);
    await nextLines(3);
    // The port is part of the origin.
    await assert.rejects(page.evaluate(talk, `wss://acme.test:${proxy.ports['https1']}/ws`), /the WebSocket failed/);
    assert.deepEqual(await nextLines(1), ['/ws HTTP/1.1 403 websocket_origin_refused']);
    await page.context().close();
  });
});
