/** Probes of servers that speak TLS: they believe whom the traffic believes. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {TlsOptions} from 'node:tls';
import type {PoolTlsSnapshot} from '#src/config/snapshot.ts';
import {probe, type ProbeVerdict} from '#src/control/probe.ts';
import {parseCidrs} from '#src/core/ip.ts';
import {HEALTH} from '#test/control/fixtures/snapshots.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {certificate} from '#test/support/snapshots.ts';
import {TlsUpstream} from '#test/upstream/tls-upstream.ts';

const authority = await CertificateAuthority.create('the authority');
const PAIR = await authority.issue({names: ['app.internal']});
const CLIENT = await authority.issue({isForClients: true});
const TLS: PoolTlsSnapshot = {caPem: authority.certPem, serverName: 'app.internal', certificate: null, isVerified: true, versionMin: 'TLSv1.2'};
const DEMANDING: TlsOptions = {...PAIR, ca: authority.certPem, requestCert: true, rejectUnauthorized: true, maxVersion: 'TLSv1.2'};

function probeWith(type: 'http' | 'tcp', port: number, tls: PoolTlsSnapshot, timeoutMs = 5000): Promise<ProbeVerdict> {
  const scope = {networks: parseCidrs(['127.0.0.0/8']), ownListeners: []};
  return probe({address: '127.0.0.1', port, sourceAddress: null, protocol: 'http1', tls, scope, health: {...HEALTH, type, timeoutMs}}, new AbortController().signal);
}

async function start(context: TestContext, options: TlsOptions): Promise<TlsUpstream> {
  return TlsUpstream.start(context, options);
}

for (const type of ['http', 'tcp'] as const) {
  test(`healthy: the right certificate (${type})`, async (context) => {
    const upstream = await start(context, PAIR);
    assert.equal(await probeWith(type, upstream.port, TLS), null);
    await eventually('the server has seen the end of the handshake', () => upstream.peers.length === 1);
    assert.equal(upstream.peers[0]?.servername, 'app.internal');
    assert.equal(upstream.received.startsWith('GET /healthz HTTP/1.1\r\n'), type === 'http');
    await upstream.allClosed();
  });

  test(`healthy: a certificate is shown where one is asked for (${type})`, async (context) => {
    const upstream = await start(context, DEMANDING);
    assert.equal(await probeWith(type, upstream.port, {...TLS, certificate: certificate(CLIENT, [])}), null);
  });

  for (const [what, tls, options, verdict] of [
    ['a certificate for another name', {...TLS, serverName: 'other.internal'}, PAIR, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
    ['a certificate of another authority', {...TLS, caPem: null}, PAIR, /^UNABLE_TO_/],
    ['a server that wants a certificate', TLS, DEMANDING, /HANDSHAKE_FAILURE|ECONNRESET/],
  ] as const) {
    test(`not healthy: ${what} (${type})`, async (context) => {
      const upstream = await start(context, options);
      assert.match(await probeWith(type, upstream.port, tls) ?? '', verdict);
      assert.equal(upstream.received, '');
      await upstream.allClosed();
    });
  }

  test(`not healthy: a handshake that does not end (${type})`, async (context) => {
    const upstream = await FakeUpstream.start(context);
    assert.equal(await probeWith(type, upstream.port, TLS, 50), 'no answer within 50 ms');
  });
}
