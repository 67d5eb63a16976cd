/**
 * Bytes that are valid, or nearly: whatever Torwart makes of them, those behind it and before it see the same messages. Of what it forwards there
 * are four views: a strict reader's of the bytes themselves, a `node:http` server's, what http-proxy-3 makes of the same bytes for a server of
 * its own, and Torwart's own in its access log. Of what it answers there are three as well: the strict reader's, the client's of `node:http`, and undici's.
 */
import assert from 'node:assert/strict';
import {METHODS, createServer as createHttpServer, request as requestHttp, type Server as HttpServer} from 'node:http';
import {connect, createServer, type Server} from 'node:net';
import {after, type TestContext} from 'node:test';
import * as fc from 'fast-check';
import httpProxy from 'http-proxy-3';
import {Client} from 'undici';
import {normaliseTarget} from '#src/http1/path.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {testAsyncProperty} from '#test/support/property.ts';
import {ProxyHarness, type LogLine} from '#test/support/proxy-harness.ts';
import {connectRaw, type RawClient} from '#test/support/raw-client.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {readStrictRequests, readStrictResponses, type StrictMessage} from '#test/support/strict-message.ts';
import {acme} from '#test/support/snapshots.ts';

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly body: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

async function listen(server: Server | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  after(() => { server.close(); });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the server does not listen');
  return bound.port;
}

/** Remembers every request. */
function createApplication(seen: Seen[]): HttpServer {
  const server = createHttpServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString('latin1'); });
    request.on('end', () => {
      const fields = request.rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), request.rawHeaders[i + 1] ?? ''] as const] : []));
      seen.push({method: request.method ?? '', target: request.url ?? '', body, fields});
      response.end('ok');
    });
  });
  after(() => { server.closeAllConnections(); });
  return server;
}

const direct: Seen[] = [];
const proxied: Seen[] = [];
const directPort = await listen(createApplication(direct));
const target = `http://127.0.0.1:${await listen(createApplication(proxied))}`;
const oracle = httpProxy.createProxyServer({target, xfwd: false, changeOrigin: false});
const oraclePort = await listen(createHttpServer((request, response) => { oracle.web(request, response); }));

/** Each connection's bytes on their way from Torwart to the application. */
const forwarded: string[] = [];
const relayPort = await listen(createServer((socket) => {
  const index = forwarded.push('') - 1;
  const application = connect(directPort, '127.0.0.1');
  socket.on('data', (chunk) => { forwarded[index] += chunk.toString('latin1'); });
  socket.on('error', () => application.destroy());
  application.on('error', () => socket.destroy());
  socket.pipe(application).pipe(socket);
}));

const proxy = await ProxyHarness.start({after}, {customers: [acme([relayPort])]});

/** Ends with the run of a property, not with the test. */
async function withClient(port: number, act: (client: RawClient) => Promise<void>): Promise<void> {
  const hooks: (() => void)[] = [];
  const client = await connectRaw({after: (hook: () => void) => { hooks.push(hook); }} as unknown as TestContext, port);
  try {
    await act(client);
  } finally {
    for (const hook of hooks) hook();
  }
}

/** Sends it and waits until nothing comes any more. */
async function exchange(port: number, bytes: string): Promise<string> {
  const received = {text: ''};
  await withClient(port, async (client) => {
    client.send(bytes);
    for (let before = -1; before !== client.received.length && client.end === 'none';) {
      before = client.received.length;
      await settle(12);
    }
    received.text = client.received;
  });
  return received.text;
}

const BODY = fc.stringMatching(/^[a-z0-9\r\n:; ]{0,20}$/);
const ODD_LINES = ['content-length: 3', 'content-length: 03', 'Content-Length : 3', 'content-length: 3, 3', 'transfer-encoding: chunked', 'Transfer-Encoding: Chunked', 'transfer-encoding: xchunked', 'transfer_encoding: chunked', 'content.length: 3', 'x_own: 1',
  'x-fa: 1\n', 'x-fa: \t1 ', 'x-fa:', 'x-fb:2\r', ' x-fa: 3', 'connection: x-fa', 'connection: close', 'expect: 100-continue', 'upgrade: h2c', 'host: acme.test', 'te: trailers', 'x-fc: \xe4', 'x-fc: a\0b'];
const LINE = fc.oneof({weight: 3, arbitrary: fc.constantFrom('x-fa: 1', 'x-fb: two', 'accept: */*', 'cookie: a=b')}, {weight: 1, arbitrary: fc.constantFrom(...ODD_LINES)});
const START = fc.constantFrom('GET / HTTP/1.1', 'GET /a/../b?c=d HTTP/1.1', 'POST /p HTTP/1.1', 'PUT /%61 HTTP/1.1', 'HEAD / HTTP/1.1', 'GET http://acme.test/ HTTP/1.1', 'GET / HTTP/1.0', 'DELETE /x//y HTTP/1.1', 'GET /a%2fb HTTP/1.1');

const REQUEST = fc.tuple(START, fc.array(LINE, {maxLength: 4}), fc.constantFrom('none', 'length', 'chunked', 'short', 'long'), BODY).map(([start, lines, framing, body]) => {
  const head = [start, 'host: acme.test', ...lines].join('\r\n');
  if (framing === 'none') return `${head}\r\n\r\n`;
  if (framing === 'chunked') return `${head}\r\ntransfer-encoding: chunked\r\n\r\n${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`;
  return `${head}\r\ncontent-length: ${body.length + (framing === 'short' ? -1 : framing === 'long' ? 1 : 0)}\r\n\r\n${body}`;
});

/** A byte is replaced, put in or taken out; mostly none. */
const SLIP = fc.record({at: fc.double({min: 0, max: 1, noNaN: true}), cut: fc.nat(1), put: fc.constantFrom('', '', '\r', '\n', '\0', ' ', '\t', ':', ';', '0', '\xff', '\r\n')});
const STREAM = fc.tuple(fc.array(REQUEST, {minLength: 1, maxLength: 3}), fc.array(SLIP, {maxLength: 2})).map(([requests, slips]) => slips.reduce((text, {at, cut, put}) => {
  const place = Math.floor(at * text.length);
  return text.slice(0, place) + put + text.slice(place + cut);
}, requests.join('')));

function view({startLine, fields, body}: StrictMessage): Seen {
  const [method = '', path = ''] = startLine.split(' ');
  return {method, target: path, body, fields};
}

/** What http-proxy-3 leaves as it is: all but what is said to the next hop. It knows a field by its name only, once. */
function joinFields({method, target: path, body, fields}: Seen): unknown {
  const joined = new Map<string, string>();
  for (const [name, value] of fields) {
    const before = joined.get(name);
    joined.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  joined.delete('connection');
  // It gives a DELETE without content a length.
  if (method === 'DELETE' && body === '') joined.delete('content-length');
  return {method, target: path, body, fields: [...joined].map(([name, value]) => [name, value.trim()] as const).toSorted(([one], [other]) => (one < other ? -1 : 1))};
}

function valueOf({fields}: Seen, name: string): string | undefined {
  return fields.find(([known]) => known === name)?.[1];
}

/** The content of a request as a client sent it, whose body is all that comes after its head. */
function contentOf(request: string): string {
  const end = request.indexOf('\r\n\r\n');
  const head = request.slice(0, end);
  let rest = request.slice(end + 4), content = '';
  if (!/^transfer-encoding:/im.test(head)) return rest;
  while (rest !== '') {
    const size = Number.parseInt(rest, 16), start = rest.indexOf('\r\n') + 2;
    content += rest.slice(start, start + size);
    rest = size === 0 ? '' : rest.slice(start + size + 2);
  }
  return content;
}

/** Torwart's view: each line of its log is the next so many bytes of what came, and those that it has forwarded are the requests that were seen. */
function compareWithLog(lines: readonly LogLine[], bytes: string, seen: readonly Seen[]): void {
  let at = 0, index = 0;
  for (const line of lines) {
    const request = bytes.slice(at, at += Number(line['bytes_in']));
    if (line['upstream'] === '') continue;
    const forwarded = seen[index++];
    assert.ok(forwarded !== undefined, 'nobody has seen what the log says');
    assert.deepEqual([line['method'], normaliseTarget(originOf(String(line['path'])), true), line['host'], line['request_id']],
      [forwarded.method, forwarded.target, valueOf(forwarded, 'host')?.replace(/:[0-9]*$/, ''), valueOf(forwarded, 'x-request-id')]);
    assert.ok(request.trimStart().startsWith(`${line['method']} ${line['path']} HTTP/1.`), 'it says which bytes it was');
    assert.equal(contentOf(request), forwarded.body);
  }
  assert.equal(index, seen.length, 'the log says as many');
}

function originOf(target: string): string {
  return target.replace(/^http:\/\/[^/]*/, '');
}

testAsyncProperty('what is forwarded is the same requests to all who read it', fc.asyncProperty(STREAM, async (bytes) => {
  await proxy.forgetLog();
  const [seenBefore, connectionsBefore, proxiedBefore, loggedBefore] = [direct.length, forwarded.length, proxied.length, proxy.counter('requests')];
  const lengthsBefore = forwarded.map((text) => text.length);
  await exchange(proxy.ports['http'] ?? 0, bytes);
  const recorded = forwarded.map((text, i) => text.slice(i < connectionsBefore ? lengthsBefore[i] : 0)).filter((text) => text !== '');
  const strict = recorded.flatMap((text) => readStrictRequests(text).map(view));
  // Llhttp refuses methods that it does not know: to refuse is not to read otherwise.
  fc.pre(strict.every(({method}) => METHODS.includes(method)));
  assert.deepEqual(direct.slice(seenBefore), strict, 'node:http sees what was forwarded');
  const lines: LogLine[] = [];
  while (lines.length < proxy.counter('requests') - loggedBefore) lines.push(await proxy.nextLogLine());
  compareWithLog(lines, bytes, strict);
  for (const text of recorded) await exchange(oraclePort, text);
  await eventually('http-proxy-3 has brought as many', () => proxied.length - proxiedBefore >= strict.length);
  assert.deepEqual(proxied.slice(proxiedBefore).map(joinFields), strict.map(joinFields), 'http-proxy-3 brings the same');
  assert.deepEqual(proxy.reports, []);
}), 40);

// The other way round.

const STATUS = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', 'HTTP/1.0 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.1 200', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK', 'HTTP/1.1 101 x', 'HTTP/2 200');
const ANSWER = fc.tuple(STATUS, fc.array(LINE, {maxLength: 3}), fc.constantFrom('none', 'length', 'chunked', 'short', 'long'), BODY, fc.array(SLIP, {maxLength: 1})).map(([start, lines, framing, body, slips]) => {
  const head = [start, ...lines.filter((text) => !text.startsWith('host'))].join('\r\n');
  const text = framing === 'none' ? `${head}\r\n\r\n${body}`
    : framing === 'chunked' ? `${head}\r\ntransfer-encoding: chunked\r\n\r\n${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`
      : `${head}\r\ncontent-length: ${body.length + (framing === 'short' ? -1 : framing === 'long' ? 1 : 0)}\r\n\r\n${body}`;
  return slips.reduce((whole, {at, cut, put}) => whole.slice(0, Math.floor(at * whole.length)) + put + whole.slice(Math.floor(at * whole.length) + cut), text);
});

const hostile = await FakeUpstream.start({after});
const facing = await ProxyHarness.start({after}, {customers: [acme([hostile.port])]});
const replayed = {text: ''};
const replayPort = await listen(createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', () => { socket.end(replayed.text, 'latin1'); });
}));

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Null where the client of `node:http` takes it for a failure. */
async function readByNode(method: string): Promise<Answer | null> {
  return new Promise((resolve) => {
    const request = requestHttp({port: replayPort, host: '127.0.0.1', method, agent: false}, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => { body += chunk.toString('latin1'); });
      response.on('end', () => { resolve({status: response.statusCode ?? 0, body}); });
      response.on('error', () => { resolve(null); });
    });
    request.on('error', () => { resolve(null); });
    request.end();
  });
}

async function readByUndici(method: 'GET' | 'HEAD'): Promise<Answer | null> {
  const client = new Client(`http://127.0.0.1:${replayPort}`);
  try {
    const {statusCode, body} = await client.request({method, path: '/'});
    return {status: statusCode, body: Buffer.from(await body.arrayBuffer()).toString('latin1')};
  } catch {
    return null;
  } finally {
    await client.destroy();
  }
}

function readStrictly(text: string, method: string): Answer | null {
  try {
    const [message] = readStrictResponses(text, [method], false);
    return message === undefined ? null : {status: statusOf(message), body: message.body};
  } catch {
    return null;
  }
}

testAsyncProperty('what is answered is one response, or a failure, to all who read it', fc.asyncProperty(ANSWER, fc.constantFrom('GET' as const, 'HEAD' as const), async (bytes, method) => {
  hostile.respond = ({peer}) => {
    peer.socket.end(bytes, 'latin1');
    return null;
  };
  replayed.text = await exchange(facing.ports['http'] ?? 0, `${method} / HTTP/1.1\r\nhost: acme.test\r\nconnection: close\r\n\r\n`);
  const strict = readStrictly(replayed.text, method);
  const views = [await readByNode(method), await readByUndici(method)];
  assert.deepEqual(views, [strict, strict], JSON.stringify(replayed.text));
  assert.deepEqual(facing.reports, []);
}), 40);
