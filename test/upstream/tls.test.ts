/** TLS to applications: who is believed, what is sent before that is known, and what is used again for whom. */
import assert from 'node:assert/strict';
import {syncBuiltinESMExports} from 'node:module';
import {describe, test, type TestContext} from 'node:test';
import nodeTls, {type TlsOptions} from 'node:tls';
import type {CustomerSnapshot, PoolTlsSnapshot} from '#src/config/snapshot.ts';
import {LIMITS} from '#src/core/limits.ts';
import {CertificateAuthority, type KeyPair} from '#test/support/certificate-authority.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {acme, certificate, customer, pool, route, server, site} from '#test/support/snapshots.ts';
import {TlsUpstream} from '#test/upstream/tls-upstream.ts';

const GET = 'GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n';
const NAME = 'app.internal';

const authority = await CertificateAuthority.create('the authority');
const stranger = await CertificateAuthority.create('somebody else');
const PAIR = await authority.issue({names: [NAME, '*.wild.internal']});
const STRANGE_CLIENT = await stranger.issue({isForClients: true});
const CLIENT = await authority.issue({isForClients: true, commonName: 'torwart'});

const TLS: PoolTlsSnapshot = {caPem: authority.certPem, serverName: NAME, certificate: null, isVerified: true, versionMin: 'TLSv1.2'};

function clientCertificate(pair: KeyPair): PoolTlsSnapshot {
  return {...TLS, certificate: certificate(pair, [])};
}

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: TlsUpstream;
}

async function stage(context: TestContext, tls: PoolTlsSnapshot, options: TlsOptions = PAIR): Promise<Stage> {
  const upstream = await TlsUpstream.start(context, options);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {tls}})]});
  return {proxy, upstream};
}

async function ask(context: TestContext, proxy: ProxyHarness, request = GET): Promise<number> {
  const client = await proxy.connect(context);
  client.send(request);
  return statusOf(await client.response());
}

/** Not a byte of the request was sent, the client reads 502, the log says why, and nothing is left open. */
async function assertRefused(context: TestContext, {proxy, upstream}: Stage, reason: RegExp): Promise<void> {
  assert.equal(await ask(context, proxy), 502);
  await upstream.allClosed();
  assert.equal(upstream.received, '');
  assert.deepEqual(proxy.faults(), {upstream_tls_failed: 1});
  assert.equal((await proxy.nextLogLine())['fault'], 'upstream_tls_failed');
  assert.equal(proxy.reports.length, 1);
  assert.match(proxy.reports[0] ?? '', /^TLS with a server failed .*"customer":"acme","pool":"app"/);
  assert.match(proxy.reports[0] ?? '', reason);
  assert.equal(proxy.slot('acme', 'app', upstream.port).connections, 0);
}

describe('who is believed', () => {
  for (const [what, tls] of [
    ['the name of the certificate', TLS],
    ['a wildcard for one label', {...TLS, serverName: 'a.wild.internal'}],
    ['TLS 1.3 where nothing below is taken', {...TLS, versionMin: 'TLSv1.3'}],
    ['anybody, where the configuration says so', {...TLS, caPem: null, serverName: 'other.internal', isVerified: false}],
  ] as const) {
    test(what, async (context) => {
      const {proxy, upstream} = await stage(context, tls);
      assert.equal(await ask(context, proxy), 200);
      assert.equal(upstream.peers[0]?.servername, tls.serverName);
      assert.equal(upstream.peers[0]?.alpnProtocol, 'http/1.1');
      assert.match(upstream.received, /^GET \/ HTTP\/1\.1\r\nhost: acme\.test\r\n/);
      assert.deepEqual(proxy.reports, []);
    });
  }

  test('the address, where no name is given; and no name is asked for', async (context) => {
    const {proxy, upstream} = await stage(context, {...TLS, serverName: ''}, await authority.issue({addresses: ['127.0.0.1']}));
    assert.equal(await ask(context, proxy), 200);
    assert.equal(upstream.peers[0]?.servername, false);
  });
});

describe('who is not', () => {
  const cases: readonly (readonly [what: string, tls: Partial<PoolTlsSnapshot>, options: () => TlsOptions | Promise<TlsOptions>, reason: RegExp])[] = [
    ['a certificate of another authority', {}, () => stranger.issue({names: [NAME]}), /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/],
    ['one of an authority of one\'s own, where the public ones count', {caPem: null}, () => PAIR, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/],
    ['one for another name', {serverName: 'other.internal'}, () => PAIR, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['a wildcard for two labels', {serverName: 'a.b.wild.internal'}, () => PAIR, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['one that has the name as its common name only', {}, () => authority.issue({commonName: NAME}), /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['one for the common name, which has an address', {}, () => authority.issue({commonName: NAME, addresses: ['127.0.0.1']}), /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['one without the address', {serverName: ''}, () => PAIR, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['one for another address', {serverName: ''}, () => authority.issue({addresses: ['127.0.0.2']}), /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['one that has expired', {}, () => authority.issue({names: [NAME], notAfter: new Date(Date.now() - 1000)}), /CERT_HAS_EXPIRED/],
    ['one for clients', {}, () => authority.issue({names: [NAME], isForClients: true}), /INVALID_PURPOSE/],
    ['TLS 1.1', {}, () => ({...PAIR, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0'}), /PROTOCOL_VERSION|ERR_SSL/],
    ['TLS 1.2, where 1.3 is asked for', {versionMin: 'TLSv1.3'}, () => ({...PAIR, maxVersion: 'TLSv1.2'}), /PROTOCOL_VERSION|ERR_SSL/],
    ['another protocol', {}, () => ({...PAIR, ALPNProtocols: ['h2']}), /ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL/],
  ];
  for (const [what, tls, options, reason] of cases) {
    for (const maxVersion of what.includes('TLS 1.') ? [undefined] : ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`${what}${maxVersion === undefined ? '' : ` (${maxVersion})`}`, async (context) => {
        const made = await options();
        await assertRefused(context, await stage(context, {...TLS, ...tls}, maxVersion === undefined ? made : {...made, maxVersion}), reason);
      });
    }
  }

  test('a server that speaks no TLS', async (context) => {
    const upstream = await FakeUpstream.start(context);
    upstream.onPeer = (peer) => peer.send(OK);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {tls: TLS}})]});
    assert.equal(await ask(context, proxy), 502);
    assert.deepEqual(proxy.faults(), {upstream_tls_failed: 1});
    assert.ok(!upstream.peers.some((peer) => peer.received.includes('GET')));
    assert.match(proxy.reports[0] ?? '', /ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG/);
  });

  test('a server that ends the connection within the handshake', async (context) => {
    const upstream = await FakeUpstream.start(context);
    upstream.onPeer = (peer) => peer.socket.end();
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {tls: TLS}})]});
    assert.equal(await ask(context, proxy), 502);
    assert.deepEqual(proxy.faults(), {upstream_tls_failed: 1});
  });

  test('a server where nobody listens has failed as ever', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    const dead = await FakeUpstream.start(context);
    const {port} = dead;
    await dead.stop();
    await proxy.reload({customers: [acme([port, upstream.port], {pool: {tls: TLS}})]});
    assert.equal(await ask(context, proxy), 200);
    assert.deepEqual(proxy.faults(), {connect_failed: 1});
    assert.deepEqual(proxy.reports, []);
  });

  test('a key that OpenSSL does not take is a failure of every connection, and not of the thread', async (context) => {
    const broken = {...TLS, certificate: {...certificate(CLIENT, []), keyPem: PAIR.key}};
    const {proxy, upstream} = await stage(context, broken);
    assert.equal(await ask(context, proxy), 502);
    assert.equal(upstream.sockets.length, 0);
    assert.match(proxy.reports[0] ?? '', /KEY_VALUES_MISMATCH/);
  });
});

describe('when a handshake fails', () => {
  test('another server is tried, whatever the method: nothing was sent', async (context) => {
    const good = await TlsUpstream.start(context, PAIR);
    const bad = await TlsUpstream.start(context, await stranger.issue({names: [NAME]}));
    const proxy = await ProxyHarness.start(context, {customers: [acme([bad.port, good.port], {pool: {tls: TLS, passive: {failures: 1, forMs: 60_000}}})]});
    assert.equal(await ask(context, proxy, 'POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello'), 200);
    assert.match(good.received, /hello$/);
    assert.equal(bad.received, '');
    assert.ok(proxy.slot('acme', 'app', bad.port).isEjected(proxy.time.monotonicMs()));
  });

  test('the log tells it once a minute for a pool', async (context) => {
    const {proxy} = await stage(context, {...TLS, serverName: 'other.internal'});
    for (let i = 0; i < 3; i++) assert.equal(await ask(context, proxy), 502);
    assert.equal(proxy.reports.length, 1);
    proxy.pass(LIMITS.tlsFailureReportMs);
    assert.equal(await ask(context, proxy), 502);
    assert.equal(proxy.reports.length, 2);
  });

  test('one that does not end is a connect timeout', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {tls: TLS}})]});
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('the handshake has begun', () => upstream.bytesReceived > 0);
    proxy.passAlmost(3_000);
    assert.deepEqual(proxy.faults(), {});
    proxy.passRest();
    assert.equal(statusOf(await client.response()), 504);
    assert.deepEqual(proxy.faults(), {connect_timeout: 1});
    await eventually('nothing is left', () => upstream.openConnections === 0);
  });

  test('a client that goes away meanwhile leaves nothing behind', async (context) => {
    const upstream = await FakeUpstream.start(context);
    const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {pool: {tls: TLS}})]});
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('the handshake has begun', () => upstream.bytesReceived > 0);
    client.destroy();
    await eventually('nothing is left', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {client_gone: 1});
    assert.deepEqual(proxy.reports, []);
  });
});

describe('certificates of Torwart itself', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const demanding: TlsOptions = {...PAIR, ca: authority.certPem, requestCert: true, rejectUnauthorized: true, maxVersion};

    test(`one is shown to a server that asks (${maxVersion})`, async (context) => {
      const {proxy, upstream} = await stage(context, clientCertificate(CLIENT), demanding);
      assert.equal(await ask(context, proxy), 200);
      assert.equal(upstream.peers[0]?.getPeerCertificate().subject.CN, 'torwart');
    });

    for (const [what, tls] of [
      ['none', TLS], ['one of another authority', clientCertificate(STRANGE_CLIENT)],
    ] as const) {
      test(`${what} is refused there (${maxVersion})`, async (context) => {
        const {proxy, upstream} = await stage(context, tls, demanding);
        assert.equal(await ask(context, proxy, GET.replace('GET', 'POST')), 502);
        assert.equal(upstream.received, '');
        if (maxVersion === 'TLSv1.2') assert.deepEqual(proxy.faults(), {upstream_tls_failed: 1});
        // In TLS 1.3 the server refuses after the handshake: its reset may outrun what it has to say.
        else assert.equal(proxy.fault('upstream_tls_failed') + proxy.fault('upstream_closed'), 1);
      });
    }
  }
});

describe('bodies', () => {
  test('large ones in both directions', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    const body = 'abcdefgh'.repeat(64 * 1024);
    upstream.answer = '';
    const client = await proxy.connect(context);
    client.send(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await eventually('all of it has come', () => upstream.received.endsWith(body));
    upstream.peers[0]?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    assert.equal((await client.response()).body, body);
  });

  test('one that ends with the connection', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    upstream.answer = 'HTTP/1.1 200 OK\r\n\r\nuntil the end';
    const client = await proxy.connect(context);
    client.send(GET);
    await eventually('the answer begins', () => upstream.received !== '');
    upstream.peers[0]?.end();
    assert.equal((await client.response()).body, 'until the end');
  });

  test('a response that nobody asked for ends the connection, which is never used again', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    assert.equal(await ask(context, proxy), 200);
    upstream.peers[0]?.write(OK);
    await eventually('it is ended', () => upstream.openConnections === 0);
    assert.deepEqual(proxy.faults(), {upstream_surplus: 1});
    assert.equal(await ask(context, proxy), 200);
    assert.equal(upstream.peers.length, 2);
  });
});

/** How many are made from here on: by whoever asks for one, and by `tls.connect` where it is given none. */
function countSecureContexts(context: TestContext): () => number {
  const {mock} = context.mock.method(nodeTls, 'createSecureContext');
  syncBuiltinESMExports();
  context.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
  return () => mock.callCount();
}

describe('what is used again', () => {
  /** The answer ends the connection, so that the next request needs a new one. */
  const CLOSING = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';

  test('connections', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    for (let i = 0; i < 3; i++) assert.equal(await ask(context, proxy), 200);
    assert.equal(upstream.peers.length, 1);
  });

  test('one secure context for all connections of a pool, whatever their server', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    const other = await TlsUpstream.start(context, PAIR);
    const servers = [upstream.port, other.port];
    await proxy.reload({customers: [acme(servers, {pool: {tls: TLS}})]});
    const contexts = countSecureContexts(context);
    upstream.answer = CLOSING;
    other.answer = CLOSING;
    for (let round = 1; round <= 3; round++) {
      assert.deepEqual(await Promise.all(Array.from({length: 4}, () => ask(context, proxy))), [200, 200, 200, 200]);
      assert.deepEqual([upstream.peers.length + other.peers.length, contexts()], [4 * round, 1]);
    }
    assert.ok(upstream.peers.length > 0 && other.peers.length > 0);
    await proxy.reload({customers: [acme(servers, {pool: {tls: {...TLS, versionMin: 'TLSv1.3'}}})]});
    for (let i = 0; i < 3; i++) assert.equal(await ask(context, proxy), 200);
    assert.equal(contexts(), 2, 'one more for other settings');
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`sessions, until the certificate is due to be looked at again (${maxVersion})`, async (context) => {
      const {proxy, upstream} = await stage(context, TLS, {...PAIR, maxVersion});
      upstream.answer = CLOSING;
      for (const waitMs of [0, 0, LIMITS.tlsSessionChainMs - 1000, 2000]) {
        proxy.pass(waitMs);
        assert.equal(await ask(context, proxy), 200);
        await upstream.allClosed();
      }
      assert.deepEqual(upstream.resumptions, [false, true, true, false]);
    });
  }

  test('sessions of the same server only', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    upstream.answer = CLOSING;
    assert.equal(await ask(context, proxy), 200);
    const other = await TlsUpstream.start(context, PAIR);
    other.answer = CLOSING;
    await proxy.reload({customers: [acme([upstream.port, other.port], {pool: {tls: TLS}})]});
    for (let i = 0; i < 4; i++) assert.equal(await ask(context, proxy), 200);
    assert.deepEqual(other.resumptions, [false, true]);
    assert.deepEqual(upstream.resumptions, [false, true, true]);
  });
});

describe('what is never used again', () => {
  const other = CertificateAuthority.create('another');
  const changes: readonly (readonly [what: string, change: () => Promise<PoolTlsSnapshot | null>])[] = [
    ['the authority', async () => ({...TLS, caPem: `${authority.certPem}\n${(await other).certPem}`})],
    ['the name', async () => ({...TLS, serverName: 'a.wild.internal'})],
    ['the certificate', async () => clientCertificate(CLIENT)],
    ['the verification', async () => ({...TLS, isVerified: false})],
    ['the lowest version', async () => ({...TLS, versionMin: 'TLSv1.3'})],
    ['TLS as such', async () => null],
  ];
  for (const [what, change] of changes) {
    test(`connections and sessions of before, once ${what} changes`, async (context) => {
      const {proxy, upstream} = await stage(context, TLS);
      assert.equal(await ask(context, proxy), 200);
      const tls = await change();
      await proxy.reload({customers: [acme([upstream.port], {pool: {tls}})]});
      await upstream.allClosed();
      assert.equal(await ask(context, proxy), tls === null ? 502 : 200);
      assert.equal(upstream.sockets.length, 2);
      assert.ok(!upstream.resumptions.includes(true));
    });
  }

  test('but when nothing of it changes, connections stay', async (context) => {
    const {proxy, upstream} = await stage(context, TLS);
    assert.equal(await ask(context, proxy), 200);
    const added = await TlsUpstream.start(context, PAIR);
    await proxy.reload({customers: [acme([upstream.port, server(added.port, {drain: true})], {pool: {tls: structuredClone(TLS)}})]});
    assert.equal(await ask(context, proxy), 200);
    assert.equal(upstream.sockets.length, 1);
  });

  test('anything of another pool or customer with the same server and settings', async (context) => {
    const upstream = await TlsUpstream.start(context, PAIR);
    const of = (name: string, host: string): CustomerSnapshot => customer(name, {
      pools: [pool('app', [upstream.port], {tls: TLS}), pool('more', [upstream.port], {tls: TLS})],
      sites: [site([host], [route('/'), route('/more', {action: {type: 'pool', pool: 'more'}})])],
    });
    const proxy = await ProxyHarness.start(context, {customers: [of('acme', 'acme.test'), of('globex', 'globex.test')]});
    for (const request of [GET, GET.replace('/ ', '/more '), GET.replace('acme', 'globex')]) assert.equal(await ask(context, proxy, request), 200);
    assert.equal(upstream.peers.length, 3);
    assert.ok(!upstream.resumptions.includes(true));
  });
});

