/**
 * Clients that take their time (slowloris, R-U-Dead-Yet, slow read): each wait has an end, and meanwhile no application is occupied. Every deadline
 * at its limits is in test/proxy/timeouts.test.ts and test/http2-edge/time.test.ts; slow readers are in test/proxy/backpressure.test.ts.
 */
import assert from 'node:assert/strict';
import {after, describe, test} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {HOST} from '#test/attack/requests.ts';
import {assertServes, type Target} from '#test/support/attack.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {ROUTE_TIMEOUTS, TIMEOUTS, acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

const HEAD_MS = TIMEOUTS.requestHeadMs;
const BODY_MS = ROUTE_TIMEOUTS.requestBodyIdleMs;
const CHUNKED = `POST / HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n`;

const ROWS: readonly (readonly [what: string, pieces: readonly string[], totalMs: number, fault: FaultCode])[] = [
  ['one byte, then nothing', ['G'], HEAD_MS, 'request_head_timeout'],
  ['a head without its end', [`GET / HTTP/1.1\r\n${HOST}`], HEAD_MS, 'request_head_timeout'],
  ['a CR that is not followed', [`GET / HTTP/1.1\r\n${HOST}\r`], HEAD_MS, 'request_head_timeout'],
  ['an empty line, then nothing', ['\r\n'], HEAD_MS, 'request_head_timeout'],
  ['a field each second (slowloris)', [`GET / HTTP/1.1\r\n${HOST}`, ...Array.from({length: 9}, (_, i) => `x-${i}: 1\r\n`)], HEAD_MS, 'request_head_timeout'],
  ['a byte of the head each second', 'GET / HTTP'.split(''), HEAD_MS, 'request_head_timeout'],
  ['a body that does not begin', [`POST / HTTP/1.1\r\n${HOST}content-length: 5\r\n\r\n`], BODY_MS, 'request_body_timeout'],
  ['a body that stops (R-U-Dead-Yet)', [`POST / HTTP/1.1\r\n${HOST}content-length: 5\r\n\r\nhell`], BODY_MS, 'request_body_timeout'],
  ['a body that waits for 100 and does not come', [`POST / HTTP/1.1\r\n${HOST}content-length: 5\r\nexpect: 100-continue\r\n\r\n`], BODY_MS, 'request_body_timeout'],
  ['a chunk size without its end', [`${CHUNKED}5`], BODY_MS, 'request_body_timeout'],
  ['a chunk without its end', [`${CHUNKED}5\r\nhello`], BODY_MS, 'request_body_timeout'],
  ['no last chunk', [`${CHUNKED}5\r\nhello\r\n`], BODY_MS, 'request_body_timeout'],
  ['trailers without end', [`${CHUNKED}0\r\nx: 1\r\n`], BODY_MS, 'request_body_timeout'],
];

describe('nothing reaches an application, and it ends', () => {
  for (const [what, pieces, totalMs, fault] of ROWS) {
    test(`${what}: ${fault}`, async (context) => {
      const before = proxy.faults();
      const bytesBefore = upstream.bytesReceived;
      const client = await proxy.connect(context);
      for (const piece of pieces) {
        client.send(piece);
        await settle(3);
        if (pieces.length > 1) proxy.pass(totalMs / pieces.length);
      }
      if (pieces.length === 1) proxy.pass(totalMs + 500);
      else proxy.pass(1_000);
      await eventually('it is counted', () => proxy.fault(fault) > (before[fault] ?? 0));
      if (client.received.startsWith('HTTP/1.1 100')) await client.response();
      assert.equal(statusOf(await client.response()), FAULTS[fault].status);
      assert.equal(await client.ended(), 'orderly');
      assert.deepEqual(proxy.faults(), {...before, [fault]: (before[fault] ?? 0) + 1});
      assert.equal(upstream.bytesReceived, bytesBefore);
      client.destroy();
      await assertServes(context, TARGET);
      assert.deepEqual(proxy.reports, []);
    });
  }

  test('a connection that says nothing ends without a word', async (context) => {
    const before = proxy.faults();
    const client = await proxy.connect(context);
    proxy.pass(HEAD_MS + 500);
    await client.ended();
    assert.deepEqual([client.received, proxy.faults()], ['', {...before, client_idle: (before.client_idle ?? 0) + 1}]);
    await assertServes(context, TARGET);
  });
});
