/** A listener offers HTTP/2 as long as its configuration says so. */
import assert from 'node:assert/strict';
import {connect, type TLSSocket} from 'node:tls';
import {once} from 'node:events';
import {test} from 'node:test';
import {generate} from 'selfsigned';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FRAME} from '#src/http2/frames.ts';
import {opening, request} from '#test/http2/frames.ts';
import {startStage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {GET, HOST, Http2Client} from '#test/support/http2-client.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {connectRawTls} from '#test/support/raw-client.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';

async function negotiate(port: number): Promise<string | false | null> {
  const socket: TLSSocket = connect({port, host: '127.0.0.1', servername: 'acme.test', rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1']});
  await once(socket, 'secureConnect');
  const {alpnProtocol} = socket;
  socket.destroy();
  return alpnProtocol;
}

test('HTTP/2 can be switched off and on for new connections', async (context) => {
  const pair = await generate([{name: 'commonName', value: 'acme.test'}], {keyType: 'ec', extensions: [{name: 'subjectAltName', altNames: [{type: 2, value: 'acme.test'}]}]});
  const customer = {...acme([1]), certificates: [certificate({cert: pair.cert, key: pair.private}, ['acme.test'])]};
  const proxy = await ProxyHarness.start(context, {node: {listeners: [HTTPS]}, customers: [customer]});
  const port = proxy.ports['https'] ?? 0;
  assert.equal(await negotiate(port), 'h2');
  await proxy.reload({node: {...proxy.node, listeners: [{...HTTPS, http2: false}]}});
  assert.equal(await negotiate(port), 'http/1.1');
  await proxy.reload({node: {...proxy.node, listeners: [HTTPS]}});
  assert.equal(await negotiate(port), 'h2');
});

/** The last stream that each GOAWAY says is answered. */
function lastIdsOf({frames}: Http2Client): readonly number[] {
  return frames.filter(({type}) => type === FRAME.GOAWAY).map(({payload}) => payload.readUInt32BE(0));
}

const CLOSINGS: readonly (readonly [what: string, listeners: readonly ListenerSnapshot[]])[] = [['is switched off', [{...HTTPS, http2: false}]], ['loses its listener', [HTTP]]];

for (const [what, listeners] of CLOSINGS) {
  test(`a connection of HTTP/2 ends after its requests when HTTP/2 ${what}: the hole may be in it`, async (context) => {
    const {proxy, upstream} = await startStage(context);
    upstream.respond = () => null;
    const [idle, busy] = [await Http2Client.open(context, proxy), await Http2Client.open(context, proxy)];
    busy.send(request(1, GET));
    const {peer} = await upstream.nextRequest();
    await proxy.reload({node: {...proxy.node, listeners}});
    await eventually('both are told', () => idle.goAways.length > 0 && busy.goAways.length > 0);
    proxy.pass(LIMITS.h2DrainGraceMs + LIMITS.wheelTickMs);
    assert.equal(await idle.ended(), ERROR.NO_ERROR);
    peer.send(OK);
    assert.equal((await busy.response(1)).body, 'ok', 'what is under way is finished');
    assert.equal(await busy.ended(), ERROR.NO_ERROR);
    assert.deepEqual(lastIdsOf(busy), [0x7fff_ffff, 1], 'in two steps');
    assert.deepEqual(proxy.faults(), {});
  });
}

for (const [what, listeners] of CLOSINGS) {
  test(`a connection takes no requests whose handshake was under way when HTTP/2 ${what}`, async (context) => {
    const {proxy} = await startStage(context);
    const {socket} = await proxy.connect(context, 'https');
    await eventually('the connection is accepted', () => proxy.placesOf('handshakes') === 1);
    await proxy.reload({node: {...proxy.node, listeners}});
    const client = new Http2Client(await connectRawTls(context, 0, {socket, servername: HOST, ALPNProtocols: ['h2']}));
    client.send(opening(), request(1, GET));
    assert.equal(await client.ended(), ERROR.NO_ERROR);
    assert.deepEqual(lastIdsOf(client), [0]);
    assert.deepEqual(proxy.faults(), {});
  });
}

test('a reload that changes nothing of a listener leaves its connections alone', async (context) => {
  const {proxy} = await startStage(context);
  const client = await Http2Client.open(context, proxy);
  await proxy.reload({node: {...proxy.node, timeouts: {...proxy.node.timeouts, keepAliveMs: 90_000}}});
  assert.equal((await client.ask(1)).status, 200);
  assert.deepEqual(client.goAways, []);
});
