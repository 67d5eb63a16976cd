/** Records of TLS that carry nothing: no event tells of them, and each costs as much as a small request. */
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {describe, test, type TestContext} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {assertServes} from '#test/support/attack.ts';
import {makeClientHello} from '#test/support/client-hello.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';
import {Tls12RecordClient} from '#test/support/tls12-record-client.ts';
import {TlsRecordClient} from '#test/support/tls-record-client.ts';

const PAIR = await makeCertificate(['acme.test']);

/** Of a key update on the wire. */
const UPDATE_BYTES = 27;
const UPDATES_BORNE = Math.floor((LIMITS.tlsEmptyBytesMax + LIMITS.tlsEmptyBytesPerLook) / UPDATE_BYTES);

const RECORD_HEAD_BYTES = 5;

const REQUEST = 'GET /over-tls HTTP/1.1\r\nhost: acme.test\r\n\r\n';

async function stage(context: TestContext): Promise<{upstream: FakeUpstream; proxy: ProxyHarness}> {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [{...acme([upstream.port]), certificates: [certificate(PAIR, ['acme.test'])]}], node: {listeners: [HTTP, HTTPS]}});
  return {upstream, proxy};
}

/** The records have arrived, and are looked at. */
async function look(proxy: ProxyHarness): Promise<void> {
  await settle();
  proxy.pass(LIMITS.tlsLookMs + LIMITS.wheelTickMs);
}

async function assertAlive(client: TlsRecordClient, upstream: FakeUpstream): Promise<void> {
  upstream.forget();
  client.send(client.content(REQUEST));
  assert.equal((await upstream.nextRequest()).startLine, 'GET /over-tls HTTP/1.1');
  await settle();
}

describe('tls_flood', () => {
  for (const isAnswerWanted of [true, false]) {
    test(`a connection that sends key updates ${isAnswerWanted ? 'which want an answer ' : ''}and nothing else is ended`, async (context) => {
      const {upstream, proxy} = await stage(context);
      const client = await TlsRecordClient.connect(context, proxy);
      client.send(client.keyUpdates(UPDATES_BORNE, isAnswerWanted));
      await look(proxy);
      assert.deepEqual(proxy.faults(), {});
      await assertAlive(client, upstream);
      client.send(client.keyUpdates(UPDATES_BORNE + 20, isAnswerWanted));
      await look(proxy);
      await client.raw.ended();
      assert.deepEqual(proxy.faults(), {tls_flood: 1});
      await eventually('nothing of it is left', () => proxy.placesOf('connections') === 0);
      await assertServes(context, {proxy, upstream});
    });
  }

  test('over time, too', async (context) => {
    const {upstream, proxy} = await stage(context);
    upstream.respond = () => null;
    const client = await TlsRecordClient.connect(context, proxy);
    await assertAlive(client, upstream);
    const perLook = 100, looks = UPDATES_BORNE / (perLook - LIMITS.tlsEmptyBytesPerLook / UPDATE_BYTES);
    for (let i = 0; i <= looks + 1 && proxy.fault('tls_flood') === 0; i++) {
      assert.equal(client.raw.end, 'none', `${i} looks`);
      client.send(client.keyUpdates(perLook, true));
      await look(proxy);
    }
    assert.equal(proxy.fault('tls_flood'), 1);
  });

  test('empty records, of which OpenSSL bears some', async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await TlsRecordClient.connect(context, proxy);
    for (let i = 0; i < 40; i++) client.send(client.content(''));
    await client.raw.ended();
    assert.deepEqual(proxy.faults(), {tls_flood: 1});
    await assertServes(context, {proxy, upstream});
  });

  test('new handshakes on an old connection, of which Node bears some and begins none (CVE-2011-1473)', async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await Tls12RecordClient.connect(context, proxy);
    const hello = (await makeClientHello({servername: 'acme.test', maxVersion: 'TLSv1.2'})).subarray(RECORD_HEAD_BYTES);
    for (let i = 0; i < 10 && client.raw.end === 'none'; i++) {
      client.sendHandshake(hello);
      await settle();
    }
    await client.raw.ended();
    assert.deepEqual([proxy.faults(), proxy.counter('tlsHandshakes')], [{tls_flood: 1}, 1]);
    await assertServes(context, {proxy, upstream});
  });

  test('whoever goes on with new connections is banned', async (context) => {
    const {proxy} = await stage(context);
    for (let floods = 0; proxy.bans.length === 0; floods++) {
      assert.equal(proxy.fault('tls_flood'), floods);
      assert.ok(floods < 2 * LIMITS.offencePointsMax / LIMITS.offencePointsOfConnection);
      const client = await TlsRecordClient.connect(context, proxy, '127.0.0.7');
      client.send(client.keyUpdates(UPDATES_BORNE + 20, false));
      await look(proxy);
    }
    assert.deepEqual(proxy.bans.map(({network}) => network), ['127.0.0.7/32']);
  });
});

describe('no flood', () => {
  test('a key update each second, for an hour', async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await TlsRecordClient.connect(context, proxy);
    for (let second = 0; second < 3600; second++) {
      client.send(client.keyUpdate(true));
      if (second % 60 === 0) await assertAlive(client, upstream);
      proxy.pass(1000);
    }
    await assertAlive(client, upstream);
    assert.deepEqual(proxy.faults(), {});
  });

  test('content in records of one byte', async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await TlsRecordClient.connect(context, proxy);
    const body = 'x'.repeat(5_000);
    const records = Array.from(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`, (byte) => client.content(byte));
    for (let at = 0; at < records.length; at += 500) {
      client.send(...records.slice(at, at + 500));
      await look(proxy);
    }
    assert.equal((await upstream.nextRequest()).body, body);
    assert.deepEqual(proxy.faults(), {});
  });

  test('a record whose last byte takes its time', async (context) => {
    const {upstream, proxy} = await stage(context);
    const client = await TlsRecordClient.connect(context, proxy);
    const record = client.content(`POST / HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 16000\r\n\r\n${'x'.repeat(16_000)}`);
    client.send(record.subarray(0, -1));
    for (let i = 0; i < 3; i++) await look(proxy);
    client.send(record.subarray(-1));
    assert.equal((await upstream.nextRequest()).body.length, 16_000);
    assert.deepEqual(proxy.faults(), {});
  });
});

/** A command of `openssl s_client` is a line that comes by itself. */
function startOpenssl(context: TestContext, proxy: ProxyHarness, ...options: readonly string[]): {readonly command: (line: string) => Promise<void>; readonly output: () => string} {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${proxy.ports['https']}`, '-servername', 'acme.test', ...options]);
  context.after(() => { child.kill(); });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString('latin1'); });
  child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString('latin1'); });
  child.stdin.on('error', () => undefined);
  return {
    output: () => output,
    command: async (line) => {
      child.stdin.write(line);
      await settle(100);
    },
  };
}

describe('openssl s_client', {skip: spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed'}, () => {
  test('may update its keys', async (context) => {
    const {upstream, proxy} = await stage(context);
    const {command, output} = startOpenssl(context, proxy, '-tls1_3');
    await eventually('the handshake is over', () => proxy.counter('tlsHandshakes') === 1 && output().includes('Verify return code'));
    for (let i = 0; i < 3; i++) await command('K\n');
    assert.equal(output().split('KEYUPDATE').length, 4);
    await command(REQUEST);
    await upstream.nextRequest();
    await eventually('it is answered', () => output().includes('HTTP/1.1 200 OK'));
    assert.deepEqual(proxy.faults(), {});
  });

  test('gets no new handshake (CVE-2011-1473)', async (context) => {
    const {proxy} = await stage(context);
    const {command, output} = startOpenssl(context, proxy, '-tls1_2');
    await eventually('the handshake is over', () => proxy.counter('tlsHandshakes') === 1 && output().includes('Verify return code'));
    await command('R\n');
    await eventually('it is told', () => output().includes('no renegotiation'));
    assert.equal(proxy.counter('tlsHandshakes'), 1);
  });
});
