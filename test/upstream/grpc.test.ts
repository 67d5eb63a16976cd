/** gRPC through Torwart, as it looks on the wire. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import {test} from 'node:test';
import {FAULTS, FAULT_CODES} from '#src/core/faults.ts';
import {grpcStatusLines} from '#src/policy/grpc.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS, acme} from '#test/support/snapshots.ts';
import {call, connect, start} from '#test/upstream/grpc-stage.ts';
import {ask, startApplication, startProxy} from '#test/upstream/http2-stage.ts';

test('unary: metadata, message, and the status in the trailers', async (context) => {
  const {application, session} = await start(context);
  application.respond = (stream, body) => {
    stream.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0', 'grpc-message': 'done'}));
    stream.end(`<${body}>`);
  };
  const unary = call(session, {'x-meta': '1'});
  unary.stream.end('message');
  await eventually('it is over', () => unary.isOver);
  assert.deepEqual([unary.head[':status'], unary.body, unary.trailers['grpc-status'], unary.trailers['grpc-message']], [200, '<message>', '0', 'done']);
  const fields = application.requests[0]?.fields;
  assert.deepEqual([fields?.te, fields?.['x-meta'], fields?.['content-length']], ['trailers', '1', undefined]);
});

for (const length of [0, 5, 300_000]) {
  test(`trailers go both ways, behind messages of ${length} bytes and without what has no place there`, async (context) => {
    const {proxy, application, session} = await start(context);
    const received: [name: string, value: unknown][][] = [];
    application.server.on('stream', (stream: http2.ServerHttp2Stream) => { stream.on('trailers', (trailers) => received.push(Object.entries(trailers))); });
    application.respond = (stream, body) => {
      stream.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0', 'x-back': 'b', 'set-cookie': 'evil=1'}));
      stream.end(body);
    };
    const made = call(session, {}, {'x-there': 'a', 'x-checksum-bin': 'AQID', authorization: 'evil', 'x-forwarded-for': '6.6.6.6'});
    made.stream.end('m'.repeat(length));
    await eventually('it is over', () => made.isOver);
    assert.equal(made.body, 'm'.repeat(length));
    assert.deepEqual(received, [[['x-there', 'a'], ['x-checksum-bin', 'AQID']]]);
    assert.deepEqual(Object.entries(made.trailers), [['grpc-status', '0'], ['x-back', 'b']]);
    assert.deepEqual(proxy.faults(), {});
  });
}

test('bidirectional: each message is passed on at once, however long both are silent in between', async (context) => {
  const {proxy, application, session} = await start(context);
  application.server.removeAllListeners('stream');
  const streams: http2.ServerHttp2Stream[] = [];
  application.server.on('stream', (stream: http2.ServerHttp2Stream) => {
    streams.push(stream);
    stream.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
    stream.on('error', () => undefined).on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0'}));
    stream.on('data', (chunk: Buffer) => stream.write(chunk)).on('end', () => stream.end());
  });
  const chat = call(session);
  for (const text of ['one', 'two', 'three']) {
    const before = chat.body;
    chat.stream.write(text);
    await eventually('it comes back', () => chat.body === before + text);
    proxy.pass(600_000);
  }
  chat.stream.end();
  await eventually('it is over', () => chat.isOver);
  assert.deepEqual([chat.body, chat.trailers['grpc-status'], streams.length], ['onetwothree', '0', 1]);
  assert.deepEqual(proxy.faults(), {});
});

test('a call that is cancelled is cancelled at the application, and its siblings go on', async (context) => {
  const {proxy, application, session} = await start(context);
  application.respond = () => undefined;
  const [cancelled, sibling] = [call(session), call(session)];
  cancelled.stream.end('a');
  sibling.stream.end('b');
  await eventually('both are there', () => application.requests.filter(({body}) => body !== '').length === 2);
  cancelled.stream.close(http2.constants.NGHTTP2_CANCEL);
  await eventually('it is cancelled', () => application.requests.find(({body}) => body === 'a')?.stream.destroyed === true);
  application.requests.find(({body}) => body === 'b')?.stream.respond({':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0'}, {endStream: true});
  await eventually('the sibling is answered', () => sibling.isOver);
  assert.deepEqual([sibling.head['grpc-status'], application.sessions], ['0', 1]);
  assert.deepEqual(proxy.faults(), {client_gone: 1});
});

test('what fails here is told as gRPC tells it: before an answer in its head, after that in trailers', async (context) => {
  const {proxy, application, session} = await start(context);
  application.respond = (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  const failed = call(session);
  failed.stream.end('x');
  await eventually('it is over', () => failed.isOver);
  assert.deepEqual([failed.head[':status'], failed.head['content-type'], failed.head['grpc-status'], failed.head['grpc-message'], failed.body], [200, 'application/grpc', '14', FAULTS.upstream_closed.reason, '']);
  application.respond = (stream) => {
    stream.respond({':status': 200, 'content-type': 'application/grpc'});
    stream.write('part');
  };
  const cut = call(session);
  cut.stream.end('x');
  await eventually('it has begun', () => cut.body === 'part');
  application.requests.at(-1)?.stream.session?.destroy();
  await eventually('it is over', () => cut.isOver);
  assert.deepEqual([cut.body, cut.trailers['grpc-status']], ['part', '14']);
  assert.deepEqual(proxy.faults(), {upstream_closed: 1, upstream_truncated: 1});
});

test('a route that is not there is unimplemented', async (context) => {
  const {session} = await start(context, {route: {path: '/other'}});
  const failed = call(session);
  failed.stream.end('x');
  await eventually('it is over', () => failed.isOver);
  assert.deepEqual([failed.head[':status'], failed.head['grpc-status']], [200, '12']);
});

test('the type of gRPC alone buys nothing, to a pool of HTTP/1.1', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const {session} = await start(context, {route: {takesCalls: false}, pool: {protocol: 'http1', servers: acme([upstream.port]).pools[0]?.servers ?? []}});
  const upload = call(session);
  upload.stream.write('drop');
  await settle();
  assert.equal(upstream.peers.length, 0, 'its body is collected');
  upload.stream.end();
  await eventually('it is answered', () => upload.isOver);
  assert.deepEqual([upload.head[':status'], upload.head['grpc-status']], [200, undefined]);
  await upstream.stop();
  const refused = call(session);
  refused.stream.end('x');
  await eventually('it is answered', () => refused.isOver);
  assert.deepEqual([refused.head[':status'], refused.head['grpc-status']], [502, undefined]);
});

test('nor to one of HTTP/2, on a route that takes no calls: its body is collected, must not trickle, and a refusal looks like one', async (context) => {
  const {proxy, application, session} = await start(context, {route: {takesCalls: false}});
  application.respond = (stream) => {
    stream.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0'}));
    stream.end();
  };
  const slow = call(session);
  slow.stream.write('drop');
  await settle();
  assert.equal(application.sessions, 0, 'its body is collected');
  proxy.pass(ROUTE_TIMEOUTS.requestBodyIdleMs + 500);
  await eventually('it is answered', () => slow.isOver);
  assert.deepEqual([slow.head[':status'], slow.head['grpc-status'], application.sessions], [408, undefined, 0]);
  const whole = call(session, {'grpc-timeout': '1n'});
  whole.stream.end('x');
  await eventually('it is answered', () => whole.isOver);
  assert.deepEqual([whole.head[':status'], whole.trailers], [200, {}]);
  assert.deepEqual(proxy.faults(), {request_body_timeout: 1});
});

test('nor does it over HTTP/1.1', async (context) => {
  const application = await startApplication(context);
  application.respond = (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  const proxy = await startProxy(context, [application.port]);
  const client = await proxy.connect(context);
  client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-type: application/grpc\r\ncontent-length: 2\r\n\r\nx');
  await settle();
  assert.equal(application.sessions, 0, 'its body is collected');
  assert.equal(statusOf(await ask(context, proxy, 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-type: application/grpc\r\ncontent-length: 1\r\n\r\nx')), 502);
});

test('1,000 calls at once', async (context) => {
  const {proxy, application, session} = await start(context);
  const held: http2.ServerHttp2Stream[] = [];
  application.respond = (stream) => { held.push(stream); };
  const sessions = [session, ...Array.from({length: 9}, () => connect(context, proxy))];
  const calls = sessions.flatMap((each) => Array.from({length: 100}, () => call(each)));
  for (const {stream} of calls) stream.end('m');
  await eventually('all are under way', () => held.length === 1000);
  for (const stream of held) stream.respond({':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0'}, {endStream: true});
  await eventually('all are answered', () => calls.every(({isOver}) => isOver));
  assert.ok(calls.every(({head}) => head['grpc-status'] === '0'));
  assert.ok(application.sessions <= 12, `${application.sessions} connections`);
  assert.deepEqual(proxy.faults(), {});
});

test('every fault that is told has a status of gRPC', () => {
  for (const code of FAULT_CODES.filter((fault) => FAULTS[fault].status !== 0)) assert.match(grpcStatusLines(code), /^grpc-status: (?:[2-9]|1[0-6])\r\ngrpc-message: [ -~]+\r\n$/);
});
