import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {test} from 'node:test';
import type {PoolTlsSnapshot} from '#src/config/snapshot.ts';
import {FAULT_CODES} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {createExposition, renderExposition, type ExpositionSources} from '#src/observe/exposition.ts';
import {
  CUSTOMER, CUSTOMER_ROW_LENGTH, durationColumn, faultColumn, NODE, NODE_ROW_LENGTH, openRow, POOL_ROW_LENGTH, rowsByteLength,
} from '#src/shared/counters.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import {PLACE_KINDS} from '#src/shared/place-kinds.ts';
import type {SlotRef} from '#src/shared/slots.ts';
import {HEALTH, makeCustomer, makePool, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

const THREADS = 2;

function createSources(customers = [makeCustomer('acme')]): ExpositionSources & {readonly node: SlotRef} {
  const configuration = new SlotBook(THREADS).assign(makeSnapshot('abc123', customers));
  const node = {buffer: new SharedArrayBuffer(rowsByteLength(NODE_ROW_LENGTH, THREADS)), byteOffset: 0};
  return {
    node, nodeCounters: node, nodePlaces: createSharedMemory(THREADS, 1).places, caps: () => configuration.snapshot.node.caps, version: '1.2.3', threads: THREADS, clock: () => 1000, revision: () => 'abc123', isReady: () => true, isConfigSaved: () => true,
    customers: () => configuration.assignments.values(),
    reload: () => ({counts: {success: 3, partial: 1, failure: 2}, lastSuccessMs: 1_700_000_000_000, lastDurationMs: 250, lastOutcome: 'partial', staleCustomers: [{customer: 'globex', isServed: true}, {customer: 'initech', isServed: false}]}),
    loginTotals: () => [{customer: 'acme', guard: 'shop', stage: 'limited', detection: 'stuffing', count: 4}],
    fleet: () => ({isUp: true, exchanges: {done: 5, failed: 1}, untold: 2, bans: {adopted: 3, published: 4, refused: 5}}), limitExcesses: () => [{customer: 'acme', limit: 'per-client', mode: 'enforce', count: 3}], ruleMatches: () => [{customer: '', rule: 'log4shell', action: 'deny', count: 3}],
    bans: () => ({node: 2, customer: 5, evicted: 1, isSaved: true}),
    threadReports: () => [{thread: 0, restarts: 0, loopDelayMaxMs: 12, loopDelayMeanMs: 3}, {thread: 1, restarts: 4, loopDelayMaxMs: 1, loopDelayMeanMs: 1}],
  };
}

/** The series of an exposition: `name{labels}` to value. */
async function scrape(sources: ExpositionSources): Promise<Map<string, number>> {
  const text = await renderExposition(createExposition(sources));
  return new Map(text.split('\n').filter(line => line !== '' && !line.startsWith('#')).map(line => {
    const space = line.lastIndexOf(' ');
    return [line.slice(0, space), Number(line.slice(space + 1))];
  }));
}

function add(slot: SlotRef | undefined, rowLength: number, thread: number, column: number, amount: number): void {
  assert.ok(slot !== undefined);
  const row = openRow(slot, rowLength, thread);
  row[column] = (row[column] ?? 0) + amount;
}

test('the rows of all threads are added up', async () => {
  const sources = createSources();
  const [acme] = sources.customers();
  for (const [thread, amount] of [[0, 5], [1, 2]] as const) {
    add(sources.node, NODE_ROW_LENGTH, thread, NODE.connectionsOpened, amount);
    add(sources.node, NODE_ROW_LENGTH, thread, NODE.connectionsClosed, 1);
    add(sources.node, NODE_ROW_LENGTH, thread, faultColumn('host_unknown'), amount);
    add(acme?.counters, CUSTOMER_ROW_LENGTH, thread, CUSTOMER.bytesSent, amount);
    add(acme?.poolCounters['web'], POOL_ROW_LENGTH, thread, 2, amount);
    for (const kind of PLACE_KINDS) new PlaceCount(acme?.places[kind] ?? assert.fail(), THREADS, thread).begin(amount);
    new PlaceCount(sources.nodePlaces.handshakes.node, THREADS, thread).begin();
    add(acme?.poolCounters[''], POOL_ROW_LENGTH, thread, 4, 1);
  }
  const series = await scrape(sources);
  assert.equal(series.get('torwart_connections_total'), 7);
  for (const name of ['customer_connections_open', 'customer_handshakes_in_flight', 'requests_in_flight']) assert.equal(series.get(`torwart_${name}{customer="acme"}`), 7);
  assert.equal(series.get('torwart_handshakes_in_flight'), 2);
  assert.deepEqual(['connections', 'buffered_bytes'].map((what) => series.get(`torwart_caps{what="${what}"}`)), [100, 2 ** 30]);
  assert.equal(series.get('torwart_customer_buffered_bytes{customer="acme"}'), 7 * LIMITS.heldBlockBytes);
  assert.equal(series.get('torwart_connections_open'), 5);
  assert.equal(series.get('torwart_login_guard_total{customer="acme",guard="shop",stage="limited",detection="stuffing"}'), 4);
  assert.deepEqual([series.get('torwart_fleet_store_up'), series.get('torwart_fleet_exchanges_total{outcome="failed"}'), series.get('torwart_fleet_untold_total')], [1, 1, 2]);
  assert.equal(series.get('torwart_limit_exceeded_total{customer="acme",limit="per-client",mode="enforce"}'), 3);
  assert.equal(series.get('torwart_rule_matches_total{customer="",rule="log4shell",action="deny"}'), 3);
  assert.equal(series.get('torwart_faults_total{code="host_unknown"}'), 7);
  assert.equal(series.get('torwart_sent_bytes_total{customer="acme"}'), 7);
  assert.equal(series.get('torwart_requests_total{customer="acme",pool="web",status_class="2xx"}'), 7);
  assert.equal(series.get('torwart_requests_total{customer="acme",pool="",status_class="4xx"}'), 2);
  assert.equal(series.get('torwart_requests_total{customer="acme",pool="web",status_class="none"}'), 0);
});

test('a duration histogram is cumulative, with its sum in seconds', async () => {
  const sources = createSources();
  const [acme] = sources.customers();
  for (const [thread, ms] of [[0, 0.5], [1, 3], [0, 3], [1, 90_000]] as const) {
    add(acme?.counters, CUSTOMER_ROW_LENGTH, thread, durationColumn(ms), 1);
    add(acme?.counters, CUSTOMER_ROW_LENGTH, thread, CUSTOMER.durationSumMs, ms);
  }
  const series = await scrape(sources);
  const bucket = (le: string): number | undefined => series.get(`torwart_request_duration_seconds_bucket{customer="acme",le="${le}"}`);
  assert.deepEqual(['0.001', '0.0025', '0.005', '60', '+Inf'].map(bucket), [1, 1, 3, 3, 4]);
  assert.equal(series.get('torwart_request_duration_seconds_count{customer="acme"}'), 4);
  assert.equal(series.get('torwart_request_duration_seconds_sum{customer="acme"}'), 90.0065);
});

test('endpoints: health of probed pools only, load of all', async () => {
  const probed = makePool({name: 'probed', health: HEALTH, servers: [{address: 'fd00::1', port: 80, weight: 1, backup: false, drain: false}]});
  const sources = createSources([makeCustomer('acme', {pools: [makePool(), probed]})]);
  const [acme] = sources.customers();
  const [ref] = Object.entries(acme?.endpoints ?? {}).filter(([key]) => key.startsWith('probed')).map(([, slot]) => slot);
  assert.ok(ref !== undefined);
  const slot = new EndpointSlot(ref, THREADS, 1);
  slot.health = 'up';
  slot.tryBeginRequest(Infinity);
  slot.openConnection();
  slot.recordFailure(900, 1, 500);
  const series = await scrape(sources);
  const labels = '{customer="acme",pool="probed",endpoint="[fd00::1]:80"}';
  const values = ['health', 'ejected', 'requests_in_flight', 'connections_open', 'connections_total', 'failures_total']
    .map(name => series.get(`torwart_endpoint_${name}${labels}`));
  assert.deepEqual(values, [1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...series.keys()].filter(key => key.startsWith('torwart_endpoint_health')), [`torwart_endpoint_health${labels}`]);
});

test('the configuration, its reloads and the threads', async () => {
  const certificates = [
    {certPem: '', keyPem: '', names: ['www.acme.example', 'acme.example'], notAfterMs: 2_000_000},
    {certPem: '', keyPem: '', names: ['www.acme.example'], notAfterMs: 1_000_000},
  ];
  const series = await scrape(createSources([makeCustomer('acme', {certificates})]));
  const expected: readonly (readonly [string, number | undefined])[] = [
    ['torwart_build_info{version="1.2.3",node="' + process.version + '"}', 1],
    ['torwart_config_info{revision="abc123"}', 1],
    ['torwart_config_stale_customers', 2],
    ['torwart_config_customer_stale{customer="globex"}', 1],
    ['torwart_config_customer_stale{customer="initech"}', 1],
    ['torwart_config_customer_unserved{customer="globex"}', undefined],
    ['torwart_config_customer_unserved{customer="initech"}', 1],
    ['torwart_config_saved', 1],
    ['torwart_reloads_total{outcome="success"}', 3],
    ['torwart_reloads_total{outcome="failure"}', 2],
    ['torwart_reload_last_success_timestamp_seconds', 1_700_000_000],
    ['torwart_reload_last_successful', 0],
    ['torwart_certificate_not_after_timestamp_seconds{customer="acme",name="www.acme.example"}', 1000],
    ['torwart_thread_restarts_total{thread="1"}', 4],
    ['torwart_event_loop_delay_seconds{thread="0",statistic="max"}', 0.012],
    ['torwart_ready', 1],
  ];
  for (const [key, value] of expected) assert.equal(series.get(key), value, key);
});

test('pools with TLS: whether their servers are verified, and when the certificate ends that is shown to them', async () => {
  const tls: PoolTlsSnapshot = {caPem: null, serverName: '', certificate: null, isVerified: true, versionMin: 'TLSv1.2'};
  const certificate = {certPem: '', keyPem: '', names: [], notAfterMs: 3_000_000};
  const pools = [makePool({name: 'clear'}), makePool({name: 'right', tls: {...tls, certificate}}), makePool({name: 'wrong', tls: {...tls, isVerified: false}})];
  const series = await scrape(createSources([makeCustomer('acme', {pools})]));
  const found = [...series].filter(([key]) => /^torwart_upstream_(?:tls|certificate)/.test(key));
  assert.deepEqual(found, [
    ['torwart_upstream_certificate_not_after_timestamp_seconds{customer="acme",pool="right"}', 3000],
    ['torwart_upstream_tls_insecure{customer="acme",pool="right"}', 0],
    ['torwart_upstream_tls_insecure{customer="acme",pool="wrong"}', 1],
  ]);
});

test('the number of series follows the configuration and the fault table alone', async () => {
  const few = await scrape(createSources([makeCustomer('a')]));
  const more = await scrape(createSources([makeCustomer('a'), makeCustomer('b'), makeCustomer('c')]));
  const keysOf = (series: Map<string, number>, text: string): number => [...series.keys()].filter(key => key.includes(text)).length;
  assert.equal(keysOf(few, 'torwart_faults_total'), FAULT_CODES.length);
  assert.equal(more.size - few.size, 2 * keysOf(few, 'customer="a"'));
});

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined;

test('promtool finds nothing to mend', {skip: hasPromtool ? false : 'promtool is not installed (Debian package prometheus)'}, async () => {
  const text = await renderExposition(createExposition(createSources([makeCustomer('a'), makeCustomer('b')])));
  const {status, stdout, stderr} = spawnSync('promtool', ['check', 'metrics'], {input: text, encoding: 'utf8'});
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
});
