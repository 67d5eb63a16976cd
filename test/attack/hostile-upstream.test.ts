/** What an application may not answer: it is hosted for others, and may have been taken over by an attacker. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {assertServes, attackFromUpstream, PROBE} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

type Row = readonly [what: string, bytes: string, fault: FaultCode, request?: string];

function refuseEach(rows: readonly Row[]): void {
  for (const [what, bytes, fault, request] of rows) {
    test(`${what}: ${fault}`, async (context) => { await attackFromUpstream(context, {proxy, upstream}, bytes, fault, request); });
  }
}

const POISON = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';
const HEAD_REQUEST = 'HEAD / HTTP/1.1\r\nhost: acme.test\r\n\r\n';

function answer(fields: string, body = ''): string {
  return `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
}

describe('heads that are no heads', () => {
  refuseEach([
    ['another protocol', 'SSH-2.0-evil\r\n', 'upstream_head_invalid'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n', 'upstream_head_invalid'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n', 'upstream_head_invalid'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n', 'upstream_head_invalid'],
    ['a status of 600', 'HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n', 'upstream_head_invalid'],
    ['a status of 099', 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n', 'upstream_head_invalid'],
    ['an empty line before the head', `\r\n${OK}`, 'upstream_head_invalid'],
    ['a bare LF', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n', 'upstream_head_invalid'],
    ['a bare CR in a value', answer('x-a: 1\r2\r\n'), 'upstream_head_invalid'],
    ['a NUL in a value', answer('x-a: \x00\r\n'), 'upstream_head_invalid'],
    ['obs-fold', answer('x-a: 1\r\n evil\r\n'), 'upstream_head_invalid'],
    ['a space before the colon', answer('content-length : 0\r\n'), 'upstream_head_invalid'],
    ['a line without a colon', answer('evil\r\n'), 'upstream_head_invalid'],
    ['Connection naming what Torwart sets', answer('connection: x-frame-options\r\ncontent-length: 0\r\n'), 'upstream_head_invalid'],
    ['a head over the limit', answer(`x-a: ${'a'.repeat(LIMITS.responseHeadBytesMax)}\r\n`), 'upstream_head_too_large'],
    ['fields over the limit', answer('a: 1\r\n'.repeat(LIMITS.responseFieldsMax + 1)), 'upstream_head_too_large'],
    ['an endless reason', `HTTP/1.1 200 ${'a'.repeat(LIMITS.responseHeadBytesMax)}`, 'upstream_head_too_large'],
    ['interim responses without end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(LIMITS.interimResponsesMax + 1) + OK, 'upstream_head_invalid'],
  ]);
});

describe('framing that two clients could read in two ways', () => {
  refuseEach([
    ['a length and chunks', answer('content-length: 4\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'), 'upstream_framing_invalid'],
    ['two lengths', answer('content-length: 4\r\ncontent-length: 5\r\n', 'evil'), 'upstream_framing_invalid'],
    ['the same length twice', answer('content-length: 4\r\ncontent-length: 4\r\n', 'evil'), 'upstream_framing_invalid'],
    ['a list of lengths', answer('content-length: 4, 4\r\n', 'evil'), 'upstream_framing_invalid'],
    ['a negative length', answer('content-length: -1\r\n'), 'upstream_framing_invalid'],
    ['another encoding', answer('transfer-encoding: gzip\r\n', 'evil'), 'upstream_framing_invalid'],
    ['an encoding before chunked', answer('transfer-encoding: gzip, chunked\r\n', '0\r\n\r\n'), 'upstream_framing_invalid'],
    ['chunked twice', answer('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'), 'upstream_framing_invalid'],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 'upstream_framing_invalid'],
    ['two lengths to a HEAD', answer('content-length: 4\r\ncontent-length: 5\r\n'), 'upstream_framing_invalid', HEAD_REQUEST],
    ['a chunk size with 0x', answer('transfer-encoding: chunked\r\n', '0x4\r\nevil\r\n0\r\n\r\n'), 'upstream_chunk_invalid'],
    ['a chunk with a bare LF', answer('transfer-encoding: chunked\r\n', '4\nevil\n0\n\n'), 'upstream_chunk_invalid'],
    ['an invalid trailer', answer('transfer-encoding: chunked\r\n', '4\r\nevil\r\n0\r\nevil\r\n\r\n'), 'upstream_chunk_invalid'],
  ]);
});

describe('more than one response', () => {
  refuseEach([
    ['a second response behind a length', OK + POISON, 'upstream_surplus'],
    ['one byte behind a length', `${OK}\n`, 'upstream_surplus'],
    ['a second response behind chunks', answer('transfer-encoding: chunked\r\n', `0\r\n\r\n${POISON}`), 'upstream_surplus'],
    ['a body of a 204', 'HTTP/1.1 204 No Content\r\n\r\nevil', 'upstream_surplus'],
    ['a body of a 204 with a length', 'HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil', 'upstream_surplus'],
    ['a body of a 304', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil', 'upstream_surplus'],
    ['a body to a HEAD', POISON, 'upstream_surplus', HEAD_REQUEST],
    ['chunks to a HEAD', answer('transfer-encoding: chunked\r\n', '4\r\nevil\r\n0\r\n\r\n'), 'upstream_surplus', HEAD_REQUEST],
    ['101 unasked', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n', 'upstream_upgrade_unasked'],
    ['101 to a client that asked where the route does not allow it', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n', 'upstream_upgrade_unasked',
      'GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'],
  ]);

  test('bytes on an idle connection end it: nobody asked for them', async (context) => {
    const client = await proxy.connect(context);
    client.send(PROBE);
    await client.response();
    const {peer} = await upstream.nextRequest();
    const before = proxy.fault('upstream_surplus');
    peer.send(POISON);
    await eventually('the connection ends', () => !peer.isOpen);
    assert.equal(proxy.fault('upstream_surplus'), before + 1);
    client.send(PROBE);
    assert.equal((await client.response()).body, 'ok');
    assert.notEqual((await upstream.nextRequest()).peer, peer);
  });
});

describe('what has begun is cut, never completed', () => {
  const rows: readonly Row[] = [
    ['an end before the declared length', answer('content-length: 10\r\n', 'begin'), 'upstream_truncated'],
    ['an end within a chunk', answer('transfer-encoding: chunked\r\n', '9\r\nbegin'), 'upstream_truncated'],
    ['an end between chunks', answer('transfer-encoding: chunked\r\n', '5\r\nbegin\r\n'), 'upstream_truncated'],
    ['an end before the last empty line', answer('transfer-encoding: chunked\r\n', '5\r\nbegin\r\n0\r\n'), 'upstream_truncated'],
  ];
  for (const [what, bytes, fault] of rows) {
    test(`${what}: ${fault}`, async (context) => {
      const before = proxy.fault(fault);
      upstream.respond = () => bytes;
      const client = await proxy.connect(context);
      client.send(PROBE);
      await eventually('the beginning is here', () => client.received.includes('begin'));
      const {peer} = await upstream.nextRequest();
      peer.socket.end();
      await client.ended();
      await assert.rejects(client.response(), /ended within a response/);
      assert.equal(proxy.fault(fault), before + 1);
      upstream.respond = () => OK;
      await assertServes(context, {proxy, upstream});
    });
  }

  test('an invalid chunk behind a valid one', async (context) => {
    upstream.respond = () => answer('transfer-encoding: chunked\r\n', '5\r\nbegin\r\n');
    const client = await proxy.connect(context);
    client.send(PROBE);
    await eventually('the beginning is here', () => client.received.includes('begin'));
    const {peer} = await upstream.nextRequest();
    peer.send('evil');
    await client.ended();
    await assert.rejects(client.response(), /ended within a response/);
    assert.ok(!client.received.includes('evil'));
  });

  test('a response without length to an HTTP/1.0 client: only a reset tells it that something is missing', async (context) => {
    upstream.respond = () => answer('', 'begin');
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.0\r\nhost: acme.test\r\n\r\n');
    await eventually('the beginning is here', () => client.received.includes('begin'));
    (await upstream.nextRequest()).peer.socket.resetAndDestroy();
    assert.equal(await client.ended(), 'reset');
  });

  test('an end before anything was said is 502', async (context) => {
    const before = proxy.fault('upstream_closed');
    upstream.respond = ({peer}) => {
      peer.socket.end();
      return null;
    };
    const client = await proxy.connect(context);
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 502);
    assert.equal(proxy.fault('upstream_closed'), before + 1);
  });
});
