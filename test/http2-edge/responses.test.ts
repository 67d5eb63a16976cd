/** Responses of applications on their way to streams: what HTTP/1.1 delimits in six ways, HTTP/2 does in one. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {ERROR} from '#src/http2/frames.ts';
import {request} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK, type Script} from '#test/support/fake-upstream.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {fieldOf, fieldsOf} from '#test/support/raw-message.ts';

const {proxy, upstream} = await startStage({after});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

/** `<end>` ends the connection. */
function answers(text: string): Script {
  return ({peer}) => {
    peer.send(text.replace('<end>', ''));
    if (text.endsWith('<end>')) peer.socket.end();
    return null;
  };
}

function answer(text: string): void {
  upstream.respond = answers(text);
}

interface Row {
  readonly what: string;
  readonly answer: string;
  readonly method?: string;
  readonly body: string;
  /** Content-Length; undefined: none is sent. */
  readonly length: string | undefined;
}

describe('complete responses', () => {
  const ROWS: readonly Row[] = [
    {what: 'a length', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', length: '5'},
    {what: 'a length with zeros in front', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 0005\r\n\r\nhello', body: 'hello', length: '5'},
    {what: 'an empty body', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', body: '', length: '0'},
    {what: 'chunks with an extension and trailers', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n', body: 'hello', length: undefined},
    {what: 'no chunk but the last', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', body: '', length: undefined},
    {what: 'the end of the connection', answer: 'HTTP/1.1 200 OK\r\n\r\nhello<end>', body: 'hello', length: undefined},
    {what: 'HTTP/1.0 without a length', answer: 'HTTP/1.0 200 OK\r\n\r\nhello<end>', body: 'hello', length: undefined},
    {what: 'HEAD with a length', method: 'HEAD', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', body: '', length: '5'},
    {what: 'HEAD with chunks', method: 'HEAD', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', body: '', length: undefined},
    {what: '204', answer: 'HTTP/1.1 204 No Content\r\n\r\n', body: '', length: undefined},
    {what: '204 with a length', answer: 'HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n', body: '', length: undefined},
    {what: '304', answer: 'HTTP/1.1 304 Not Modified\r\n\r\n', body: '', length: undefined},
    {what: '304 with a length', answer: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n', body: '', length: undefined},
    {what: 'an error of the application', answer: 'HTTP/1.1 500 Oh no\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', length: '5'},
  ];
  for (const {what, answer: text, method = 'GET', body, length} of ROWS) {
    test(what, async (context) => {
      answer(text);
      const client = await Http2Client.open(context, proxy);
      const response = await client.ask(1, [[':method', method], ...GET.slice(1)]);
      assert.deepEqual([response.status, response.body, response.isComplete, response.reset], [Number(text.slice(9, 12)), body, true, null]);
      assert.equal(fieldOf(response, 'content-length'), length);
      upstream.respond = () => OK;
      assert.equal((await client.ask(3)).body, 'ok', 'the connection goes on');
    });
  }

  test('fields of the connection are not handed on, and all names are in lower case', async (context) => {
    answer('HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n'
      + 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: Yes\r\nServer: evil/1.0\r\n\r\n0\r\n\r\n');
    const response = await (await Http2Client.open(context, proxy)).ask(1);
    const names = response.fields.map(([name]) => name);
    for (const name of ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'transfer-encoding', 'x-hop', 'server']) assert.ok(!names.includes(name), name);
    assert.ok(names.every((name) => name === name.toLowerCase()));
    assert.deepEqual([fieldsOf(response, 'set-cookie'), fieldOf(response, 'x-kept')], [['a=1', 'b=2'], 'Yes']);
    assert.deepEqual([fieldOf(response, 'x-content-type-options'), fieldOf(response, 'strict-transport-security') !== undefined], ['nosniff', true]);
    assert.notEqual(fieldOf(response, 'date'), undefined);
  });

  test('103 is handed on, 100 and 102 are not', async (context) => {
    answer('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    const response = await (await Http2Client.open(context, proxy)).ask(1);
    assert.deepEqual([response.interim, response.status, response.body], [[103], 200, 'ok']);
  });

  test('a head of many frames', async (context) => {
    const values = Array.from({length: 20}, (_, i) => `${i}`.repeat(1000).slice(0, 1000));
    answer(`HTTP/1.1 200 OK\r\n${values.map((value, i) => `x-${i}: ${value}\r\n`).join('')}content-length: 2\r\n\r\nok`);
    const response = await (await Http2Client.open(context, proxy)).ask(1);
    assert.deepEqual(values.map((_, i) => fieldOf(response, `x-${i}`)), values);
  });
});

describe('broken responses', () => {
  const REFUSED: readonly (readonly [what: string, text: string, fault: FaultCode])[] = [
    ['no answer', '<end>', 'upstream_closed'],
    ['nonsense', 'nonsense\r\n', 'upstream_head_invalid'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 'upstream_framing_invalid'],
    ['101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', 'upstream_upgrade_unasked'],
    ['a line end in a value', 'HTTP/1.1 200 OK\r\nx-a: b\rx-evil: 1\r\n\r\n', 'upstream_head_invalid'],
  ];
  for (const [what, text, fault] of REFUSED) {
    test(`${fault}: ${what} is 502`, async (context) => {
      // On a connection that is new, so that nothing is tried again.
      const {proxy: own, upstream: fresh} = await startStage(context);
      fresh.respond = answers(text);
      const client = await Http2Client.open(context, own);
      const response = await client.ask(1, [[':method', 'POST'], ...GET.slice(1)]);
      assert.deepEqual([response.status, response.isComplete, /evil/.test(response.body)], [502, true, false]);
      assert.deepEqual(own.faults(), {[fault]: 1});
      fresh.respond = () => OK;
      assert.equal((await client.ask(3)).body, 'ok', 'the connection goes on');
    });
  }

  const CUT: readonly (readonly [what: string, text: string, fault: FaultCode])[] = [
    ['a length that is not reached', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello<end>', 'upstream_truncated'],
    ['chunks without the last one', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n<end>', 'upstream_truncated'],
    ['a malformed chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nevil\r\n', 'upstream_chunk_invalid'],
  ];
  for (const [what, text, fault] of CUT) {
    test(`${fault}: ${what} is never a short complete response`, async (context) => {
      upstream.respond = () => null;
      const client = await Http2Client.open(context, proxy);
      client.send(request(1, GET));
      const {peer} = await upstream.nextRequest();
      const at = text.indexOf('hello') + 5;
      peer.send(text.slice(0, at));
      await eventually('the beginning is here', () => client.peek(1).body === 'hello');
      const before = proxy.fault(fault);
      if (text.endsWith('<end>')) {
        peer.send(text.slice(at, -5));
        peer.socket.end();
      } else peer.send(text.slice(at));
      const response = await client.response(1);
      assert.deepEqual([response.status, response.body, response.isComplete, response.reset], [200, 'hello', false, ERROR.INTERNAL_ERROR]);
      assert.equal(proxy.fault(fault), before + 1);
      upstream.respond = () => OK;
      assert.equal((await client.ask(3)).body, 'ok', 'the connection goes on');
    });
  }

  test('upstream_surplus: a second response behind the first is nobody\'s', async (context) => {
    answer(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
    const client = await Http2Client.open(context, proxy);
    const before = proxy.fault('upstream_surplus');
    await client.ask(1);
    upstream.respond = () => OK;
    assert.equal((await client.ask(3)).body, 'ok');
    assert.ok(!client.frames.some(({payload}) => payload.toString('latin1').includes('evil')));
    assert.equal(proxy.fault('upstream_surplus'), before + 1);
  });
});
