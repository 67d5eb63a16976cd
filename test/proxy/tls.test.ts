/** TLS as clients meet it: names, versions, suites, resumption, and the wall between customers. */
import assert from 'node:assert/strict';
import {execFile, spawnSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {after, beforeEach, describe, test, type TestContext} from 'node:test';
import type {ConnectionOptions} from 'node:tls';
import {promisify} from 'node:util';
import type {FaultCode} from '#src/core/faults.ts';
import {TLS_CIPHERS} from '#src/core/tls-parameters.ts';
import {makeCertificate, makeWeakCertificate} from '#test/config/certificates.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness, type HarnessOptions} from '#test/support/proxy-harness.ts';
import type {TlsClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {HTTP, HTTPS, certificate, customer, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const ACME_NAMES = ['acme.test', '*.acme.test'];
const ACME_PAIR = await makeCertificate(ACME_NAMES);
const OTHER_PAIR = await makeCertificate(['other.test']);

const CUSTOMERS = [
  customer('acme', {
    certificates: [certificate(ACME_PAIR, ACME_NAMES)], pools: [pool('app', [upstream.port])], sites: [site(['acme.test', '*.acme.test', 'plain.test'], [route('/')])],
  }),
  customer('other', {certificates: [certificate(OTHER_PAIR, ['other.test'])], pools: [pool('app', [upstream.port])], sites: [site(['other.test'], [route('/')])]}),
];
const OPTIONS: HarnessOptions = {customers: CUSTOMERS, node: {listeners: [HTTP, HTTPS]}, ticketKeys: randomBytes(48)};

const proxy = await ProxyHarness.start({after}, OPTIONS);

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

async function get(client: TlsClient, host: string): Promise<ReturnType<TlsClient['response']>> {
  client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  return client.response();
}

/** The handshake fails, or the connection ends before it carries a request; the fault is counted, and the next client is served. */
async function refuse(context: TestContext, options: ConnectionOptions, fault: FaultCode): Promise<TlsClient> {
  const before = proxy.faults();
  const client = await proxy.connectTls(context, options);
  await client.ended();
  await eventually('the fault is counted', () => proxy.fault(fault) > (before[fault] ?? 0));
  assert.deepEqual(proxy.faults(), {...before, [fault]: (before[fault] ?? 0) + 1});
  assert.equal(statusOf(await get(await proxy.connectTls(context, {servername: 'acme.test'}), 'acme.test')), 200);
  return client;
}

test('customers that have a certificate of one name in common are each served with their own', async (context) => {
  const NAMES = ['*.hoster.test'], pair = await makeCertificate(NAMES);
  const owner = (name: string): typeof CUSTOMERS[number] => customer(name, {
    certificates: [certificate(pair, NAMES)], pools: [pool('app', [upstream.port])], sites: [site([`${name}.hoster.test`], [route('/')])],
  });
  const shared = await ProxyHarness.start(context, {...OPTIONS, customers: [owner('one'), owner('two'), owner('three')]});
  for (const name of ['three', 'one', 'two']) {
    const host = `${name}.hoster.test`, client = await shared.connectTls(context, {servername: host});
    assert.equal(statusOf(await get(client, host)), 200, host);
    assert.equal(shared.connectionsOf(name), 1, 'and its places are those of that customer');
    assert.equal(statusOf(await get(client, name === 'one' ? 'two.hoster.test' : 'one.hoster.test')), 421, 'not with that of another');
  }
});

describe('names', () => {
  for (const [servername, names] of [
    ['acme.test', 'DNS:acme.test, DNS:*.acme.test'], ['ACME.test', 'DNS:acme.test, DNS:*.acme.test'], ['a.acme.test', 'DNS:acme.test, DNS:*.acme.test'],
    ['other.test', 'DNS:other.test'],
  ] as const) {
    test(`${servername} gets its certificate`, async (context) => {
      const client = await proxy.connectTls(context, {servername});
      assert.equal(client.tls.getPeerCertificate().subjectaltname, names);
      assert.equal(statusOf(await get(client, servername)), 200);
    });
  }

  for (const [what, options] of [
    ['an unknown name', {servername: 'unknown.test'}], ['a name two labels below a wildcard', {servername: 'b.a.acme.test'}], ['no name', {}],
    ['an unknown name over TLS 1.2', {servername: 'unknown.test', maxVersion: 'TLSv1.2'}], ['no name over TLS 1.2', {maxVersion: 'TLSv1.2'}],
    ['a served host without a certificate', {servername: 'plain.test'}],
  ] as const) {
    test(`${what} is refused: sni_unknown`, async (context) => {
      const client = await refuse(context, options, 'sni_unknown');
      assert.equal(client.isSecure, false, 'no certificate was shown');
    });
  }

  test('hosts of another customer are not served, whoever asks for them: host_foreign', async (context) => {
    const client = await proxy.connectTls(context, {servername: 'acme.test'});
    const before = proxy.fault('host_foreign');
    assert.equal(statusOf(await get(client, 'other.test')), 421);
    assert.equal(proxy.fault('host_foreign'), before + 1);
    assert.ok(!upstream.peers.some((peer) => peer.isOpen && peer.received.includes('other.test') && peer.received.includes('acme.test')));
    assert.equal(statusOf(await get(client, 'unknown.test')), 421);
    assert.equal(statusOf(await get(client, 'a.acme.test')), 200, 'other hosts of the same customer are');
    assert.equal(statusOf(await get(client, 'acme.test:8443')), 200);
  });
});

test('a certificate that OpenSSL does not take costs its own customer, and not the thread: the log says whose it is, once', async (context) => {
  const weak = await makeWeakCertificate(['weak.test']);
  const owner = customer('weak', {certificates: [certificate(weak, ['weak.test'])], pools: [pool('app', [upstream.port])], sites: [site(['weak.test'], [route('/')])]});
  const target = await ProxyHarness.start(context, {...OPTIONS, customers: [...CUSTOMERS, owner]});
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const client = await target.connectTls(context, {servername: 'weak.test', maxVersion});
    await client.ended();
    assert.equal(client.isSecure, false);
  }
  assert.deepEqual(target.faults(), {tls_failed: 2});
  assert.equal(target.reports.length, 1);
  assert.match(target.reports[0] ?? '', /^a certificate cannot be used: .*"customer":"weak".*"names":"weak\.test".*ERR_SSL_EE_KEY_TOO_SMALL/);
  assert.equal(statusOf(await get(await target.connectTls(context, {servername: 'acme.test'}), 'acme.test')), 200);
});

describe('versions and suites', () => {
  test('TLS 1.3 and the post-quantum group, where the client has them', async (context) => {
    const client = await proxy.connectTls(context, {servername: 'acme.test'});
    assert.equal(client.tls.getProtocol(), 'TLSv1.3');
    assert.equal(client.tls.alpnProtocol, false);
  });

  test('only the listed suites over TLS 1.2', async (context) => {
    const listed = TLS_CIPHERS.split(':').filter((name) => name.startsWith('ECDHE-ECDSA'));
    assert.ok(listed.length >= 3);
    for (const ciphers of listed) {
      const client = await proxy.connectTls(context, {servername: 'acme.test', maxVersion: 'TLSv1.2', ciphers});
      assert.equal(client.tls.getCipher().name, ciphers);
    }
  });

  for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-CCM']) {
    test(`${ciphers} is refused: tls_failed`, (context) => refuse(context, {servername: 'acme.test', maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0`}, 'tls_failed').then(() => undefined));
  }

  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    test(`${version} is refused: tls_failed`, (context) => refuse(context, {
      servername: 'acme.test', minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0',
    }, 'tls_failed').then(() => undefined));
  }

  test('a client cannot make the server do its handshake again (CVE-2011-1473)', async (context) => {
    const client = await proxy.connectTls(context, {servername: 'acme.test', maxVersion: 'TLSv1.2'});
    const state = {isRenegotiated: false};
    client.tls.renegotiate({rejectUnauthorized: false}, (error) => { state.isRenegotiated = error === null; });
    await settle();
    assert.equal(state.isRenegotiated, false);
  });

  test('a protocol that is not served is refused by ALPN: tls_failed', async (context) => {
    await refuse(context, {servername: 'acme.test', ALPNProtocols: ['h3']}, 'tls_failed');
    const client = await proxy.connectTls(context, {servername: 'acme.test', ALPNProtocols: ['h3', 'http/1.1']});
    assert.equal(client.tls.alpnProtocol, 'http/1.1');
  });

  test('HTTP on the TLS port is refused: tls_failed', async (context) => {
    const before = proxy.fault('tls_failed');
    const client = await proxy.connect(context, 'https');
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    await client.ended();
    assert.ok(!client.received.includes('HTTP/'));
    assert.equal(proxy.fault('tls_failed'), before + 1);
  });

  test('TLS on the HTTP port is refused: head_invalid', async (context) => {
    const before = proxy.fault('head_invalid');
    const client = await proxy.connectTls(context, {servername: 'acme.test'}, 'http');
    await client.ended();
    assert.equal(proxy.fault('head_invalid'), before + 1);
  });
});

describe('resumption', () => {
  async function takeSession(context: TestContext, from: ProxyHarness, options: ConnectionOptions): Promise<Buffer> {
    const client = await from.connectTls(context, options);
    assert.equal(statusOf(await get(client, options.servername ?? '')), 200);
    await eventually('a session is here', () => client.session !== null);
    assert.ok(client.session !== null);
    return client.session;
  }

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`works across threads that share their ticket keys, over ${maxVersion}`, async (context) => {
      const second = await ProxyHarness.start(context, OPTIONS);
      const session = await takeSession(context, proxy, {servername: 'acme.test', maxVersion});
      const client = await second.connectTls(context, {servername: 'acme.test', maxVersion, session});
      assert.ok(client.tls.isSessionReused());
      assert.equal(statusOf(await get(client, 'acme.test')), 200);
      assert.equal(second.counter('tlsResumed'), 1);
    });

    test(`does not with other keys, and not after they were rotated away, over ${maxVersion}`, async (context) => {
      const session = await takeSession(context, proxy, {servername: 'acme.test', maxVersion});
      const stranger = await ProxyHarness.start(context, {...OPTIONS, ticketKeys: randomBytes(48)});
      for (const [what, target] of [['other keys', stranger], ['rotated', await ProxyHarness.start(context, OPTIONS)]] as const) {
        if (what === 'rotated') target.proxy.setTicketKeys(randomBytes(48));
        const client = await target.connectTls(context, {servername: 'acme.test', maxVersion, session});
        assert.equal(client.tls.isSessionReused(), false, what);
        assert.equal(statusOf(await get(client, 'acme.test')), 200);
      }
    });

    test(`with another customer's name opens no way to either's hosts that a whole handshake would not, over ${maxVersion}`, async (context) => {
      const session = await takeSession(context, proxy, {servername: 'acme.test', maxVersion});
      const client = await proxy.connectTls(context, {servername: 'other.test', maxVersion, session});
      const statuses = [statusOf(await get(client, 'other.test')), statusOf(await get(client, 'acme.test')), statusOf(await get(client, 'other.test'))];
      assert.deepEqual(statuses, [200, 421, 200]);
    });

    test(`of a certificate that is gone: refused, over ${maxVersion}`, async (context) => {
      const target = await ProxyHarness.start(context, OPTIONS);
      const session = await takeSession(context, target, {servername: 'other.test', maxVersion});
      await target.reload({customers: CUSTOMERS.slice(0, 1)});
      const client = await target.connectTls(context, {servername: 'other.test', maxVersion, session});
      // Over TLS 1.2 the name of a resumed session is not known before its first request.
      if (client.tls.isSessionReused() && maxVersion === 'TLSv1.2') assert.equal(statusOf(await get(client, 'other.test')), 421);
      else await client.ended();
      assert.ok(!client.received.includes('HTTP/1.1 200'));
      await eventually('it is counted', () => target.fault('sni_unknown') + target.fault('host_unknown') === 1);
    });
  }
});

describe('what requests show of TLS', () => {
  test('the application is told, the log says which', async (context) => {
    await proxy.forgetLog();
    await get(await proxy.connectTls(context, {servername: 'acme.test'}), 'acme.test');
    const request = await upstream.nextRequest();
    assert.deepEqual(['x-forwarded-proto', 'x-forwarded-port', 'forwarded'].map((name) => fieldOf(request, name)), ['https', '443', 'for=127.0.0.1;proto=https;host=acme.test']);
    const line = await proxy.nextLogLine();
    assert.equal(line['tls_version'], 'TLSv1.3');
    assert.match(String(line['tls_cipher']), /^TLS_/);
  });

  test('Strict-Transport-Security is sent, unless the application or the customer decided otherwise', async (context) => {
    const client = await proxy.connectTls(context, {servername: 'acme.test'});
    assert.equal(fieldOf(await get(client, 'acme.test'), 'strict-transport-security'), 'max-age=31536000');
    assert.equal(fieldOf(await get(client, 'unknown.test'), 'strict-transport-security'), 'max-age=31536000', 'errors too');
    upstream.respond = () => 'HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=0\r\ncontent-length: 0\r\n\r\n';
    assert.equal(fieldOf(await get(client, 'acme.test'), 'strict-transport-security'), 'max-age=0');
  });

  test('an absolute form names the scheme https', async (context) => {
    const client = await proxy.connectTls(context, {servername: 'acme.test'});
    client.send('GET https://acme.test/a HTTP/1.1\r\nhost: acme.test\r\n\r\nGET http://acme.test/a HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.deepEqual([statusOf(await client.response()), statusOf(await client.response())], [200, 400]);
  });
});

/** The reason to skip, or false where the program is there. */
function missing(program: string, ...args: readonly string[]): string | false {
  return spawnSync(program, args).status === 0 ? false : `${program} is not installed`;
}

describe('programs that others wrote', () => {
  const run = promisify(execFile);

  test('curl', {skip: missing('curl', '--version')}, async () => {
    const url = `https://acme.test:${proxy.ports['https']}/`;
    const options = ['-sk', '--http1.1', '--resolve', `acme.test:${proxy.ports['https']}:127.0.0.1`, '-w', '%{http_code} %{num_connects}\n', '--max-time', '10'];
    assert.equal((await run('curl', [...options, url, url])).stdout, 'ok200 1\nok200 0\n');
    const upload = await run('curl', [...options, '-d', 'a=b', '-H', 'expect: 100-continue', url]);
    assert.equal(upload.stdout, 'ok200 1\n');
    assert.equal(upstream.requests.at(-1)?.body, 'a=b');
  });

  test('openssl s_client', {skip: missing('openssl', 'version')}, async () => {
    const options = ['s_client', '-connect', `127.0.0.1:${proxy.ports['https']}`, '-brief'];
    const handshake = async (...args: readonly string[]): Promise<string> => {
      const child = run('openssl', [...options, ...args]);
      child.child.stdin?.end();
      return child.then(({stdout, stderr}) => stdout + stderr, (error: {readonly stderr: string}) => `failed ${error.stderr}`);
    };
    assert.match(await handshake('-servername', 'acme.test'), /Protocol version: TLSv1\.3/);
    assert.match(await handshake('-servername', 'acme.test', '-tls1_2'), /Protocol version: TLSv1\.2/);
    assert.match(await handshake('-servername', 'acme.test', '-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0'), /^failed/);
    assert.match(await handshake('-servername', 'unknown.test'), /^failed/);
    assert.match(await handshake('-noservername'), /^failed/);
  });
});
