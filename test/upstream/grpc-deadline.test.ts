/** `grpc-timeout`: how long a client waits for a call, kept by Torwart whatever the application does. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import {test} from 'node:test';
import {FAULTS} from '#src/core/faults.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {readCallTimeout} from '#src/policy/grpc.ts';
import {eventually} from '#test/support/eventually.ts';
import {ROUTE_TIMEOUTS} from '#test/support/snapshots.ts';
import {call, start} from '#test/upstream/grpc-stage.ts';

const INVALID = ['', '1', 'S', '1s', '1h', '123456789S', '-1S', '+1S', '1.5S', '1 S', '1SS', '0x1S', '1S, 1S', '1e3m', 'infinite'];

function timeoutOf(...values: readonly string[]): number | null {
  const head = new RequestHead();
  const text = `POST / HTTP/1.1\r\nhost: a\r\n${values.map((value) => `Grpc-Timeout: ${value}\r\n`).join('')}\r\n`;
  assert.equal(head.parse(Buffer.from(text, 'latin1'), 0, text.length), text.length, head.fault);
  return readCallTimeout(head);
}

test('1 to 8 digits and a unit', () => {
  const VALID: Readonly<Record<string, number>> = {'1H': 3_600_000, '2M': 120_000, '10S': 10_000, '250m': 250, '500u': 0.5, '1n': 1e-6, '0S': 0, '007S': 7000, '99999999H': 359_999_996_400_000};
  for (const [text, ms] of Object.entries(VALID)) assert.equal(timeoutOf(text), ms, text);
  assert.equal(timeoutOf(), Infinity);
});

test('anything else is none, and two are none', () => {
  for (const text of INVALID) assert.equal(timeoutOf(text), null, text);
  assert.equal(timeoutOf('1S', '1S'), null);
});

test('a call that takes too long is cancelled at the application and told so; its sibling goes on', async (context) => {
  const {proxy, application, session} = await start(context);
  application.respond = () => undefined;
  const [late, sibling] = [call(session, {'grpc-timeout': '10S'}), call(session)];
  late.stream.end('late');
  sibling.stream.end('sibling');
  await eventually('both are there', () => application.requests.filter(({body}) => body !== '').length === 2);
  proxy.passAlmost(10_000);
  assert.deepEqual(proxy.faults(), {});
  proxy.passRest();
  await eventually('it is over', () => late.isOver);
  assert.deepEqual([late.head[':status'], late.head['grpc-status'], late.head['grpc-message'], late.body], [200, '4', FAULTS.grpc_deadline.reason, '']);
  const asked = application.requests.find(({body}) => body === 'late');
  await eventually('it is cancelled', () => asked?.stream.destroyed === true);
  assert.deepEqual([asked?.stream.rstCode, asked?.fields['grpc-timeout']], [http2.constants.NGHTTP2_CANCEL, '10S']);
  application.requests.find(({body}) => body === 'sibling')?.stream.respond({':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0'}, {endStream: true});
  await eventually('the sibling is answered', () => sibling.isOver);
  assert.deepEqual([sibling.head['grpc-status'], application.sessions], ['0', 1]);
  assert.deepEqual(proxy.faults(), {grpc_deadline: 1});
});

test('a stream of messages that does not end in time ends with the status in its trailers', async (context) => {
  const {proxy, application, session} = await start(context);
  application.server.removeAllListeners('stream');
  const streams: http2.ServerHttp2Stream[] = [];
  application.server.on('stream', (stream: http2.ServerHttp2Stream) => {
    streams.push(stream);
    stream.respond({':status': 200, 'content-type': 'application/grpc'});
    stream.on('error', () => undefined).on('data', (chunk: Buffer) => stream.write(chunk));
  });
  const chat = call(session, {'grpc-timeout': '1M'});
  for (const text of ['one', 'two']) {
    const before = chat.body;
    chat.stream.write(text);
    await eventually('it comes back', () => chat.body === before + text);
    proxy.pass(29_000);
  }
  proxy.pass(2_500);
  await eventually('it is over', () => chat.isOver);
  assert.deepEqual([chat.body, chat.trailers['grpc-status'], chat.trailers['grpc-message']], ['onetwo', '4', FAULTS.grpc_deadline.reason]);
  await eventually('it is cancelled', () => streams[0]?.destroyed === true);
  assert.deepEqual(proxy.faults(), {grpc_deadline: 1});
});

test('who does not wait at all does not reach the application', async (context) => {
  const {proxy, application, session} = await start(context);
  const hasty = call(session, {'grpc-timeout': '0m'});
  hasty.stream.end('x');
  await eventually('it is over', () => hasty.isOver);
  assert.deepEqual([hasty.head['grpc-status'], application.requests.length], ['4', 0]);
  assert.deepEqual(proxy.faults(), {grpc_deadline: 1});
});

test('a timeout that nobody can tell is refused, and nothing reaches the application', async (context) => {
  const {proxy, application, session} = await start(context);
  const values = ['1', '123456789S', '-1S', '1s', ['1S', '1S']];
  for (const value of values) {
    const refused = call(session, {'grpc-timeout': value});
    refused.stream.end('x');
    await eventually('it is over', () => refused.isOver);
    assert.deepEqual([refused.head[':status'], refused.head['grpc-status'], refused.head['grpc-message']], [200, '13', FAULTS.grpc_timeout_invalid.reason]);
  }
  assert.equal(application.requests.length, 0);
  assert.deepEqual(proxy.faults(), {grpc_timeout_invalid: values.length});
  const fresh = call(session, {'grpc-timeout': '1S'});
  fresh.stream.end('x');
  await eventually('it is answered', () => fresh.isOver);
  assert.equal(fresh.body, '<x>');
});

test('a call that is over in time has no deadline any more, nor has the next one', async (context) => {
  const {proxy, application, session} = await start(context);
  const quick = call(session, {'grpc-timeout': '10S'});
  quick.stream.end('x');
  await eventually('it is over', () => quick.isOver);
  application.respond = () => undefined;
  const slow = call(session);
  slow.stream.end('y');
  await eventually('it is there', () => application.requests.some(({body}) => body === 'y'));
  proxy.pass(30_000);
  assert.deepEqual([slow.isOver, proxy.faults()], [false, {}]);
});

test('no deadline makes the route more patient', async (context) => {
  const {proxy, application, session} = await start(context, {route: {timeouts: {...ROUTE_TIMEOUTS, responseHeadMs: 5_000}}});
  application.respond = () => undefined;
  const patient = call(session, {'grpc-timeout': '99999999H'});
  patient.stream.end('x');
  await eventually('it is there', () => application.requests[0]?.body === 'x');
  proxy.pass(6_000);
  await eventually('it is over', () => patient.isOver);
  assert.equal(patient.head['grpc-status'], '4');
  assert.deepEqual(proxy.faults(), {response_head_timeout: 1});
});

test('hasty clients take no server out of rotation, and no connection from the calls on it', async (context) => {
  const {proxy, application, session} = await start(context, {pool: {passive: {failures: 1, forMs: 60_000}}});
  application.respond = () => undefined;
  for (let i = 1; i <= 3; i++) {
    const hasty = call(session, {'grpc-timeout': '1n'});
    hasty.stream.end('x');
    await eventually('it is there', () => application.requests.filter(({body}) => body === 'x').length === i);
    proxy.pass(500);
    await eventually('it is over', () => hasty.isOver);
    assert.equal(hasty.head['grpc-status'], '4');
  }
  application.respond = (stream, body) => { stream.respond({':status': 200}); stream.end(`<${body}>`); };
  const other = call(session);
  other.stream.end('x');
  await eventually('it is answered', () => other.isOver);
  assert.deepEqual([other.body, application.sessions], ['<x>', 1]);
  assert.deepEqual(proxy.faults(), {grpc_deadline: 3});
});

test('a connection of which nothing came while a call waited in vain gets no more calls: it may be dead', async (context) => {
  const {proxy, application, session} = await start(context);
  application.respond = () => undefined;
  const vain = call(session, {'grpc-timeout': '10S'});
  vain.stream.end('x');
  await eventually('it is there', () => application.requests[0]?.body === 'x');
  proxy.pass(10_500);
  await eventually('it is over', () => vain.isOver);
  application.respond = (stream, body) => { stream.respond({':status': 200}); stream.end(`<${body}>`); };
  const next = call(session);
  next.stream.end('y');
  await eventually('it is answered', () => next.isOver);
  assert.deepEqual([next.body, application.sessions], ['<y>', 2]);
});
