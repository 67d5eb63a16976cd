/** Trailers: dropped unless the route lets them pass, and then without any field that has no place there (RFC 9110 §6.5.1). */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {FLAG, FRAME} from '#src/http2/frames.ts';
import {data, frame, literals} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {Http2Client, POST} from '#test/support/http2-client.ts';
import {eventually} from '#test/support/eventually.ts';

const EVIL = 'content-length: 0\r\ntransfer-encoding: chunked\r\nhost: evil\r\nauthorization: evil\r\nset-cookie: evil\r\ncookie: evil\r\nx-forwarded-for: evil\r\nconnection: close\r\nremote-user: evil\r\n';
const CHUNKED = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n${EVIL}\r\n`;
const UPLOAD = `transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 2\r\n${EVIL}\r\n`;

function post(more = ''): string {
  return `POST / HTTP/1.1\r\nhost: acme.test\r\n${more}${UPLOAD}`;
}

describe('of responses', () => {
  for (const [what, trailers, te, expected] of [
    ['dropped by default', false, 'te: trailers\r\nconnection: te\r\n', false], ['passed where the route says so', true, 'te: trailers\r\nconnection: te\r\n', true],
    ['dropped where the client does not take them', true, '', false],
  ] as const) {
    test(`${what} (HTTP/1.1)`, async (context) => {
      const {proxy, upstream} = await startStage(context, {acme: {route: {trailers, responseFields: {set: [], remove: ['remote-user']}}}});
      upstream.respond = () => CHUNKED;
      const client = await proxy.connect(context);
      client.send(`GET / HTTP/1.1\r\nhost: acme.test\r\n${te}\r\n`);
      await eventually('the end is here', () => client.received.includes('0\r\n'));
      assert.equal(client.received.slice(client.received.lastIndexOf('0\r\n')), expected ? '0\r\nx-sum: 1\r\n\r\n' : '0\r\n\r\n');
    });
  }

  for (const trailers of [false, true]) {
    test(`${trailers ? 'passed' : 'dropped'} (HTTP/2)`, async (context) => {
      const {proxy, upstream} = await startStage(context, {acme: {route: {trailers, responseFields: {set: [], remove: ['remote-user']}}}});
      upstream.respond = () => CHUNKED;
      const client = await Http2Client.open(context, proxy);
      client.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, literals([[':method', 'GET'], ...POST.slice(1)])));
      await eventually('the end is here', () => client.peek(1).isComplete);
      const heads = client.frames.filter(({type, streamId}) => type === FRAME.HEADERS && streamId === 1);
      assert.equal(heads.length, trailers ? 2 : 1);
      if (trailers) assert.deepEqual(client.peek(1).fields, [['x-sum', '1']]);
    });
  }
});

describe('of requests', () => {
  for (const [what, trailers, requestBufferBytes] of [['dropped by default', false, 1000], ['passed behind a body that was collected', true, 1000], ['passed behind one that streams', true, 0]] as const) {
    test(`${what} (HTTP/1.1)`, async (context) => {
      const {proxy, upstream} = await startStage(context, {acme: {route: {trailers, requestBufferBytes, requestFields: {set: [], remove: ['remote-user']}}}});
      const client = await proxy.connect(context);
      client.send(post());
      const request = await upstream.nextRequest();
      assert.equal(request.body, 'hi');
      await eventually('all is here', () => request.peer.received.endsWith(trailers ? '\r\n\r\n' : 'hi') || request.peer.received.endsWith('\r\n\r\n'));
      assert.equal(request.peer.received.endsWith('0\r\nx-sum: 2\r\n\r\n'), trailers, request.raw);
      assert.ok(!request.peer.received.includes('evil'));
    });
  }

  test('passed from HTTP/2', async (context) => {
    const {proxy, upstream} = await startStage(context, {acme: {route: {trailers: true}}});
    const client = await Http2Client.open(context, proxy);
    client.send(frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, literals(POST)), data(1, 'hi'), frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, literals([['x-sum', '2'], ['authorization', 'evil']])));
    const request = await upstream.nextRequest();
    await eventually('all is here', () => request.peer.received.endsWith('\r\n\r\n'));
    assert.ok(request.peer.received.endsWith('2\r\nhi\r\n0\r\nx-sum: 2\r\n\r\n'), request.raw);
  });
});
