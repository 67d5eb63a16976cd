/**
 * nghttp2, as `node:http2` has it, is the oracle: as the other server it must see in the same bytes the same requests, and as the client it must
 * be served what it asked for.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import {after, before, describe} from 'node:test';
import * as fc from 'fast-check';
import {ERROR, FLAG, FRAME, FRAME_HEADER_BYTES} from '#src/http2/frames.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import type {Stream} from '#src/http2/stream.ts';
import {opening, ping} from '#test/http2/frames.ts';
import {listen, type LoopbackServer} from '#test/http2/loopback.ts';
import {Peer} from '#test/http2/peer.ts';
import {CONTENT, EDITED_SESSION, FIELD_NAME, FIELD_VALUE, METHOD, PATH, SESSION, SPOILT_SESSION} from '#test/http2/sessions.ts';
import {testAsyncProperty} from '#test/support/property.ts';

/** Streams with their requests, in one form for both servers; and whether the connection was ended. */
interface Seen {
  readonly requests: Map<number, string[]>;
  isEnded: boolean;
}

function describeRequest(head: Readonly<Record<string, string>>, fields: readonly (readonly [string, string])[], content: string, isComplete: boolean): string[] {
  const cookies = fields.filter(([name]) => name === 'cookie').map(([, value]) => value);
  const others = fields.filter(([name]) => name !== 'cookie' && name !== 'host').map(([name, value]) => `${name}: ${value}`);
  return [
    `${head[':method']} ${head[':path']} ${head[':authority']}`,
    ...others,
    ...(cookies.length > 0 ? [`cookie: ${cookies.join('; ')}`] : []),
    ...(isComplete ? [`content ${content}`] : []),
  ];
}

function seenHere(bytes: Buffer): Seen {
  const peer = new Peer();
  peer.send(bytes);
  const requests = new Map<number, string[]>();
  const completed = new Set(peer.events.filter((event) => event.startsWith('end ')).map((event) => Number(event.slice(4))));
  let at = 0;
  for (const event of peer.events) {
    const [, id, method = '', path = '', authority = '', body] = /^request (\d+) (\S+) (\S+) for (\S+), body (-?\d+)$/.exec(event) ?? [];
    at++;
    if (id === undefined) continue;
    const rest = peer.events.slice(at);
    const fieldCount = rest.findIndex((line) => !line.startsWith('field '));
    const fields = rest.slice(0, fieldCount < 0 ? rest.length : fieldCount).map((line): [string, string] => {
      const colon = line.indexOf(': ');
      return [line.slice('field '.length, colon), line.slice(colon + 2)];
    });
    const stream = peer.stream(Number(id));
    const isComplete = body === '0' || completed.has(Number(id));
    requests.set(Number(id), describeRequest({':method': method, ':path': path, ':authority': authority}, fields, stream.context ?? '', isComplete));
  }
  return {requests, isEnded: peer.session.isFinished};
}

class OracleServer {
  readonly #server = http2.createServer({settings: {maxHeaderListSize: 65_536}});
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  #seen: Seen = {requests: new Map(), isEnded: false};

  async open(): Promise<void> {
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => this.#sessions.delete(session));
    });
    this.#server.on('stream', (stream, head, _, raw) => this.#onStream(stream as http2.ServerHttp2Stream, head, raw));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  #onStream(stream: http2.ServerHttp2Stream, head: http2.IncomingHttpHeaders, raw: readonly string[]): void {
    const {requests} = this.#seen;
    const id = stream.id ?? 0;
    const fields = raw.flatMap((name, i): [string, string][] => (i % 2 === 0 && !name.startsWith(':') ? [[name, raw[i + 1] ?? '']] : []));
    const pseudo = Object.fromEntries([':method', ':path', ':authority'].map((name) => [name, String(head[name])]));
    let content = '';
    requests.set(id, describeRequest(pseudo, fields, '', false));
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => { content += chunk.toString('latin1'); });
    stream.on('end', () => requests.set(id, describeRequest(pseudo, fields, content, !stream.aborted)));
  }

  /** Sends the bytes, and waits until all of them are understood or the connection has ended. */
  async see(bytes: Buffer): Promise<Seen> {
    this.#seen = {requests: new Map(), isEnded: false};
    const seen = this.#seen;
    const socket = net.connect((this.#server.address() as net.AddressInfo).port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      let received = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, typeof chunk === 'string' ? Buffer.from(chunk) : chunk]);
        if (received.includes(LAST_PING_ACK)) resolve();
      });
      socket.on('error', () => {});
      // An edit may make a frame that swallows the ping, and waits for more.
      socket.setTimeout(SWALLOWED_MS, () => { socket.destroy(); });
      socket.on('close', () => {
        seen.isEnded = true;
        resolve();
      });
      socket.write(Buffer.concat([bytes, LAST_PING]));
    });
    // Content reaches its readers a few turns after the frame.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => { setImmediate(resolve); });
    socket.destroy();
    return seen;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

/**
 * The bytes before the client's GOAWAY: after it `node:http2` takes no new requests, and Torwart does as long as others are under way, which
 * is for the client to use or not (RFC 9113 §6.8).
 */
function takeUntilFarewell(bytes: Buffer): Buffer {
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; at += FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === FRAME.GOAWAY) return bytes.subarray(0, at);
  }
  return bytes;
}

const SWALLOWED_MS = 3_000;
const LAST_PING = ping(0, 'the-last');
const LAST_PING_ACK = ping(FLAG.ACK, 'the-last');

describe('as the other server', () => {
  const oracle = new OracleServer();
  before(() => oracle.open());
  after(() => oracle.close());

  testAsyncProperty('well-formed sessions mean the same', fc.asyncProperty(SESSION, async ({frames}) => {
    const bytes = Buffer.concat([opening(), ...frames]);
    const expected = await oracle.see(bytes);
    assert.deepEqual(seenHere(bytes).requests, expected.requests);
  }), 100);

  testAsyncProperty('no request is seen here that is not seen there', fc.asyncProperty(fc.oneof(EDITED_SESSION, SPOILT_SESSION), async (generated) => {
    const bytes = Buffer.concat([opening(), takeUntilFarewell(generated)]);
    const here = seenHere(bytes);
    const there = await oracle.see(bytes);
    for (const [id, request] of here.requests) {
      const other = there.requests.get(id);
      // nghttp2 ends the connection over some frames that cost one stream here: what follows is seen here only.
      if (other === undefined) assert.ok(there.isEnded, `stream ${id} is seen here only`);
      else assert.deepEqual(there.isEnded ? request.slice(0, other.length) : request, other.slice(0, request.length), `stream ${id}`);
    }
  }), 300);
});

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly content: readonly string[];
  readonly status: number;
  readonly responseBytes: number;
  readonly hasTrailers: boolean;
}

const EXCHANGE = fc.record<Exchange>({
  method: METHOD.filter((method) => method !== 'OPTIONS'),
  path: PATH,
  // node:http2 sends one field of a name, and nothing beyond ASCII.
  fields: fc.uniqueArray(fc.tuple(FIELD_NAME, FIELD_VALUE.filter((value) => !/[^\x20-\x7e]/.test(value))), {maxLength: 4, selector: ([name]) => name}),
  content: fc.array(CONTENT, {maxLength: 3}),
  status: fc.constantFrom(200, 201, 404, 503),
  responseBytes: fc.constantFrom(0, 1, 1000, 70_000, 300_000),
  hasTrailers: fc.boolean(),
});

interface Served {
  readonly exchange: Exchange;
  content: string;
}

/** Answers as the field `x-exchange` says, in pieces and with back pressure. */
class OracleHandler {
  readonly served = new Map<string, Served>();
  readonly failures: string[] = [];
  expected: readonly Exchange[] = [];

  begin(stream: Stream<Served>, head: RequestHead): void {
    const {fields} = head;
    const lines = Array.from({length: fields.count}, (_, i) => `${fields.name(i)}: ${fields.value(i)}`);
    const key = lines.find((line) => line.startsWith('x-exchange: '))?.slice('x-exchange: '.length) ?? '';
    const exchange = this.expected[Number(key)];
    if (exchange === undefined) throw new Error(`no exchange ${key}`);
    stream.context = {exchange, content: ''};
    if (head.method !== exchange.method || head.target !== exchange.path) this.failures.push(`${head.method} ${head.target}`);
    for (const [name, value] of exchange.fields) {
      if (!lines.includes(`${name}: ${value}`)) this.failures.push(`${name} is not among ${lines.join('|')}`);
    }
    this.served.set(key, stream.context);
  }
}

describe('as the client', () => {
  const handler = new OracleHandler();
  let server: LoopbackServer;
  before(async () => {
    server = await listen<Served>((session, flush) => {
      const written = new WeakMap<Stream<Served>, number>();
      const goOn = (stream: Stream<Served>): void => {
        const total = stream.context?.exchange.responseBytes ?? 0;
        let at = written.get(stream) ?? 0;
        while (at < total && !stream.isBackedUp) {
          const chunk = Buffer.alloc(Math.min(20_000, total - at), 'r');
          session().sendContent(stream, chunk, 0, chunk.length);
          at += chunk.length;
        }
        const isDone = at === total && written.get(stream) !== total + 1;
        written.set(stream, isDone ? total + 1 : at);
        if (isDone) session().endMessage(stream, stream.context?.exchange.hasTrailers === true ? 'x-trailer: end\r\n' : '');
        flush();
      };
      const respond = (stream: Stream<Served>): void => {
        session().sendHead(stream, stream.context?.exchange.status ?? 500, 'X-Answer: yes\r\ncache-control: no-store\r\n');
        goOn(stream);
      };
      return {
        onRequest(stream, head) {
          handler.begin(stream, head);
          if (head.bodyLength === 0) respond(stream);
        },
        onInvalidRequest: (_, fault) => handler.failures.push(fault),
        onData(stream, bytes, start, end) {
          if (stream.context !== null) stream.context.content += bytes.toString('latin1', start, end);
        },
        onEnd: respond,
        onBodyTimeout: () => handler.failures.push('late'),
        onReset: (_, code, fault) => handler.failures.push(`${fault} ${code}`),
        onBackedUp: () => {},
        onDrain: goOn,
        onRefusedRequest: (fault) => handler.failures.push(fault),
        onNotableGlitches: () => undefined,
        onGlitchQuarters: () => undefined,
        onIdle: () => undefined,
        onConnectionError: (code, fault) => handler.failures.push(`${fault} ${code}`),
      };
    });
  });
  after(() => server.close());

  testAsyncProperty('everything arrives, in both directions', fc.asyncProperty(fc.array(EXCHANGE, {minLength: 1, maxLength: 6}), async (exchanges) => {
    handler.expected = exchanges;
    handler.served.clear();
    handler.failures.length = 0;
    const client = http2.connect(`http://127.0.0.1:${server.port}`);
    const results = await Promise.all(exchanges.map((exchange, i) => perform(client, exchange, i)));
    await new Promise<void>((resolve) => { client.close(resolve); });
    assert.deepEqual(handler.failures.filter((failure) => failure !== `client_gone ${ERROR.NO_ERROR}`), []);
    assert.deepEqual(results, exchanges.map(({status, responseBytes, hasTrailers}) => ({status, responseBytes, trailer: hasTrailers ? 'end' : '', answer: 'yes'})));
    assert.deepEqual(exchanges.map((_, i) => handler.served.get(String(i))?.content), exchanges.map(({content}) => content.join('')));
  }), 60);
});

interface Result {
  readonly status: number;
  readonly responseBytes: number;
  readonly trailer: string;
  readonly answer: string;
}

async function perform(client: http2.ClientHttp2Session, {method, path, fields, content}: Exchange, key: number): Promise<Result> {
  const stream = client.request({':method': method, ':path': path, 'x-exchange': String(key), ...Object.fromEntries(fields)}, {endStream: content.length === 0});
  let status = 0, responseBytes = 0, trailer = '', answer = '';
  stream.on('response', (head) => {
    status = head[':status'] ?? 0;
    answer = String(head['x-answer']);
  });
  stream.on('trailers', (head) => { trailer = String(head['x-trailer']); });
  stream.on('data', (chunk: Buffer) => { responseBytes += chunk.length; });
  for (const piece of content) stream.write(Buffer.from(piece, 'latin1'));
  stream.end();
  await new Promise((resolve, reject) => {
    stream.on('close', resolve);
    stream.on('error', reject);
  });
  return {status, responseBytes, trailer, answer};
}
