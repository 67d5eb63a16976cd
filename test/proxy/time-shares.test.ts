/** The time of a thread is shared: whoever has more than its share of it waits for its turn, and what has waited for too long is refused. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {LIMITS} from '#src/core/limits.ts';
import {FLAG} from '#src/http2/frames.ts';
import {frame, opening, request, windowUpdate, type Fields} from '#test/http2/frames.ts';
import {eventually} from '#test/support/eventually.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {Http2Client} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {answersOf, connectAll, get, introduce, owner, stage, statuses, untilSomeWait, waits} from '#test/proxy/time-stage.ts';
import {TlsUpstream} from '#test/upstream/tls-upstream.ts';

const QUIET = 20, FLOOD = 20 * QUIET;

test('twenty times the requests of the other customer wait for their turns, and those of the other one overtake them', async (context) => {
  const set = await stage(context), {requests} = set.upstream;
  await introduce(context, set);
  const flood = await connectAll(context, set, FLOOD), quiet = await connectAll(context, set, QUIET);
  await eventually('all connections are accepted', () => set.proxy.placesOf('connections') >= FLOOD + QUIET);
  for (let round = 1; round <= 3; round++) {
    const before = requests.length;
    for (const client of flood) client.send(get('flood'));
    await untilSomeWait(set);
    for (const client of quiet) client.send(get('quiet'));
    assert.deepEqual(statuses(await answersOf(quiet)), {200: QUIET});
    assert.deepEqual(statuses(await answersOf(flood)), {200: FLOOD});
    // The whole flood was sent before the first of the others.
    const order = requests.slice(before).map((request) => fieldOf(request, 'host')), overtaken = order.slice(order.lastIndexOf('quiet.test') + 1);
    assert.equal(order.length, FLOOD + QUIET);
    assert.ok(overtaken.length >= FLOOD / 4, `${overtaken.length} are overtaken`);
    // What the quiet one has had is within its share of this time.
    set.proxy.time.pass(1);
  }
  assert.ok(waits(set, 'flood') > FLOOD);
  assert.equal(waits(set, 'quiet'), 0);
  assert.deepEqual(set.proxy.faults(), {});
});

test('a customer that is alone on a thread never waits', async (context) => {
  const set = await stage(context);
  const flood = await connectAll(context, set, FLOOD);
  for (const client of flood) client.send(get('flood'));
  assert.deepEqual(statuses(await answersOf(flood)), {200: FLOOD});
  assert.equal(waits(set, 'flood'), 0);
});

test('each request of a pipeline waits for a turn of its own, and answers keep their order', async (context) => {
  const set = await stage(context), paths = Array.from({length: 300}, (_, number) => `/${number}`);
  await introduce(context, set);
  set.upstream.respond = ({startLine}) => `HTTP/1.1 200 OK\r\ncontent-length: ${startLine.length}\r\n\r\n${startLine}`;
  const [client] = await connectAll(context, set, 1);
  client?.send(paths.map((path) => get('flood', path)).join(''));
  for (const path of paths) assert.equal((await client?.response())?.body, `GET ${path} HTTP/1.1`);
  assert.ok(waits(set, 'flood') > 100);
});

test('what has waited for too long is refused, and the connection goes on', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await connectAll(context, set, FLOOD);
  for (const client of flood) client.send(get('flood'));
  await untilSomeWait(set);
  set.proxy.time.pass(LIMITS.timeWaitMsMax + 1);
  const answers = await answersOf(flood), refused = answers.filter((answer) => statusOf(answer) === 503);
  assert.ok(refused.length > 0 && refused.length < FLOOD, `${refused.length} are refused`);
  assert.deepEqual([fieldOf(refused[0]!, 'retry-after'), fieldOf(refused[0]!, 'connection')], ['5', undefined]);
  assert.deepEqual(set.proxy.faults(), {time_share_exceeded: refused.length});
  assert.equal(set.proxy.customerCounter('flood', 'timeRefusals'), refused.length);
  assert.ok(set.proxy.customerCounter('flood', 'timeWaitedMs') >= refused.length * LIMITS.timeWaitMsMax);
  for (const client of flood) client.send(get('flood'));
  assert.deepEqual(statuses(await answersOf(flood)), {200: FLOOD});
});

test('over TLS a connection is its customer\'s from the handshake on', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await Promise.all(Array.from({length: 100}, () => set.proxy.connectTls(context, {servername: 'flood.test'})));
  for (const client of flood) client.send(get('flood').repeat(3));
  for (let round = 0; round < 3; round++) assert.deepEqual(statuses(await answersOf(flood)), {200: 100});
  assert.ok(waits(set, 'flood') > 0);
  assert.equal(waits(set, 'quiet'), 0);
});

test('handshakes wait before they sign', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await Promise.all(Array.from({length: 100}, () => set.proxy.connectTls(context, {servername: 'flood.test'})));
  assert.equal(flood.filter(({isSecure}) => isSecure).length, 100);
  assert.ok(waits(set, 'flood') > 0);
  const quiet = await set.proxy.connectTls(context, {servername: 'quiet.test'});
  assert.deepEqual([quiet.isSecure, waits(set, 'quiet')], [true, 0]);
  assert.deepEqual(set.proxy.faults(), {});
});

test('a handshake that has waited for too long ends its connection', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const connecting = Array.from({length: 100}, () => set.proxy.connectTls(context, {servername: 'flood.test'}));
  await untilSomeWait(set);
  set.proxy.time.pass(LIMITS.timeWaitMsMax + 1);
  const refused = (await Promise.all(connecting)).filter(({isSecure}) => !isSecure).length;
  assert.ok(refused > 0 && refused < 100);
  assert.deepEqual(set.proxy.faults(), {time_share_exceeded: refused});
  assert.equal(set.proxy.customerCounter('flood', 'timeRefusals'), refused);
  await eventually('all places for handshakes are free', () => set.proxy.placesOf('handshakes', 'flood') === 0);
});

for (const [what, host, status] of [['the streams of one connection wait as well', 'flood.test', 200], ['so do streams for another customer\'s host, in no line but their own', 'quiet.test', 421]] as const) {
  test(what, async (context) => {
    const set = await stage(context);
    await introduce(context, set);
    const fields: Fields = [[':method', 'GET'], [':scheme', 'https'], [':authority', host], [':path', '/']];
    const client = await Http2Client.connect(context, set.proxy, {servername: 'flood.test'});
    client.send(opening(), windowUpdate(0, 2 ** 20));
    await eventually('the settings are acknowledged', () => client.frames.some(({flags}) => flags === FLAG.ACK));
    for (let round = 0; round < 4; round++) {
      const ids = Array.from({length: LIMITS.h2StreamsMax}, (_, number) => 2 * (round * LIMITS.h2StreamsMax + number) + 1);
      client.send(...ids.map((id) => request(id, fields)));
      for (const id of ids) assert.equal((await client.response(id)).status, status);
    }
    assert.ok(waits(set, 'flood') > 0);
    assert.equal(waits(set, 'quiet'), 0);
    assert.deepEqual(set.proxy.faults(), status === 200 ? {} : {host_foreign: 4 * LIMITS.h2StreamsMax});
  });
}

test('what a connection asks of another customer\'s host is its own customer\'s time', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await Promise.all(Array.from({length: 100}, () => set.proxy.connectTls(context, {servername: 'flood.test'})));
  const before = waits(set, 'flood');
  for (const client of flood) client.send(get('quiet').repeat(3));
  for (let round = 0; round < 3; round++) assert.deepEqual(statuses(await answersOf(flood)), {421: 100});
  assert.ok(waits(set, 'flood') > before);
  assert.equal(waits(set, 'quiet'), 0);
  // Nor do those that nobody serves help it.
  for (const client of flood) client.send(get('flood') + 'GET / HTTP/1.1\r\nhost: unknown.test\r\n\r\n');
  assert.deepEqual([statuses(await answersOf(flood)), statuses(await answersOf(flood))], [{200: 100}, {421: 100}]);
  const [quiet] = await connectAll(context, set, 1);
  quiet?.send(get('quiet'));
  assert.deepEqual([statusOf(await quiet!.response()), waits(set, 'quiet')], [200, 0]);
});

test('a connection that waits is not read on, whatever its client sends', async (context) => {
  const set = await stage(context), {proxy} = set, unknown = frame(0xfe, 0, 0, Buffer.alloc(LIMITS.h2FrameBytesMax));
  await introduce(context, set);
  const fields: Fields = [[':method', 'POST'], [':scheme', 'https'], [':authority', 'flood.test'], [':path', '/']];
  const client = await Http2Client.connect(context, proxy, {servername: 'flood.test'});
  client.send(opening());
  await eventually('the settings are acknowledged', () => client.frames.some(({flags}) => flags === FLAG.ACK));
  client.send(...Array.from({length: LIMITS.h2StreamsMax}, (_, number) => request(2 * number + 1, fields)), ...Array.from({length: 400}, () => unknown));
  let blocks = 0;
  while (proxy.fault('h2_unknown_frames') === 0) {
    await setImmediate();
    proxy.proxy.tick();
    blocks = Math.max(blocks, proxy.placesOf('buffers', 'flood'));
  }
  assert.ok(waits(set, 'flood') > 0);
  // One read of what is encrypted, and what the connection had before.
  assert.ok(blocks * LIMITS.heldBlockBytes <= 3 * LIMITS.clientReadBytes, `${blocks} blocks`);
});

test('long responses wait between two reads, and arrive whole', async (context) => {
  const set = await stage(context), body = '0123456789abcdef'.repeat(2 ** 16);
  await introduce(context, set);
  set.upstream.respond = () => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const flood = await connectAll(context, set, 20);
  for (let round = 0; round < 2; round++) {
    for (const client of flood) client.send(get('flood'));
    for (const answer of await answersOf(flood)) assert.ok(answer.body === body);
  }
  assert.ok(waits(set, 'flood') > 100, `${waits(set, 'flood')} waits`);
  assert.deepEqual(set.proxy.faults(), {});
});

test('a response over TLS that ends while its next read waits leaves a connection that is read', async (context) => {
  // What one read brings is several records, and those that are here already come whatever waits.
  const body = 'x'.repeat(48 * 1024), authority = await CertificateAuthority.create('the authority');
  const pair = await authority.issue({names: ['app.internal']});
  const upstream = await TlsUpstream.start(context, pair), plain = await FakeUpstream.start(context);
  upstream.answer = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const tls = {caPem: authority.certPem, serverName: 'app.internal', certificate: null, isVerified: true, versionMin: 'TLSv1.2' as const};
  const flooding = owner('flood', upstream.port);
  const proxy = await ProxyHarness.start(context, {customers: [{...flooding, pools: flooding.pools.map((made) => ({...made, tls}))}, owner('quiet', plain.port)]});
  const set = {proxy, upstream: plain};
  await introduce(context, set);
  const flood = await connectAll(context, set, 20);
  for (let round = 0; round < 5; round++) {
    for (const client of flood) client.send(get('flood'));
    for (const answer of await answersOf(flood)) assert.ok(answer.body === body);
  }
  assert.ok(waits(set, 'flood') > 20, `${waits(set, 'flood')} waits`);
  assert.deepEqual(proxy.faults(), {});
});

test('clients that go away while they wait leave nothing behind', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await connectAll(context, set, FLOOD);
  for (const client of flood) client.send(get('flood'));
  await untilSomeWait(set);
  for (const client of flood) client.destroy();
  await eventually('all connections are closed', () => set.proxy.counter('connectionsClosed') >= FLOOD);
  const [client] = await connectAll(context, set, 1);
  client?.send(get('flood'));
  assert.equal(statusOf(await client!.response()), 200);
  assert.deepEqual(set.proxy.reports, []);
});

test('a customer that is taken away while its requests wait is told so', async (context) => {
  const set = await stage(context);
  await introduce(context, set);
  const flood = await connectAll(context, set, FLOOD);
  for (const client of flood) client.send(get('flood'));
  await untilSomeWait(set);
  await set.proxy.reload({customers: [owner('quiet', set.upstream.port)]});
  const counts = statuses(await answersOf(flood));
  assert.deepEqual(Object.keys(counts), ['200', '421']);
  assert.deepEqual(set.proxy.reports, []);
});
