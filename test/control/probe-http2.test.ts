/** Probes of servers that speak HTTP/2: in the protocol of the traffic. */
import assert from 'node:assert/strict';
import {createSecureServer, createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream} from 'node:http2';
import type {AddressInfo} from 'node:net';
import {test, type TestContext} from 'node:test';
import type {PoolTlsSnapshot, UpstreamProtocol} from '#src/config/snapshot.ts';
import {probe, type ProbeVerdict} from '#src/control/probe.ts';
import {parseCidrs} from '#src/core/ip.ts';
import {HEALTH} from '#test/control/fixtures/snapshots.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';

const authority = await CertificateAuthority.create('the authority');
const PAIR = await authority.issue({names: ['app.internal']});
const TLS: PoolTlsSnapshot = {caPem: authority.certPem, serverName: 'app.internal', certificate: null, isVerified: true, versionMin: 'TLSv1.2'};

async function start(context: TestContext, server: Http2Server, status: number): Promise<{port: number; asked: string[]}> {
  const asked: string[] = [];
  server.on('sessionError', () => undefined).on('stream', (stream: ServerHttp2Stream, fields: IncomingHttpHeaders) => {
    asked.push(`${String(fields[':method'])} ${String(fields[':authority'] ?? fields.host)} ${String(fields[':path'])}`);
    stream.respond({':status': status});
    stream.end('ok');
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  context.after(() => { server.close(); });
  return {port: (server.address() as AddressInfo).port, asked};
}

function probeOnce(port: number, protocol: UpstreamProtocol): Promise<ProbeVerdict> {
  const scope = {networks: parseCidrs(['127.0.0.0/8']), ownListeners: []};
  return probe({address: '127.0.0.1', port, sourceAddress: null, protocol, tls: protocol === 'h2' ? TLS : null, scope, health: {...HEALTH, timeoutMs: 5000}}, new AbortController().signal);
}

for (const protocol of ['h2c', 'h2'] as const) {
  const createFor = (): Http2Server => (protocol === 'h2' ? createSecureServer(PAIR) : createServer());

  test(`healthy (${protocol})`, async (context) => {
    const {port, asked} = await start(context, createFor(), 200);
    assert.equal(await probeOnce(port, protocol), null);
    assert.deepEqual(asked, ['GET probe.test /healthz']);
  });

  test(`not healthy: an unexpected status (${protocol})`, async (context) => {
    const {port} = await start(context, createFor(), 503);
    assert.equal(await probeOnce(port, protocol), 'status 503');
  });
}

test('not healthy: a server that speaks HTTP/1.1', async (context) => {
  const upstream = await FakeUpstream.start(context);
  upstream.onPeer = (peer) => peer.send('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n');
  assert.notEqual(await probeOnce(upstream.port, 'h2c'), null);
});
