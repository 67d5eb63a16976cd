/** nghttp2, as `node:http2` has it, is the oracle: as the server of our client it must see what was asked, and we what it answered. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import {after, before, describe} from 'node:test';
import * as fc from 'fast-check';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ClientSession, type ClientHandler} from '#src/http2/client-session.ts';
import type {Stream} from '#src/http2/stream.ts';
import {WORKSPACE, lines} from '#test/http2/application-peer.ts';
import {CONTENT, FIELD_NAME, FIELD_VALUE, METHOD, PATH} from '#test/http2/sessions.ts';
import {testAsyncProperty} from '#test/support/property.ts';

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly content: readonly string[];
  readonly requestTrailers: boolean;
  readonly status: number;
  readonly responseBytes: number;
  readonly hasTrailers: boolean;
  readonly hasHints: boolean;
}

const EXCHANGE = fc.record<Exchange>({
  method: METHOD.filter((method) => method !== 'OPTIONS'),
  path: PATH,
  fields: fc.uniqueArray(fc.tuple(FIELD_NAME, FIELD_VALUE.filter((value) => !/[^\x20-\x7e]/.test(value))), {maxLength: 4, selector: ([name]) => name}),
  content: fc.array(CONTENT, {maxLength: 3}),
  requestTrailers: fc.boolean(),
  status: fc.constantFrom(200, 201, 404, 503),
  responseBytes: fc.constantFrom(0, 1, 1000, 70_000, 300_000),
  hasTrailers: fc.boolean(),
  hasHints: fc.boolean(),
});

/** What has come of one request, on either side. */
interface Seen {
  asked: string;
  content: string;
  requestTrailer: string;
  status: number;
  interims: number[];
  responseBytes: number;
  trailer: string;
  isEnded: boolean;
}

class Application {
  port = 0;
  readonly seen: Seen[] = [];
  expected: readonly Exchange[] = [];
  readonly #server = http2.createServer({settings: {maxConcurrentStreams: 50, initialWindowSize: 1000}});

  async open(): Promise<void> {
    this.#server.on('stream', (stream, head) => this.#onStream(stream as http2.ServerHttp2Stream, head));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as net.AddressInfo).port;
  }

  #onStream(stream: http2.ServerHttp2Stream, head: http2.IncomingHttpHeaders): void {
    const key = Number(head['x-exchange']);
    const exchange = this.expected[key] as Exchange, seen = this.seen[key] as Seen;
    seen.asked = `${head[':method']} ${head[':path']} ${head[':authority']} ${exchange.fields.map(([name]) => `${name}=${String(head[name])}`).join('&')}`;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => { seen.content += chunk.toString('latin1'); });
    stream.on('trailers', (fields) => { seen.requestTrailer = String(fields['x-request-trailer']); });
    stream.on('end', () => {
      if (exchange.hasHints) stream.additionalHeaders({':status': 103, link: '</a.css>'});
      stream.respond({':status': exchange.status}, {waitForTrailers: exchange.hasTrailers});
      stream.on('wantTrailers', () => stream.sendTrailers({'x-trailer': 'end'}));
      stream.end(Buffer.alloc(exchange.responseBytes, 'r'));
    });
  }

  async close(): Promise<void> {
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

/** Asks everything at once over one connection; sends as it is let, and reads slowly. */
class Asker implements ClientHandler<Seen> {
  readonly failures: string[] = [];
  readonly #all: readonly Seen[];
  readonly #onDone: () => void;
  readonly #session: () => ClientSession<Seen>;

  constructor(all: readonly Seen[], session: () => ClientSession<Seen>, onDone: () => void) {
    this.#all = all;
    this.#session = session;
    this.#onDone = onDone;
  }

  onInterim({context}: Stream<Seen>, {status}: ResponseHead): void { context?.interims.push(status); }
  onResponse({context}: Stream<Seen>, {status}: ResponseHead): void { if (context !== null) context.status = status; }

  onData(stream: Stream<Seen>, _bytes: Buffer, start: number, end: number): void {
    if (stream.context === null) return;
    stream.context.responseBytes += end - start;
    if (stream.isBodyPaused) return;
    this.#session().pauseBody(stream);
    setImmediate(() => this.#session().resumeBody(stream));
  }

  onEnd({context}: Stream<Seen>, trailers: FieldBlock | null): void {
    if (context === null) return;
    context.trailer = trailers === null ? '' : `${trailers.name(0)}=${trailers.value(0)}`;
    context.isEnded = true;
    if (this.#all.every(({isEnded}) => isEnded)) this.#onDone();
  }

  onReset(stream: Stream<Seen>, code: number, fault: string): void { this.#fail(`${stream.id} ${code} ${fault}`); }
  onConnectionError(code: number, fault: string): void { this.#fail(`${code} ${fault}`); }
  onBackedUp(): void { /* everything is queued at once */ }
  onDrain(): void { /* there is nothing more */ }

  #fail(text: string): void {
    this.failures.push(text);
    this.#onDone();
  }
}

async function perform(port: number, exchanges: readonly Exchange[], all: readonly Seen[]): Promise<string[]> {
  const socket = net.connect(port, '127.0.0.1');
  const {promise, resolve} = Promise.withResolvers<void>();
  const asker = new Asker(all, () => session, resolve);
  const session: ClientSession<Seen> = new ClientSession(WORKSPACE, asker, 0);
  const pump = setInterval(() => {
    for (let bytes = session.takeOutput(); bytes !== null; bytes = session.takeOutput()) socket.write(bytes);
  }, 1);
  const state = {isAsked: false};
  socket.on('error', () => {}).on('close', () => session.lose('upstream_closed'));
  socket.on('data', (chunk: Buffer) => {
    session.receive(chunk, 0);
    if (!session.hasRoom || state.isAsked) return;
    state.isAsked = true;
    for (const [i, exchange] of exchanges.entries()) ask(session, exchange, i, all[i] as Seen);
  });
  await promise;
  clearInterval(pump);
  socket.destroy();
  return asker.failures;
}

function ask(session: ClientSession<Seen>, {method, path, fields, content, requestTrailers}: Exchange, key: number, seen: Seen): void {
  const stream = session.beginRequest(seen, method, lines(method, path, [['X-Exchange', String(key)], ...fields].map(([name, value]) => `${name}: ${value}\r\n`).join('')));
  for (const piece of content) {
    const bytes = Buffer.from(piece, 'latin1');
    session.sendContent(stream, bytes, 0, bytes.length);
  }
  session.endMessage(stream, requestTrailers ? 'x-request-trailer: 1\r\n' : '');
}

describe('node:http2 as the server', () => {
  const application = new Application();
  before(() => application.open());
  after(() => application.close());

  testAsyncProperty('everything arrives, in both directions', fc.asyncProperty(fc.array(EXCHANGE, {minLength: 1, maxLength: 6}), async (exchanges) => {
    application.expected = exchanges;
    application.seen.length = 0;
    for (const _ of exchanges) application.seen.push({asked: '', content: '', requestTrailer: '', status: 0, interims: [], responseBytes: 0, trailer: '', isEnded: false});
    assert.deepEqual(await perform(application.port, exchanges, application.seen), []);
    assert.deepEqual(application.seen, exchanges.map(({method, path, fields, content, requestTrailers, status, responseBytes, hasTrailers, hasHints}) => ({
      asked: `${method} ${path} a.example ${fields.map(([name, value]) => `${name}=${value}`).join('&')}`,
      content: content.join(''), requestTrailer: requestTrailers ? '1' : '', status, interims: hasHints ? [103] : [], responseBytes, trailer: hasTrailers ? 'x-trailer=end' : '', isEnded: true,
    })));
  }), 60);
});
