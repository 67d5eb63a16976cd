/** Every code of the table of faults is provoked once, alone, by what a client or an application can do. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {CapsSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';
import {FAULT_CODES, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {PROBE} from '#test/support/attack.ts';
import {makeClientHello} from '#test/support/client-hello.ts';
import {startDeafListener} from '#test/support/deaf-listener.ts';
import {eventually, settle} from '#test/support/eventually.ts';
import {FakeUpstream, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness, type HarnessOptions} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {readTypeScript} from '#test/style/sources.ts';
import {HTTPS, ROUTE_TIMEOUTS, TIMEOUTS, acme, certificate, customer, limit, pool, route, site} from '#test/support/snapshots.ts';

interface Stage {
  readonly proxy: ProxyHarness;
  readonly client: RawClient;
  readonly upstream: FakeUpstream;
}

/** Leads to the fault; what stands on the stage is there. Returns the proxy where that is another one. */
type Provocation = (stage: Stage, context: TestContext) => Promise<ProxyHarness | void>;

const HOST = 'host: acme.test\r\n';

function sends(bytes: string): Provocation {
  return async ({client}) => { client.send(bytes); };
}

function getWith(fields: string): Provocation {
  return sends(`GET / HTTP/1.1\r\n${HOST}${fields}\r\n`);
}

function asks(requestLine: string): Provocation {
  return sends(`${requestLine}\r\n${HOST}\r\n`);
}

/** The application answers with these bytes, and then perhaps ends the connection. */
function answers(bytes: string, isEnd = false): Provocation {
  return async ({client, upstream}) => {
    upstream.respond = ({peer}) => {
      peer.send(bytes);
      if (isEnd) peer.socket.end();
      return null;
    };
    client.send(PROBE);
  };
}

async function isAsked({client, upstream}: Stage): Promise<UpstreamRequest> {
  upstream.respond = () => null;
  client.send(PROBE);
  return upstream.nextRequest();
}

/** A proxy of its own. */
function through(options: (stage: Stage) => HarnessOptions, act: (proxy: ProxyHarness, context: TestContext) => Promise<void>): Provocation {
  return async (stage, context) => {
    const proxy = await ProxyHarness.start(context, options(stage));
    await act(proxy, context);
    return proxy;
  };
}

async function probe(proxy: ProxyHarness, context: TestContext): Promise<void> {
  (await proxy.connect(context)).send(PROBE);
}

const PAIRS = {acme: await makeCertificate(['acme.test']), other: await makeCertificate(['other.test'])} as const;

const CAPS: CapsSnapshot = {connectionsMax: 9, connectionsPerClientMax: 9, handshakesMax: 9, handshakesPerClientMax: 9, requestsMax: 9, requestsPerClientMax: 9, bufferedBytesMax: 2 ** 30, bufferedBytesPerClientMax: 2 ** 30};

function secure(): () => HarnessOptions {
  const owners = (['acme', 'other'] as const).map((name): CustomerSnapshot => customer(name, {
    certificates: [certificate(PAIRS[name], [`${name}.test`])], pools: [pool('app', [1])], sites: [site([`${name}.test`], [route('/')])],
  }));
  return () => ({customers: owners, node: {listeners: [HTTPS]}});
}

const PROVOCATIONS: Readonly<Partial<Record<FaultCode, Provocation>>> = {
  head_invalid: sends('\x00'),
  field_invalid: getWith('x a: 1\r\n'),
  head_too_large: getWith(`x-a: ${'a'.repeat(LIMITS.requestHeadBytesMax)}\r\n`),
  fields_too_many: getWith('a: 1\r\n'.repeat(LIMITS.requestFieldsMax)),
  target_too_long: asks(`GET /${'a'.repeat(LIMITS.requestTargetBytesMax)} HTTP/1.1`),
  target_invalid: asks('GET a HTTP/1.1'),
  path_ambiguous: asks('GET /.. HTTP/1.1'),
  method_invalid: asks('G@T / HTTP/1.1'),
  method_refused: asks('TRACE / HTTP/1.1'),
  version_unsupported: asks('GET / HTTP/3.0'),
  framing_invalid: getWith('content-length: +1\r\n'),
  chunk_invalid: sends(`POST / HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\nx\r\n`),
  host_invalid: sends('GET / HTTP/1.1\r\n\r\n'),
  connection_option_refused: getWith('connection: cookie\r\n'),
  expectation_failed: getWith('expect: x\r\n'),
  host_unknown: sends('GET / HTTP/1.1\r\nhost: unknown.test\r\n\r\n'),
  host_foreign: through(secure(), async (proxy, context) => {
    (await proxy.connectTls(context, {servername: 'acme.test'})).send('GET / HTTP/1.1\r\nhost: other.test\r\n\r\n');
  }),
  route_unknown: sends('GET / HTTP/1.1\r\nhost: empty.test\r\n\r\n'),
  method_not_allowed: sends('POST / HTTP/1.1\r\nhost: strict.test\r\n\r\n'),
  access_denied: sends('GET /denied HTTP/1.1\r\nhost: strict.test\r\n\r\n'),
  rate_limited: through(() => ({node: {limits: [limit('all', 1_000, 1)]}}), async (proxy, context) => {
    const client = await proxy.connect(context);
    client.send(PROBE.repeat(2));
    await eventually('the first is counted', () => proxy.fault('host_unknown') === 1);
  }),
  body_too_large: sends(`POST / HTTP/1.1\r\n${HOST}content-length: 10000000\r\n\r\n`),
  request_head_timeout: async ({proxy, client}) => {
    client.send(`${PROBE}GET /`);
    await client.response();
    proxy.pass(TIMEOUTS.requestHeadMs + 500);
  },
  request_body_timeout: async ({proxy, client}) => {
    client.send(`POST / HTTP/1.1\r\n${HOST}expect: 100-continue\r\ncontent-length: 5\r\n\r\n`);
    await client.response();
    proxy.pass(ROUTE_TIMEOUTS.requestBodyIdleMs + 500);
  },
  client_gone: async (stage) => {
    await isAsked(stage);
    stage.client.destroy();
  },
  client_stalled: async ({proxy, client, upstream}) => {
    client.socket.pause();
    const megabyte = 'x'.repeat(1024 * 1024);
    upstream.respond = ({peer}) => {
      peer.send('HTTP/1.1 200 OK\r\n\r\n');
      for (let i = 0; i < 32; i++) peer.send(megabyte);
      return null;
    };
    client.send(PROBE);
    const {peer} = await upstream.nextRequest();
    let before = -1;
    while (before !== peer.socket.writableLength) {
      before = peer.socket.writableLength;
      await settle();
    }
    proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
  },
  connections_per_client: through(() => ({node: {caps: {...CAPS, connectionsPerClientMax: 1}}}), async (proxy, context) => {
    await proxy.connect(context);
    await (await proxy.connect(context)).ended();
    assert.equal((await proxy.connect(context, 'http', '127.0.0.2')).end, 'none', 'another client is let in');
  }),
  connections_total: through(() => ({node: {caps: {...CAPS, connectionsMax: 1}}}), async (proxy, context) => {
    await proxy.connect(context);
    await (await proxy.connect(context, 'http', '127.0.0.2')).ended();
  }),
  handshakes_per_client: through(() => ({node: {listeners: [HTTPS], caps: {...CAPS, handshakesPerClientMax: 1}}}), async (proxy, context) => {
    await proxy.connect(context, 'https');
    assert.equal(await (await proxy.connect(context, 'https')).ended(), 'reset');
    assert.equal((await proxy.connect(context, 'https', '127.0.0.2')).end, 'none', 'another client is let in');
  }),
  handshakes_total: through(() => ({node: {listeners: [HTTPS], caps: {...CAPS, handshakesMax: 1}}}), async (proxy, context) => {
    await proxy.connect(context, 'https');
    assert.equal(await (await proxy.connect(context, 'https', '127.0.0.2')).ended(), 'reset');
  }),
  descriptors_exhausted: through(() => ({descriptorsMax: 1}), async (proxy, context) => { await (await proxy.connect(context)).ended(); }),
  sni_unknown: through(secure(), async (proxy, context) => { await proxy.connectTls(context, {servername: 'unknown.test'}); }),
  tls_failed: through(secure(), async (proxy, context) => { (await proxy.connect(context, 'https')).send(PROBE); }),
  tls_timeout: through(secure(), async (proxy, context) => {
    const silent = await proxy.connect(context, 'https');
    await eventually('the connection is accepted', () => proxy.counter('connectionsOpened') === 1);
    proxy.pass(TIMEOUTS.tlsHandshakeMs + 500);
    await silent.ended();
  }),
  endpoint_unavailable: through(() => ({customers: [acme([])]}), probe),
  endpoint_saturated: through(({upstream}) => ({customers: [acme([upstream.port], {pool: {connectionsMax: 0}})]}), probe),
  requests_per_customer: through(({upstream}) => ({customers: [{...acme([upstream.port]), caps: {websocketsMax: 1, websocketsPerClientMax: 1, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 0, bufferedBytesMax: 2 ** 30}}]}), probe),
  requests_total: through(({upstream}) => ({customers: [acme([upstream.port])], node: {caps: {...CAPS, requestsMax: 0}}}), probe),
  connections_per_customer: through(({upstream}) => ({customers: [{...acme([upstream.port]), caps: {websocketsMax: 1, websocketsPerClientMax: 1, connectionsMax: 0, handshakesMax: 1000, requestsMax: 1, bufferedBytesMax: 2 ** 30}}]}), probe),
  requests_per_client: through(({upstream}) => ({customers: [acme([upstream.port])], node: {caps: {...CAPS, requestsPerClientMax: 0}}}), probe),
  connection_share_exceeded: through(({upstream}) => ({customers: [acme([upstream.port]), customer('globex', {})], node: {caps: {...CAPS, connectionsMax: 4}}}), async (proxy, context) => {
    for (let i = 0; i < 4; i++) {
      const client = await proxy.connect(context);
      client.send(PROBE);
      await client.response();
    }
  }),
  handshakes_per_customer: through(() => ({customers: secure()().customers?.map((each) => ({...each, caps: {...each.caps, handshakesMax: 0}})) ?? [], node: {listeners: [HTTPS]}}), async (proxy, context) => {
    await proxy.connectTls(context, {servername: 'acme.test'});
  }),
  handshake_share_exceeded: through(() => ({...secure()(), node: {listeners: [HTTPS], caps: {...CAPS, handshakesMax: 4}}}), async (proxy, context) => {
    for (let i = 0; i < 4; i++) {
      const client = await proxy.connect(context, 'https');
      client.socket.write(await makeClientHello({servername: 'acme.test'}));
      await eventually('it is in flight, or refused', () => proxy.placesOf('handshakes', 'acme') === i + 1 || proxy.fault('handshake_share_exceeded') > 0);
    }
  }),
  buffers_total: through(({upstream}) => ({customers: [acme([upstream.port])], node: {caps: {...CAPS, bufferedBytesMax: 0}}}), probe),
  buffers_per_client: through(({upstream}) => ({customers: [acme([upstream.port])], node: {caps: {...CAPS, bufferedBytesPerClientMax: 0}}}), probe),
  buffers_per_customer: through(({upstream}) => ({customers: [{...acme([upstream.port]), caps: {...customer('', {}).caps, bufferedBytesMax: 0}}]}), probe),
  buffer_share_exceeded: through(({upstream}) => ({customers: [acme([upstream.port]), customer('globex', {})], node: {caps: {...CAPS, bufferedBytesMax: 4 * LIMITS.heldBlockBytes}}}), async (proxy, context) => {
    (await proxy.connect(context)).send(`POST / HTTP/1.1\r\n${HOST}content-length: 60000\r\n\r\n${'x'.repeat(4 * LIMITS.heldBlockBytes)}`);
  }),
  time_share_exceeded: through(({upstream}) => ({customers: [acme([upstream.port]), customer('globex', {pools: [pool('app', [upstream.port])], sites: [site(['globex.test'], [route('/')])]})]}), async (proxy, context) => {
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: globex.test\r\n\r\n');
    await client.response();
    // The first request that waits does so for that long.
    const {time} = proxy, read = time.monotonicMs.bind(time);
    time.monotonicMs = () => {
      if (proxy.customerCounter('acme', 'timeWaits') > 0) {
        time.monotonicMs = read;
        time.pass(LIMITS.timeWaitMsMax + 1);
      }
      return read();
    };
    while (proxy.customerCounter('acme', 'timeWaits') === 0) {
      client.send(PROBE);
      await client.response();
    }
  }),
  share_exceeded: async ({upstream}, context) => {
    upstream.respond = () => null;
    const customers = [acme([upstream.port]), customer('globex', {})];
    const proxy = await ProxyHarness.start(context, {customers, node: {caps: {...CAPS, requestsMax: 4}}});
    for (let i = 0; i < 4; i++) {
      await probe(proxy, context);
      if (i < 3) await upstream.nextRequest();
    }
    return proxy;
  },
  endpoint_forbidden: through(({upstream}) => ({customers: [{...acme([upstream.port]), networks: ['10.0.0.0/8']}]}), probe),
  connect_failed: async ({client, upstream}) => {
    await upstream.stop();
    client.send(PROBE);
  },
  // An address that this machine does not have: it cannot connect from there, whatever the server does.
  connect_unavailable: through(({upstream}) => ({customers: [{...acme([upstream.port]), sourceAddress: {ipv4: '192.0.2.1', ipv6: null}}]}), probe),
  connect_timeout: async (_, context) => {
    const proxy = await ProxyHarness.start(context, {customers: [acme([await startDeafListener(context)])]});
    await probe(proxy, context);
    await eventually('the server is dialled', () => proxy.counter('upstreamConnectionsOpened') === 1);
    proxy.pass(ROUTE_TIMEOUTS.connectMs + 500);
    return proxy;
  },
  upstream_closed: answers('HTTP/1.1 200', true),
  upstream_head_invalid: answers('nonsense\r\n'),
  upstream_head_too_large: answers(`HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(LIMITS.responseHeadBytesMax)}\r\n`),
  upstream_framing_invalid: answers('HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n'),
  upstream_chunk_invalid: answers('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n'),
  upstream_surplus: answers('HTTP/1.1 204 No Content\r\n\r\nx'),
  upstream_upgrade_unasked: answers('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
  upstream_truncated: answers('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx', true),
  response_head_timeout: async (stage) => {
    await isAsked(stage);
    stage.proxy.pass(ROUTE_TIMEOUTS.responseHeadMs + 500);
  },
  response_idle_timeout: async (stage) => {
    const {peer} = await isAsked(stage);
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx');
    await eventually('the beginning is here', () => stage.client.received.endsWith('x'));
    stage.proxy.pass(ROUTE_TIMEOUTS.responseIdleMs + 500);
  },
  drain_expired: async (stage) => {
    await isAsked(stage);
    stage.proxy.proxy.beginDrain();
    await stage.proxy.proxy.finish();
  },
  internal: through(({upstream}) => ({customers: [acme([upstream.port])], random: () => { throw new Error('a bug'); }}), async (proxy, context) => {
    await probe(proxy, context);
    await eventually('the bug is reported', () => proxy.reports.length === 1);
    assert.match(proxy.reports[0] ?? '', /a bug/);
  }),
};

test('every code is provoked: here, or by the tests of the part that it belongs to', () => {
  const others = readTypeScript('test').filter(({file}) => file !== 'test/proxy/faults.test.ts');
  const isNamedElsewhere = (code: FaultCode): boolean => others.some(({text}) => text.includes(`'${code}'`) || text.includes(`${code}:`));
  assert.deepEqual(FAULT_CODES.filter((code) => PROVOCATIONS[code] === undefined && !isNamedElsewhere(code)), []);
});

/** What happens on the way to the fault. */
const ON_THE_WAY: Readonly<Partial<Record<FaultCode, Partial<Record<FaultCode, number>>>>> = {rate_limited: {host_unknown: 1}};

for (const [code, provoke] of Object.entries(PROVOCATIONS) as [FaultCode, Provocation][]) {
  test(`${code} is counted once`, async (context) => {
    const upstream = await FakeUpstream.start(context);
    const strict = customer('strict', {sites: [
      site(['empty.test'], []), site(['strict.test'], [
        route('/', {methods: ['GET'], action: {type: 'redirect', status: 302, location: '/', keepTarget: false}}),
        route('/denied', {deny: ['127.0.0.0/8'], action: {type: 'redirect', status: 302, location: '/', keepTarget: false}}),
      ]),
    ]});
    const own = await ProxyHarness.start(context, {customers: [acme([upstream.port]), strict]});
    const stage = {proxy: own, client: await own.connect(context), upstream};
    const proxy = await provoke(stage, context) ?? own;
    await eventually(`${code} is counted`, () => proxy.fault(code) > 0);
    assert.deepEqual(proxy.faults(), {...ON_THE_WAY[code], [code]: 1});
    if (code !== 'internal') assert.deepEqual(proxy.reports, []);
  });
}
