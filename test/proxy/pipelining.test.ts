/** Reading stops and goes on while further requests wait. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const HEAD = 'HTTP/1.1\r\nHost: acme.test\r\n';

test('a body that begins within a full pipeline is read to its end', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = ({startLine}) => (startLine.includes('/held') ? null : OK);
  const harness = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const client = await harness.connect(context);
  // Reading stops while a pipeline's worth waits behind the first request, and must go on for the rest of the second one's body.
  const large = `GET / ${HEAD}X: ${'x'.repeat(15_000)}\r\n\r\n`;
  client.send(`GET /held ${HEAD}\r\n${large.repeat(5)}POST / ${HEAD}Content-Length: 10\r\n\r\nhello`);
  const first = await upstream.nextRequest();
  await settle();
  first.peer.send(OK);
  for (let answered = 0; answered < 6; answered++) assert.equal((await client.response()).startLine, 'HTTP/1.1 200 OK');
  client.send('world');
  assert.equal((await client.response()).startLine, 'HTTP/1.1 200 OK');
});

test('a client that ends within a response leaves no socket', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${'x'.repeat(10_000)}`;
  const harness = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const client = await harness.connect(context);
  client.send(`GET / ${HEAD}\r\n`);
  await eventually('some of the response is here', () => client.received.length > 10_000);
  client.socket.end();
  await eventually('its connection is counted as closed', () => harness.counter('connectionsClosed') === 1);
  await client.ended();
});
