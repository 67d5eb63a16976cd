/** HTTP/2 to applications: servers that end connections, that attack, and that say nothing. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ask, GET, PAIR, startApplication, startProxy, TLS} from '#test/upstream/http2-stage.ts';
import {END_HEADERS, END_STREAM, RawHttp2, TYPE, fieldBlock, frame, head, uint32, type RawPeer} from '#test/upstream/raw-http2.ts';
import {TlsUpstream} from '#test/upstream/tls-upstream.ts';

const OK_HEAD = [[':status', '200']] as const;
const LENGTH_5 = [[':status', '200'], ['content-length', '5']] as const;

describe('a server that ends connections', () => {
  test('after GOAWAY, those in flight are answered, and what it had not begun goes over a new connection, POST included', async (context) => {
    const upstream = await RawHttp2.start(context);
    const proxy = await startProxy(context, [upstream.port], {passive: {failures: 1, forMs: 60_000}});
    assert.equal(statusOf(await ask(context, proxy)), 200);
    const [first] = upstream.peers;
    upstream.respond = (stream, peer) => {
      if (peer !== first) peer.send(head(stream, OK_HEAD, END_HEADERS | END_STREAM));
      else if (stream === 5) peer.send(frame(TYPE.goaway, 0, 0, uint32(3, 0)), head(3, LENGTH_5), frame(TYPE.data, END_STREAM, 3, 'hello'));
    };
    const held = ask(context, proxy);
    await eventually('the first is there', () => first?.of(TYPE.headers).length === 2);
    assert.equal(statusOf(await ask(context, proxy, 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 2\r\n\r\nhi')), 200);
    assert.equal((await held).body, 'hello');
    assert.equal(upstream.peers.length, 2);
    assert.deepEqual(proxy.faults(), {upstream_refused: 1});
    assert.equal(proxy.slot('acme', 'app', upstream.port).failures, 0, 'a restart is nobody\'s failure');
    await eventually('the old connection is closed', () => upstream.openConnections === 1);
  });

  test('one that refuses a stream is tried no more for it, another one is', async (context) => {
    const busy = await RawHttp2.start(context);
    const good = await RawHttp2.start(context);
    busy.respond = (stream, peer) => peer.send(frame(TYPE.rst, 0, stream, uint32(7)));
    const proxy = await startProxy(context, [busy.port, good.port]);
    assert.equal(statusOf(await ask(context, proxy, GET.replace('GET', 'POST').replace('\r\n\r\n', '\r\ncontent-length: 0\r\n\r\n'))), 200);
    assert.deepEqual(proxy.faults(), {upstream_refused: 1});
    assert.equal(busy.openConnections, 1);
  });

  for (const [what, method, end, sentAgain] of [
    ['resets a GET', 'GET', (stream: number, peer: RawPeer) => peer.send(frame(TYPE.rst, 0, stream, uint32(2))), true],
    ['resets a POST', 'POST', (stream: number, peer: RawPeer) => peer.send(frame(TYPE.rst, 0, stream, uint32(2))), false],
    ['ends the connection under a POST', 'POST', (_stream: number, peer: RawPeer) => peer.socket.end(), false],
    ['ends the connection with an error that covers a POST', 'POST', (stream: number, peer: RawPeer) => { peer.send(frame(TYPE.goaway, 0, 0, uint32(stream, 2))); peer.socket.end(); }, false],
    ['ends the connection with an error that does not', 'POST', (_stream: number, peer: RawPeer) => peer.send(frame(TYPE.goaway, 0, 0, uint32(0, 2))), true],
  ] as const) {
    test(`one that ${what}: ${sentAgain ? 'another is tried' : '502'}`, async (context) => {
      const bad = await RawHttp2.start(context);
      const good = await RawHttp2.start(context);
      bad.respond = end;
      const proxy = await startProxy(context, [bad.port, good.port]);
      const request = `${method} / HTTP/1.1\r\nhost: acme.test\r\n${method === 'POST' ? 'content-length: 2\r\n\r\nhi' : '\r\n'}`;
      assert.equal(statusOf(await ask(context, proxy, request)), sentAgain ? 200 : 502);
      assert.equal(good.peers.length, sentAgain ? 1 : 0);
    });
  }

  test('where nobody listens', async (context) => {
    const upstream = await startApplication(context);
    const proxy = await startProxy(context, [upstream.port]);
    await new Promise((resolve) => { upstream.server.close(resolve); });
    assert.equal(statusOf(await ask(context, proxy)), 502);
    assert.deepEqual(proxy.faults(), {connect_failed: 1});
    assert.equal(proxy.slot('acme', 'app', upstream.port).connections, 0);
  });

  for (const [what, tls, options, reason] of [
    ['shows another\'s certificate', {...TLS, serverName: 'other.internal'}, {ALPNProtocols: ['h2']}, /ALTNAME_INVALID/],
    ['speaks HTTP/1.1 only', TLS, {ALPNProtocols: ['http/1.1']}, /NO_APPLICATION_PROTOCOL/],
    ['does not say what it speaks', TLS, {ALPNProtocols: []}, /the server does not speak h2/],
  ] as const) {
    test(`one that ${what}`, async (context) => {
      const upstream = await TlsUpstream.start(context, {...PAIR, ...options, ALPNProtocols: [...options.ALPNProtocols]});
      const proxy = await startProxy(context, [upstream.port], {protocol: 'h2', tls});
      assert.equal(statusOf(await ask(context, proxy)), 502);
      assert.deepEqual(proxy.faults(), {upstream_tls_failed: 1});
      assert.match(proxy.reports[0] ?? '', reason);
      assert.equal(proxy.reports.length, 1);
      await upstream.allClosed();
      assert.ok(upstream.received.length < 100, 'the preface and settings at most');
      assert.equal(proxy.slot('acme', 'app', upstream.port).connections, 0);
    });
  }
});

describe('a hostile server', () => {
  const EVIL = 'x'.repeat(100);
  /** What a request is met with, and the fault that it leads to: with a status where nothing of the response had begun, else a cut. */
  const attacks: readonly (readonly [what: string, frames: (stream: number) => readonly Buffer[], fault: FaultCode])[] = [
    ['no status', (stream) => [head(stream, [['x-evil', '1']])], 'upstream_head_invalid'],
    ['a status that is none', (stream) => [head(stream, [[':status', '20']])], 'upstream_head_invalid'],
    ['101', (stream) => [head(stream, [[':status', '101']])], 'upstream_upgrade_unasked'],
    ['a pseudo-field of requests', (stream) => [head(stream, [[':status', '200'], [':path', '/evil']])], 'upstream_head_invalid'],
    ['a field of the connection', (stream) => [head(stream, [[':status', '200'], ['transfer-encoding', 'chunked']])], 'upstream_head_invalid'],
    ['a name in upper case', (stream) => [head(stream, [[':status', '200'], ['X-Evil', '1']], END_HEADERS | END_STREAM)], 'upstream_head_invalid'],
    ['a break in a value', (stream) => [head(stream, [[':status', '200'], ['x-a', 'b\r\nevil: 1']])], 'upstream_head_invalid'],
    ['an end of the head in a value', (stream) => [head(stream, [[':status', '200'], ['x-a', 'b\r\n\r\nevil']])], 'upstream_head_invalid'],
    ['two lengths', (stream) => [head(stream, [...LENGTH_5, ['content-length', '6']])], 'upstream_framing_invalid'],
    ['a length without a body', (stream) => [head(stream, LENGTH_5, END_HEADERS | END_STREAM)], 'upstream_framing_invalid'],
    ['a body that is too short', (stream) => [head(stream, LENGTH_5), frame(TYPE.data, END_STREAM, stream, 'evil')], 'upstream_framing_invalid'],
    ['a body that is too long', (stream) => [head(stream, LENGTH_5), frame(TYPE.data, END_STREAM, stream, 'evil evil')], 'upstream_framing_invalid'],
    ['a reset within the body', (stream) => [head(stream, OK_HEAD), frame(TYPE.data, 0, stream, 'evil'), frame(TYPE.rst, 0, stream, uint32(2))], 'upstream_truncated'],
    ['a reset that says that all is well', (stream) => [head(stream, OK_HEAD), frame(TYPE.data, 0, stream, 'evil'), frame(TYPE.rst, 0, stream, uint32(0))], 'upstream_truncated'],
    ['a reset that says refused, within the body', (stream) => [head(stream, OK_HEAD), frame(TYPE.data, 0, stream, 'evil'), frame(TYPE.rst, 0, stream, uint32(7))], 'upstream_truncated'],
    ['too many fields', (stream) => [head(stream, [[':status', '200'], ...Array.from({length: 250}, () => ['x-evil', '1'] as const)])], 'upstream_head_too_large'],
    // What makes node:http2 abort its process.
    ['more fields than any codec takes', (stream) => [head(stream, [[':status', '200'], ...Array.from({length: 1500}, () => ['x', '1'] as const)])], 'upstream_head_too_large'],
    ['too many interim responses', (stream) => Array.from({length: 20}, () => head(stream, [[':status', '103']])), 'upstream_head_invalid'],
    ['trailers with a length', (stream) => [head(stream, OK_HEAD), frame(TYPE.data, 0, stream, 'evil'), head(stream, [['content-length', '1']], END_HEADERS | END_STREAM)], 'upstream_trailers_invalid'],
    ['fields without end', (stream) => [frame(TYPE.headers, 0, stream, fieldBlock(OK_HEAD)), ...Array.from({length: 2000}, () => frame(TYPE.continuation, 0, stream, fieldBlock([['x-evil', EVIL]])))], 'upstream_h2_flood'],
    ['pings without end', () => Array.from({length: 2000}, () => frame(TYPE.ping, 0, 0, '12345678')), 'upstream_h2_flood'],
    ['settings without end', () => Array.from({length: 2000}, () => frame(TYPE.settings, 0, 0)), 'upstream_h2_flood'],
    ['empty frames without end', (stream) => [head(stream, OK_HEAD), ...Array.from({length: 2000}, () => frame(TYPE.data, 0, stream))], 'upstream_h2_flood'],
    ['a push', (stream) => [frame(TYPE.push, END_HEADERS, stream, Buffer.concat([uint32(2), fieldBlock([[':method', 'GET'], [':scheme', 'http'], [':path', '/evil'], [':authority', 'acme.test']])]))], 'upstream_h2_protocol'],
    ['a response on a stream that nobody opened', (stream) => [head(stream + 2, OK_HEAD, END_HEADERS | END_STREAM)], 'upstream_h2_protocol'],
    ['DATA before its head', (stream) => [frame(TYPE.data, END_STREAM, stream, 'evil')], 'upstream_h2_protocol'],
    ['a frame that is too large', (stream) => [frame(TYPE.data, END_STREAM, stream, 'x'.repeat(LIMITS.h2FrameBytesMax + 1))], 'upstream_h2_protocol'],
    ['fields that cannot be decompressed', (stream) => [frame(TYPE.headers, END_HEADERS | END_STREAM, stream, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]))], 'upstream_h2_protocol'],
  ];
  for (const [what, frames, fault] of attacks) {
    test(what, async (context) => {
      const upstream = await RawHttp2.start(context);
      const proxy = await startProxy(context, [upstream.port]);
      upstream.respond = (stream, peer) => peer.send(...frames(stream));
      const client = await proxy.connect(context);
      client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 2\r\n\r\nhi');
      await eventually('an answer, or its end', () => client.received.includes('\r\n\r\n') || client.end !== 'none');
      const line = await proxy.nextLogLine();
      assert.equal(line['fault'], fault);
      assert.deepEqual(proxy.faults(), {[fault]: 1});
      if (line['status'] === 502) assert.ok(!client.received.includes('evil'));
      else assert.ok(!client.received.endsWith('0\r\n\r\n'), 'a part never looks like the whole');
      upstream.respond = (stream, peer) => peer.send(head(stream, OK_HEAD, END_HEADERS | END_STREAM));
      assert.equal(statusOf(await ask(context, proxy)), 200);
      assert.deepEqual(proxy.reports, []);
    });
  }

  for (const [what, frames] of [
    ['resets a stream', (stream: number) => [frame(TYPE.rst, 0, stream, uint32(2))]],
    ['sends a malformed head', (stream: number) => [head(stream, [['x-evil', '1']])]],
    ['sends too short a body', (stream: number) => [head(stream, LENGTH_5), frame(TYPE.data, END_STREAM, stream, 'evil')]],
  ] as const) {
    test(`one that ${what} harms no other request of the connection`, async (context) => {
      const upstream = await RawHttp2.start(context);
      const proxy = await startProxy(context, [upstream.port]);
      upstream.respond = (stream, peer) => { if (stream === 3) peer.send(...frames(stream), head(1, LENGTH_5), frame(TYPE.data, END_STREAM, 1, 'hello')); };
      const sibling = ask(context, proxy);
      await eventually('it is there', () => upstream.peers[0]?.of(TYPE.headers).length === 1);
      const client = await proxy.connect(context);
      client.send('POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 0\r\n\r\n');
      assert.equal((await sibling).body, 'hello');
      assert.equal(upstream.peers.length, 1);
    });
  }

  test('the end of a response counts, whatever comes behind it, and however late it is read', async (context) => {
    const upstream = await RawHttp2.start(context);
    const proxy = await startProxy(context, [upstream.port]);
    upstream.respond = (stream, peer) => peer.send(head(stream, OK_HEAD), ...Array.from({length: 12}, () => frame(TYPE.data, 0, stream, 'x'.repeat(16_384))), frame(TYPE.data, END_STREAM, stream, 'end'), frame(TYPE.rst, 0, stream, uint32(0)));
    const client = await proxy.connect(context);
    client.socket.pause();
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 300\r\n\r\n${'x'.repeat(200)}`);
    await eventually('it has been answered', () => upstream.peers[0]?.of(TYPE.headers).length === 1);
    await settle();
    client.socket.resume();
    assert.ok((await client.response()).body.endsWith('end'));
    assert.deepEqual(proxy.faults(), {});
  });
});

describe('time', () => {
  test('no answer: the stream is reset, and the next request takes another connection', async (context) => {
    const upstream = await RawHttp2.start(context);
    upstream.respond = () => undefined;
    const proxy = await startProxy(context, [upstream.port]);
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('it is there', () => upstream.peers[0]?.of(TYPE.headers).length === 1);
    proxy.passAlmost(60_000);
    assert.deepEqual(proxy.faults(), {});
    proxy.passRest();
    assert.equal(statusOf(await client.response()), 504);
    assert.deepEqual(proxy.faults(), {response_head_timeout: 1});
    upstream.respond = (stream, peer) => peer.send(head(stream, OK_HEAD, END_HEADERS | END_STREAM));
    assert.equal(statusOf(await ask(context, proxy)), 200);
    assert.equal(upstream.peers.length, 2);
    await eventually('the silent one is closed', () => upstream.openConnections === 1);
  });

  test('a body that does not go on', async (context) => {
    const upstream = await RawHttp2.start(context);
    upstream.respond = (stream, peer) => peer.send(head(stream, OK_HEAD), frame(TYPE.data, 0, stream, 'part'));
    const proxy = await startProxy(context, [upstream.port]);
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('it begins', () => client.received.includes('part'));
    proxy.passAlmost(60_000);
    assert.deepEqual(proxy.faults(), {});
    proxy.passRest();
    await client.ended();
    assert.deepEqual(proxy.faults(), {response_idle_timeout: 1});
    await eventually('nothing is left of it', () => upstream.openConnections === 0);
  });

  test('an event stream may be silent for longer', async (context) => {
    const upstream = await RawHttp2.start(context);
    upstream.respond = (stream, peer) => peer.send(head(stream, [[':status', '200'], ['content-type', 'text/event-stream']]), frame(TYPE.data, 0, stream, 'data: 1'));
    const proxy = await startProxy(context, [upstream.port]);
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('it begins', () => client.received.includes('data: 1'));
    proxy.pass(600_000);
    upstream.peers[0]?.send(frame(TYPE.data, END_STREAM, 1, 'data: 2'));
    assert.equal((await client.response()).body, 'data: 1data: 2');
    assert.deepEqual(proxy.faults(), {});
  });

  test('an upload that is not taken', async (context) => {
    const upstream = await RawHttp2.start(context);
    upstream.respond = () => undefined;
    const proxy = await startProxy(context, [upstream.port]);
    const client = await proxy.connect(context);
    client.send(`PUT / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 900000\r\n\r\n${'x'.repeat(900_000)}`);
    await eventually('the window is used up', () => (upstream.peers[0]?.of(TYPE.data).reduce((sum, {payload}) => sum + payload.length, 0) ?? 0) === 65_535);
    proxy.pass(61_000);
    assert.equal(statusOf(await client.response()), 504);
    assert.deepEqual(proxy.faults(), {response_head_timeout: 1});
  });
});
