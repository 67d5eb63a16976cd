/** However an attempt to log in is brought, it is the same attempt. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {FLAG} from '#src/http2/frames.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {data, upload} from '#test/http2/frames.ts';
import {settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {Http2Client, POST} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';

const FORM = 'application/x-www-form-urlencoded';
const BODY = 'user=alice&password=wrong';
const HEAD = `POST /login HTTP/1.1\r\nhost: acme.test\r\ncontent-type: ${FORM}\r\n`;

test('with a length, in chunks of a byte, in parts that take their time, after 100 Continue, and over HTTP/2', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n';
  const guard = {
    name: 'shop', paths: ['/login'], methods: ['POST'], account: {type: 'form', field: 'user'} as const, failure: {statuses: [401], redirectPaths: [], cookie: null},
    windowMs: 600_000, pairFailures: 5, clientFailures: 100, accountFailures: 100, delayMaxMs: 0, ban: null, isEnforced: true,
  };
  const pair = await makeCertificate(['acme.test']);
  const proxy = await ProxyHarness.start(context, {node: {listeners: [HTTP, HTTPS]}, customers: [{...acme([upstream.port]), loginGuards: [guard], certificates: [certificate(pair, ['acme.test'])]}]});
  const client = await proxy.connect(context), http2 = await Http2Client.open(context, proxy);
  const overHttp2 = async (id: number): Promise<number> => {
    http2.send(upload(id, [...POST.filter(([name]) => name !== ':path'), [':path', '/login'], ['content-type', FORM]]), data(id, BODY.slice(0, 7)), data(id, BODY.slice(7), FLAG.END_STREAM));
    return (await http2.response(id)).status;
  };
  const send = async (...parts: readonly string[]): Promise<number> => {
    for (const part of parts) {
      client.send(part);
      await settle();
    }
    return statusOf(await client.response());
  };
  const withLength = `${HEAD}content-length: ${BODY.length}\r\n`;
  const chunks = `${Array.from(BODY, (byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`;
  assert.equal(await send(`${withLength}\r\n${BODY}`), 401);
  assert.equal(await send(`${HEAD}transfer-encoding: chunked\r\n\r\n${chunks}`), 401);
  assert.equal(await send(`${withLength}\r\n`, 'us', 'er=al', BODY.slice(7)), 401);
  assert.equal(await send(`${withLength}expect: 100-continue\r\n\r\n`), 100);
  assert.equal(await send(BODY), 401);
  assert.equal(await overHttp2(1), 401);
  assert.deepEqual([await overHttp2(3), await send(`${HEAD}transfer-encoding: chunked\r\n\r\n${chunks}`)], [429, 429]);
  assert.deepEqual(new Set(upstream.requests.map(({body}) => body)), new Set([BODY]));
});
