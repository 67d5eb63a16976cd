/** An upload in pieces of one byte that has to wait for its connection costs what its bytes cost. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {data, upload} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {acme} from '#test/support/snapshots.ts';
import {Http2Client, POST} from '#test/support/http2-client.ts';
import {RawHttp2, TYPE, frame} from '#test/upstream/raw-http2.ts';

const PIECES = 200_000;
const UNKNOWN = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'unknown.test'], [':path', '/']] as const;

test('a window of them while the server has not said that it speaks HTTP/2: others are served, and the upload is whole', async (context) => {
  const upstream = await RawHttp2.start(context);
  upstream.greeting = Buffer.alloc(0);
  upstream.respond = () => undefined;
  const {proxy} = await startStage(context, {acme: {route: {requestBufferBytes: 0}, pool: {protocol: 'h2c', servers: acme([upstream.port]).pools[0]?.servers ?? []}}});
  context.after(() => proxy.reload({customers: []}));
  const client = await Http2Client.open(context, proxy);
  const piece = data(1, 'x');
  client.send(upload(1, POST), Buffer.concat(Array.from({length: PIECES}, () => piece)));
  await eventually('it waits for the server', () => upstream.peers.length === 1);
  const other = await Http2Client.open(context, proxy);
  assert.equal((await other.ask(1, UNKNOWN)).status, 421);
  const [peer] = upstream.peers;
  peer?.send(frame(TYPE.settings, 0, 0), frame(8, 0, 0, Buffer.of(0, 0x10, 0, 0)));
  await eventually('it has begun', () => peer?.of(TYPE.headers).length === 1);
  peer?.send(frame(8, 0, 1, Buffer.of(0, 0x10, 0, 0)));
  await eventually('all of it is there', () => peer?.of(TYPE.data).reduce((sum, {payload}) => sum + payload.length, 0) === PIECES);
});
