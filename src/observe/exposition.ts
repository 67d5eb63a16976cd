/**
 * Every metric that Prometheus can read. Labels come from the configuration and from closed tables only: nothing that a client
 * sends can ever make a series.
 */
import {setImmediate} from 'node:timers/promises';
import {Registry, type Metric} from 'prom-client';
import type {CapsSnapshot, CertificateSnapshot} from '#src/config/snapshot.ts';
import {FAULT_CODES} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {histogramSamples, ReadCounter, ReadGauge, ReadHistogram, type Sample} from '#src/observe/read-metrics.ts';
import {
  CUSTOMER, CUSTOMER_ROW_LENGTH, DURATION_BOUNDS_S, DURATION_COLUMN, faultColumn, NODE, NODE_ROW_LENGTH, POOL_ROW_LENGTH, sumRows, type NodeColumn,
} from '#src/shared/counters.ts';
import {EndpointSlot, type HealthState} from '#src/shared/endpoint-slot.ts';
import {endpointKey, type CustomerAssignment, type LimitExcesses, type LoginEvents, type RuleMatches} from '#src/shared/messages.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import type {PlaceKind, PlaceMemory} from '#src/shared/place-kinds.ts';
import type {SlotRef} from '#src/shared/slots.ts';

export const RELOAD_OUTCOMES = ['success', 'partial', 'failure'] as const;
export type ReloadOutcome = (typeof RELOAD_OUTCOMES)[number];

export interface ReloadReport {
  readonly counts: Readonly<Record<ReloadOutcome, number>>;
  /** Unix time in milliseconds of the last configuration that came into force as a whole, the first one included; 0 where none did. */
  readonly lastSuccessMs: number;
  readonly lastDurationMs: number;
  readonly lastOutcome: ReloadOutcome;
  /** Customers whose file is broken. */
  readonly staleCustomers: readonly StaleReport[];
}

export interface StaleReport {
  readonly customer: string;
  /** With an older version. False: there is none. */
  readonly isServed: boolean;
}

export interface ThreadReport {
  readonly thread: number;
  readonly restarts: number;
  readonly loopDelayMaxMs: number;
  readonly loopDelayMeanMs: number;
}

export interface BanReport {
  /** Bans from the whole node, and of customers. */
  readonly node: number;
  readonly customer: number;
  /** Bans that ended early because the list was full. */
  readonly evicted: number;
  /** Bans survive a restart. */
  readonly isSaved: boolean;
}

export interface FleetReport {
  /** The store did what it was asked last. */
  readonly isUp: boolean;
  readonly exchanges: Readonly<Record<'done' | 'failed', number>>;
  /** Requests of limits of the fleet that the store was not told of. */
  readonly untold: number;
  /** Changes of bans: of others that are in force here, of this node that the store has, and what was not believed or is not possible here. */
  readonly bans: Readonly<Record<'adopted' | 'published' | 'refused', number>>;
}

/** Where the numbers are. Everything is asked anew at each scrape. */
export interface ExpositionSources {
  readonly version: string;
  readonly threads: number;
  readonly nodeCounters: SlotRef;
  readonly nodePlaces: Readonly<Record<PlaceKind, Pick<PlaceMemory, 'node'>>>;
  /** Those in force. */
  readonly caps: () => CapsSnapshot;
  /** Monotonic milliseconds, the clock of the passive marks. */
  readonly clock: () => number;
  readonly revision: () => string;
  readonly customers: () => Iterable<CustomerAssignment>;
  readonly reload: () => ReloadReport;
  readonly threadReports: () => readonly ThreadReport[];
  readonly bans: () => BanReport;
  /** Null where there is no fleet. */
  readonly fleet: () => FleetReport | null;
  /** Every limit of the configuration in force. */
  readonly limitExcesses: () => readonly LimitExcesses[];
  /** Every rule of the configuration in force. */
  readonly ruleMatches: () => readonly RuleMatches[];
  /** Every login guard of the configuration in force, with each stage and detection. */
  readonly loginTotals: () => readonly Omit<LoginEvents, 'client'>[];
  readonly isReady: () => boolean;
  /** The version of every customer in force is on disk. */
  readonly isConfigSaved: () => boolean;
}

const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

const NODE_COUNTERS: readonly (readonly [column: NodeColumn, name: string, help: string])[] = [
  ['connectionsOpened', 'torwart_connections_total', 'Client connections that were accepted.'],
  ['tlsHandshakes', 'torwart_tls_handshakes_total', 'TLS handshakes that were completed.'],
  ['tlsResumed', 'torwart_tls_resumptions_total', 'TLS handshakes that resumed a session.'],
  ['requests', 'torwart_received_requests_total', 'Request heads received, those of unknown hosts and refused ones included.'],
  ['fieldsDropped', 'torwart_dropped_fields_total', 'Request fields that were not passed on because of their name.'],
  ['logLinesDropped', 'torwart_access_log_dropped_lines_total', 'Access log lines that could not be written.'],
  ['upstreamConnectionsOpened', 'torwart_upstream_connections_total', 'Connections to application servers that were opened.'],
  ['upstreamConnectionsReused', 'torwart_upstream_connection_reuses_total', 'Requests that went over an application connection used before.'],
  ['retries', 'torwart_upstream_retries_total', 'Requests that were sent to another server after a failure.'],
];

const HEALTH_VALUES: Readonly<Record<HealthState, number>> = {down: 0, pending: 0.5, up: 1};

export function createExposition(sources: ExpositionSources): Registry {
  const registry = new Registry();
  const metrics = [
    ...createNodeMetrics(sources), ...createCustomerMetrics(sources), ...createEndpointMetrics(sources),
    ...createConfigurationMetrics(sources), ...createThreadMetrics(sources), ...createBanMetrics(sources), ...createFleetMetrics(sources), ...createProcessMetrics(),
  ];
  for (const metric of metrics) registry.registerMetric(metric);
  return registry;
}

/**
 * The text of all metrics, one after the other with a pause in between: with 10,000 customers all of them take a second, in which
 * the thread would read neither heartbeats nor answers to probes.
 */
export async function renderExposition(registry: Registry): Promise<string> {
  const parts: string[] = [];
  for (const {name} of registry.getMetricsAsArray()) {
    parts.push(await registry.getSingleMetricAsString(name));
    await setImmediate();
  }
  return `${parts.join('\n\n')}\n`;
}

function createNodeMetrics({caps, nodeCounters, nodePlaces, threads, limitExcesses, ruleMatches, loginTotals}: ExpositionSources): Metric[] {
  const readRow = (): Float64Array => sumRows(nodeCounters, NODE_ROW_LENGTH, threads);
  const readDifference = (opened: NodeColumn, closed: NodeColumn) => () => {
    const row = readRow();
    return single((row[NODE[opened]] ?? 0) - (row[NODE[closed]] ?? 0));
  };
  return [
    ...NODE_COUNTERS.map(([column, name, help]) => new ReadCounter(name, help, () => single(readRow()[NODE[column]] ?? 0))),
    new ReadGauge('torwart_connections_open', 'Client connections that are open.', readDifference('connectionsOpened', 'connectionsClosed')),
    new ReadGauge('torwart_upstream_connections_open', 'Connections to application servers that are open.',
      readDifference('upstreamConnectionsOpened', 'upstreamConnectionsClosed')),
    new ReadGauge('torwart_handshakes_in_flight', 'TLS handshakes that are in flight.', () => single(new PlaceCount(nodePlaces.handshakes.node, threads, 0).total)),
    new ReadGauge('torwart_buffered_bytes', 'Memory that is held for clients.', () => single(new PlaceCount(nodePlaces.buffers.node, threads, 0).total * LIMITS.heldBlockBytes)),
    new ReadGauge('torwart_caps', 'Caps of the node in force, by what they are on.', () => capSamples(caps())),
    new ReadCounter('torwart_faults_total', 'What went wrong with connections and requests, by fault code.', () => {
      const row = readRow();
      return FAULT_CODES.map(code => ({labels: {code}, value: row[faultColumn(code)] ?? 0}));
    }),
    new ReadCounter('torwart_limit_exceeded_total', 'Requests that were over a limit: refused (enforce) or only counted (observe); the customer is empty for limits of the node.',
      () => limitExcesses().map(({customer, limit, mode, count}) => ({labels: {customer, limit, mode}, value: count}))),
    new ReadCounter('torwart_rule_matches_total', 'Requests that a rule has matched; the customer is empty for rules of the node.',
      () => ruleMatches().map(({customer, rule, action, count}) => ({labels: {customer, rule, action}, value: count}))),
    new ReadCounter('torwart_login_guard_total', 'What login guards have counted: attempts that failed, were delayed or refused, and clients that were banned.',
      () => loginTotals().map(({count, ...labels}) => ({labels, value: count}))),
  ];
}

function capSamples({bufferedBytesMax, connectionsMax, handshakesMax, requestsMax}: CapsSnapshot): Sample[] {
  const values = {connections: connectionsMax, handshakes: handshakesMax, requests: requestsMax, buffered_bytes: bufferedBytesMax};
  return Object.entries(values).map(([what, value]) => ({labels: {what}, value}));
}

function createCustomerMetrics({customers, threads}: ExpositionSources): Metric[] {
  const readRows = (toSamples: (customer: string, row: Float64Array) => Sample[]) => () =>
    Array.from(customers()).flatMap(({snapshot, counters}) => toSamples(snapshot.name, sumRows(counters, CUSTOMER_ROW_LENGTH, threads)));
  const readPlaces = (kind: PlaceKind, unit = 1) => () =>
    Array.from(customers(), ({snapshot, places}) => ({labels: {customer: snapshot.name}, value: new PlaceCount(places[kind], threads, 0).total * unit}));
  const duration = 'torwart_request_duration_seconds';
  return [
    new ReadCounter('torwart_requests_total', 'Requests that ended, by the class of their status; the pool is empty where no pool answered.',
      () => Array.from(customers()).flatMap(assignment => requestSamples(assignment, threads))),
    new ReadGauge('torwart_requests_in_flight', 'Requests that a customer has in flight, WebSockets aside.',
      readPlaces('requests')),
    new ReadGauge('torwart_customer_connections_open', 'Client connections of a customer that are open; in cleartext each is that of its latest request.',
      readPlaces('connections')),
    new ReadGauge('torwart_customer_buffered_bytes', 'Memory that is held for clients of a customer.', readPlaces('buffers', LIMITS.heldBlockBytes)),
    new ReadGauge('torwart_customer_handshakes_in_flight', 'TLS handshakes in flight that ask for a name of a customer.', readPlaces('handshakes')),
    new ReadCounter('torwart_received_bytes_total', 'Bytes received from clients.',
      readRows((customer, row) => [{labels: {customer}, value: row[CUSTOMER.bytesReceived] ?? 0}])),
    new ReadCounter('torwart_sent_bytes_total', 'Bytes sent to clients.',
      readRows((customer, row) => [{labels: {customer}, value: row[CUSTOMER.bytesSent] ?? 0}])),
    new ReadCounter('torwart_time_share_waits_total', 'How often what came for a customer had to wait, because it had more than its share of a busy thread.',
      readRows((customer, row) => [{labels: {customer}, value: row[CUSTOMER.timeWaits] ?? 0}])),
    new ReadCounter('torwart_time_share_wait_seconds_total', 'How long that waited, all together.',
      readRows((customer, row) => [{labels: {customer}, value: (row[CUSTOMER.timeWaitedMs] ?? 0) / 1000}])),
    new ReadCounter('torwart_time_share_refusals_total', 'Requests of a customer that were refused because they had waited for that for too long.',
      readRows((customer, row) => [{labels: {customer}, value: row[CUSTOMER.timeRefusals] ?? 0}])),
    new ReadCounter('torwart_websockets_total', 'WebSockets that were opened.',
      readRows((customer, row) => [{labels: {customer}, value: row[CUSTOMER.tunnelsOpened] ?? 0}])),
    new ReadGauge('torwart_websockets_open', 'WebSockets that are open.',
      readRows((customer, row) => [{labels: {customer}, value: (row[CUSTOMER.tunnelsOpened] ?? 0) - (row[CUSTOMER.tunnelsClosed] ?? 0)}])),
    new ReadHistogram(duration, 'Time from the first byte of a request to the last byte of its answer; WebSockets are left out.',
      readRows((customer, row) =>
        histogramSamples(duration, {customer}, DURATION_BOUNDS_S, row.subarray(DURATION_COLUMN), (row[CUSTOMER.durationSumMs] ?? 0) / 1000))),
  ];
}

function requestSamples({snapshot, poolCounters}: CustomerAssignment, threads: number): Sample[] {
  return Object.entries(poolCounters).flatMap(([pool, slot]) => {
    const row = sumRows(slot, POOL_ROW_LENGTH, threads);
    return STATUS_CLASSES.map((statusClass, column) => ({labels: {customer: snapshot.name, pool, status_class: statusClass}, value: row[column] ?? 0}));
  });
}

function createEndpointMetrics({customers, threads, clock}: ExpositionSources): Metric[] {
  const readSlots = (toValue: (slot: EndpointSlot) => number, servers: 'all' | 'probed' = 'all') => () =>
    Array.from(customers()).flatMap(assignment => endpointSamples(assignment, threads, toValue, servers));
  return [
    new ReadGauge('torwart_endpoint_health', 'What the active health checks say: 1 up, 0 down, 0.5 not known yet.',
      readSlots(slot => HEALTH_VALUES[slot.health], 'probed')),
    new ReadGauge('torwart_endpoint_ejected', '1 while a server is left out because of failures of real traffic.',
      readSlots(slot => Number(slot.isEjected(clock())))),
    new ReadGauge('torwart_endpoint_requests_in_flight', 'Requests that a server is working on.', readSlots(slot => slot.requests)),
    new ReadGauge('torwart_endpoint_connections_open', 'Connections that are open to a server.', readSlots(slot => slot.connections)),
    new ReadCounter('torwart_endpoint_connections_total', 'Connections that were opened to a server.', readSlots(slot => slot.connectionsOpened)),
    new ReadCounter('torwart_endpoint_failures_total', 'Failures of real traffic to a server.', readSlots(slot => slot.failures)),
  ];
}

function endpointSamples(
  {snapshot, endpoints}: CustomerAssignment, threads: number, toValue: (slot: EndpointSlot) => number, which: 'all' | 'probed',
): Sample[] {
  const samples: Sample[] = [];
  for (const {name: pool, servers, health} of snapshot.pools) {
    if (which === 'probed' && health === null) continue;
    for (const {address, port} of servers) {
      const ref = endpoints[endpointKey(pool, address, port)];
      if (ref === undefined) continue;
      const endpoint = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
      samples.push({labels: {customer: snapshot.name, pool, endpoint}, value: toValue(new EndpointSlot(ref, threads, 0))});
    }
  }
  return samples;
}

function tlsSamples({snapshot}: CustomerAssignment): Sample[] {
  return snapshot.pools.flatMap(({name: pool, tls}) => (tls === null ? [] : [{labels: {customer: snapshot.name, pool}, value: Number(!tls.isVerified)}]));
}

function clientCertificateSamples({snapshot}: CustomerAssignment): Sample[] {
  return snapshot.pools.flatMap(({name: pool, tls}) =>
    (tls === null || tls.certificate === null ? [] : [{labels: {customer: snapshot.name, pool}, value: tls.certificate.notAfterMs / 1000}]));
}

function createConfigurationMetrics({version, revision, customers, reload, isReady, isConfigSaved: isSaved}: ExpositionSources): Metric[] {
  return [
    new ReadGauge('torwart_build_info', 'Version of Torwart and of the Node that runs it.', () => [{labels: {version, node: process.version}, value: 1}]),
    new ReadGauge('torwart_ready', '1 while every thread serves the configuration in force.', () => single(Number(isReady()))),
    new ReadGauge('torwart_config_info', 'Hash of the configuration in force.', () => [{labels: {revision: revision()}, value: 1}]),
    new ReadGauge('torwart_config_customers', 'Customers in the configuration in force.', () => single(Array.from(customers()).length)),
    new ReadGauge('torwart_config_stale_customers', 'Customers whose file is broken: they run an older version, or none.',
      () => single(reload().staleCustomers.length)),
    new ReadGauge('torwart_config_customer_stale', '1 for each customer whose file is broken: it runs an older version, or none.',
      () => reload().staleCustomers.map(({customer}) => ({labels: {customer}, value: 1}))),
    new ReadGauge('torwart_config_customer_unserved', '1 for each customer whose file is broken and that has no older version to run.',
      () => reload().staleCustomers.filter(({isServed}) => !isServed).map(({customer}) => ({labels: {customer}, value: 1}))),
    new ReadGauge('torwart_config_saved', '1 where a start can fall back to what is in force now, 0 without a state folder or where it cannot be written.',
      () => single(Number(isSaved()))),
    new ReadCounter('torwart_reloads_total', 'Reloads by outcome; partial: some customers kept their older configuration.',
      () => RELOAD_OUTCOMES.map(outcome => ({labels: {outcome}, value: reload().counts[outcome]}))),
    new ReadGauge('torwart_reload_last_success_timestamp_seconds', 'When a configuration last came into force as a whole.', () => single(reload().lastSuccessMs / 1000)),
    new ReadGauge('torwart_reload_last_duration_seconds', 'How long the last reload took.', () => single(reload().lastDurationMs / 1000)),
    new ReadGauge('torwart_reload_last_successful', '1 where the last reload put everything in force.', () => single(Number(reload().lastOutcome === 'success'))),
    new ReadGauge('torwart_certificate_not_after_timestamp_seconds', 'When a certificate expires, by its first name; the earliest of those with the same name.',
      () => Array.from(customers()).flatMap(({snapshot}) => certificateSamples(snapshot.name, snapshot.certificates))),
    new ReadGauge('torwart_upstream_certificate_not_after_timestamp_seconds', 'When the certificate expires that is shown to the servers of a pool.',
      () => Array.from(customers()).flatMap(clientCertificateSamples)),
    new ReadGauge('torwart_upstream_tls_insecure', '1 for each pool with TLS whose servers are not verified, 0 for each whose are.',
      () => Array.from(customers()).flatMap(tlsSamples)),
  ];
}

function certificateSamples(customer: string, certificates: readonly CertificateSnapshot[]): Sample[] {
  const earliest = new Map<string, number>();
  for (const {names, notAfterMs} of certificates) {
    const name = names[0] ?? '';
    earliest.set(name, Math.min(notAfterMs, earliest.get(name) ?? Infinity));
  }
  return Array.from(earliest, ([name, notAfterMs]) => ({labels: {customer, name}, value: notAfterMs / 1000}));
}

function createBanMetrics({bans}: ExpositionSources): Metric[] {
  return [
    new ReadGauge('torwart_bans', 'Client networks that are banned, from the whole node or by a customer.', () => {
      const {node, customer} = bans();
      return [{labels: {scope: 'node'}, value: node}, {labels: {scope: 'customer'}, value: customer}];
    }),
    new ReadCounter('torwart_bans_evicted_total', 'Bans that ended early because the list was full.', () => single(bans().evicted)),
    new ReadGauge('torwart_bans_saved', '1 where bans survive a restart, 0 without a state folder or where it cannot be written.', () => single(Number(bans().isSaved))),
  ];
}

function createFleetMetrics({fleet}: ExpositionSources): Metric[] {
  const read = (toSamples: (report: FleetReport) => Sample[]) => (): Sample[] => {
    const report = fleet();
    return report === null ? [] : toSamples(report);
  };
  return [
    new ReadGauge('torwart_fleet_store_up', '1 while the store of the fleet does what it is asked, 0 while this node counts by itself.', read(({isUp}) => single(Number(isUp)))),
    new ReadCounter('torwart_fleet_exchanges_total', 'What the store of the fleet was asked, by outcome.',
      read(({exchanges}) => Object.entries(exchanges).map(([outcome, value]) => ({labels: {outcome}, value})))),
    new ReadCounter('torwart_fleet_bans_total', 'Changes of bans: taken over from other nodes, told to them, and refused because no node has made them or they cannot be here.',
      read(({bans}) => Object.entries(bans).map(([outcome, value]) => ({labels: {outcome}, value})))),
    new ReadCounter('torwart_fleet_untold_total', 'Requests that counted for a limit of the fleet on this node only, because there were too many keys at once.', read(({untold}) => single(untold))),
  ];
}

function createThreadMetrics({threadReports}: ExpositionSources): Metric[] {
  return [
    new ReadCounter('torwart_thread_restarts_total', 'Proxy threads that died or hung and were replaced.',
      () => threadReports().map(({thread, restarts}) => ({labels: {thread}, value: restarts}))),
    new ReadGauge('torwart_event_loop_delay_seconds', 'Event-loop delay of a proxy thread in its last second.',
      () => threadReports().flatMap(({thread, loopDelayMaxMs, loopDelayMeanMs}) => [
        {labels: {thread, statistic: 'max'}, value: loopDelayMaxMs / 1000},
        {labels: {thread, statistic: 'mean'}, value: loopDelayMeanMs / 1000},
      ])),
  ];
}

/** prom-client's own process metrics fail promtool's lint (gauges that are called `_total`), so these few are made here. */
function createProcessMetrics(): Metric[] {
  const startedS = Math.round(Date.now() / 1000 - process.uptime());
  return [
    new ReadCounter('process_cpu_seconds_total', 'User and system CPU time of all threads.', () => {
      const {user, system} = process.cpuUsage();
      return single((user + system) / 1e6);
    }),
    new ReadGauge('process_resident_memory_bytes', 'Resident memory.', () => single(process.memoryUsage.rss())),
    new ReadGauge('process_start_time_seconds', 'Unix time of the start.', () => single(startedS)),
  ];
}

function single(value: number): Sample[] {
  return [{labels: {}, value}];
}
