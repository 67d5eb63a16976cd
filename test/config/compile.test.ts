/** What a valid configuration becomes. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {loadConfig} from '#src/config/load.ts';
import {formatProblem} from '#src/config/problem.ts';
import type {CustomerSnapshot, NodeSnapshot, PoolSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {customerFile, customerText, loadTexts, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {createMemorySource} from '#test/config/memory-source.ts';

async function compileNode(text: string): Promise<NodeSnapshot> {
  const result = await loadTexts({acme: customerText('acme', 1)}, text);
  assert.deepEqual(result.problems.map(formatProblem), []);
  assert.ok(result.snapshot);
  return result.snapshot.node;
}

async function compileCustomer(text: string): Promise<CustomerSnapshot> {
  const result = await loadTexts({acme: text});
  assert.deepEqual(result.problems.map(formatProblem), []);
  const customer = result.snapshot?.customers[0];
  assert.ok(customer);
  return customer;
}

async function compileRoutes(site: string): Promise<readonly RouteSnapshot[]> {
  const customer = await compileCustomer(`customer: acme\nnetworks: [10.1.1.0/24]\npools: {web: {servers: [{address: "10.1.1.11:3000"}]}}\nsites:\n  - hosts: [a.example]\n${site}`);
  return customer.sites[0]?.routes ?? [];
}

async function compilePool(pool: string): Promise<PoolSnapshot | undefined> {
  const customer = await compileCustomer(`customer: acme\nnetworks: [10.1.1.0/24, "fd00:1::/64"]\npools:\n  web: ${pool}\nsites: [{hosts: ["*.b.example", b.example], routes: [{path: /, pool: web}]}]\n`);
  return customer.pools[0];
}

test('a node needs listeners only', async () => {
  assert.deepEqual(await compileNode(NODE_TEXT), {
    listeners: [{name: 'http', address: '0.0.0.0', port: 8080, protocol: 'http', redirectToHttpsPort: 0, http2: false}],
    admin: {address: '127.0.0.1', port: 9180},
    threads: 2,
    trustedProxies: [],
    bans: {allow: []},
    stateFolder: null,
    adminSocket: null,
    timeouts: {
      requestHeadMs: 10_000, requestBodyIdleMs: 30_000, requestBodyRateMin: 512, keepAliveMs: 75_000, connectMs: 3_000, responseHeadMs: 60_000, responseIdleMs: 60_000, responseRateMin: 512,
      eventStreamIdleMs: 3_600_000, tlsHandshakeMs: 10_000, upstreamKeepAliveMs: 60_000, drainMs: 30_000,
    },
    fleet: null,
    limits: [],
    rules: [],
    caps: {connectionsMax: 20_000, connectionsPerClientMax: 512, handshakesMax: 10_000, handshakesPerClientMax: 128, requestsMax: 10_000, requestsPerClientMax: 1024, bufferedBytesMax: 536_870_912, bufferedBytesPerClientMax: 67_108_864},
    log: {access: 'stdout', level: 'info'},
  });
});

test('addresses are canonical, paths absolute, a burst is the number in the rate', async () => {
  const node = await compileNode(`listeners:
  - {name: six, address: "[2001:DB8:0:0::1]:8080", protocol: http}
admin: {address: "[::1]:0"}
threads: 5
trusted_proxies: [192.0.2.1, "2001:DB8::/32"]
limits: [{name: all, key: customer, rate: 30/m}]
log: {access: logs/access.log, level: warn}
`);
  assert.deepEqual(node.listeners, [{name: 'six', address: '2001:db8::1', port: 8080, protocol: 'http', redirectToHttpsPort: 0, http2: false}]);
  assert.deepEqual(node.admin, {address: '::1', port: 0});
  assert.equal(node.threads, 5);
  assert.deepEqual(node.trustedProxies, ['192.0.2.1/32', '2001:db8::/32']);
  assert.deepEqual(node.limits, [{name: 'all', key: 'customer', keyName: '', intervalMs: 2_000, burst: 30, isEnforced: true, isFleetWide: false, isAnnounced: false}]);
  assert.deepEqual(node.log, {access: '/etc/logs/access.log', level: 'warn'});
});

test('a redirect goes to the https listener of the same address, to the first one, or to the port that is written', async () => {
  const node = await compileNode(`listeners:
  - {name: a, address: "127.0.0.1:80", protocol: http, redirect_to_https: true}
  - {name: b, address: "127.0.0.2:80", protocol: http, redirect_to_https: true}
  - {name: c, address: "127.0.0.3:80", protocol: http, redirect_to_https: 443}
  - {name: d, address: "127.0.0.4:8443", protocol: https}
  - {name: e, address: "127.0.0.2:9443", protocol: https}
`);
  assert.deepEqual(node.listeners.map((listener) => listener.redirectToHttpsPort), [8443, 9443, 443, 0, 0]);
});

test('auto is one thread a core, at most as many as there can be', async () => {
  for (const [cores, threads] of [[1, 1], [16, 16], [1000, 64]] as const) {
    const files = new Map([[NODE_FILE, NODE_TEXT], [customerFile('acme'), customerText('acme', 1)]]);
    const {snapshot} = await loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores, memoryBytes: 2 ** 30}, nowMs: 0});
    assert.equal(snapshot?.node.threads, threads);
  }
});

test('memory for clients is half of what there is, or what is written; one client has an eighth of it, or what is written', async () => {
  for (const [caps, total, perClient] of [
    ['{}', 2 ** 33, 2 ** 30], ['{buffered_bytes: auto}', 2 ** 33, 2 ** 30], ['{buffered_bytes: 1MiB}', 2 ** 20, 2 ** 17], ['{buffered_bytes_per_client: 2MiB}', 2 ** 33, 2 ** 21],
  ] as const) {
    const files = new Map([[NODE_FILE, `${NODE_TEXT}caps: ${caps}\n`], [customerFile('acme'), customerText('acme', 1)]]);
    const {snapshot} = await loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 1, memoryBytes: 2 ** 34}, nowMs: 0});
    assert.deepEqual([snapshot?.node.caps.bufferedBytesMax, snapshot?.node.caps.bufferedBytesPerClientMax], [total, perClient]);
  }
});

test('a pool needs servers only', async () => {
  assert.deepEqual(await compilePool('{servers: [{address: "[FD00:1::0:5]:80"}]}'), {
    name: 'web', protocol: 'http1', tls: null,
    servers: [{address: 'fd00:1::5', port: 80, weight: 1, backup: false, drain: false}],
    balance: 'least_requests',
    hashKey: {source: 'client', name: ''},
    health: null,
    passive: {failures: 3, forMs: 10_000},
    connectionsMax: 256,
  });
});

test('a probe asks the first host of the pool that is no wildcard', async () => {
  const pool = await compilePool('{servers: [{address: "10.1.1.11:80"}], health: {interval: 1s}}');
  assert.deepEqual(pool?.health, {type: 'http', path: '/', host: 'b.example', expect: [[200, 399]], intervalMs: 1_000, timeoutMs: 1_000, rise: 2, fall: 3});
});

test('expected statuses are ranges', async () => {
  for (const [written, expect] of [['204', [[204, 204]]], ['"200-299"', [[200, 299]]], ['[200, "301-302"]', [[200, 200], [301, 302]]]] as const) {
    const pool = await compilePool(`{servers: [{address: "10.1.1.11:80"}], health: {expect: ${written}}}`);
    assert.deepEqual(pool?.health?.expect, expect);
  }
});

test('a TCP probe has no path, host and statuses; a header that is hashed is in lower case', async () => {
  const pool = await compilePool('{servers: [{address: "10.1.1.11:80"}], health: {type: tcp}, balance: consistent_hash, hash: {key: header, name: X-User}}');
  assert.deepEqual(pool?.health, {type: 'tcp', path: '', host: '', expect: [], intervalMs: 5_000, timeoutMs: 2_000, rise: 2, fall: 3});
  assert.deepEqual(pool?.hashKey, {source: 'header', name: 'x-user'});
});

test('a route inherits from its site, and its site from the node', async () => {
  const [inner, outer] = await compileRoutes(`    timeouts: {connect: 1s, response_head: 2s, event_stream_idle: 2h}
    max_body: 1MiB
    routes:
      - {path: /a, pool: web, timeouts: {response_head: 5s}, max_body: 0, request_buffer: 1KiB}
      - {path: /, pool: web}
`);
  assert.deepEqual(inner?.timeouts, {connectMs: 1_000, requestBodyIdleMs: 30_000, requestBodyRateMin: 512, responseHeadMs: 5_000, responseIdleMs: 60_000, responseRateMin: 512, eventStreamIdleMs: 7_200_000});
  assert.deepEqual([inner?.maxBodyBytes, inner?.requestBufferBytes], [0, 1024]);
  assert.deepEqual(outer?.timeouts, {connectMs: 1_000, requestBodyIdleMs: 30_000, requestBodyRateMin: 512, responseHeadMs: 2_000, responseIdleMs: 60_000, responseRateMin: 512, eventStreamIdleMs: 7_200_000});
  assert.deepEqual([outer?.maxBodyBytes, outer?.requestBufferBytes], [1_048_576, 65_536]);
});

test("a route's header changes win over its site's", async () => {
  const [route] = await compileRoutes(`    headers: {response: {set: {x-a: site, x-b: site, x-c: site}, remove: [x-d, x-e]}}
    routes:
      - {path: /, pool: web, headers: {response: {set: {x-b: route, x-d: route}, remove: [x-c, strict-transport-security]}}}
`);
  assert.deepEqual(route?.responseFields, {
    set: [['x-a', 'site'], ['x-b', 'route'], ['x-d', 'route']],
    remove: ['x-e', 'x-c', 'strict-transport-security'],
  });
  assert.deepEqual(route.requestFields, {set: [], remove: []});
});

test('routes answer with a pool, a redirect or a response', async () => {
  const routes = await compileRoutes(`    routes:
      - {path: /a, pool: web, strip_prefix: true}
      - {path: /b, pool: web, replace_prefix: /c, encoded_slash: allow, match: prefix, methods: [GET, PUT]}
      - {path: /d, redirect: {to: "https://d.example/x/", keep_path: true}}
      - {path: /e, redirect: {to: /f, status: 302}, match: exact}
      - {path: /g, respond: {status: 503, body: later}, allow: [192.0.2.1], deny: ["2001:db8::/32"]}
`);
  assert.deepEqual(routes.map(({action}) => action), [
    {type: 'pool', pool: 'web'},
    {type: 'pool', pool: 'web'},
    {type: 'redirect', status: 308, location: 'https://d.example/x', keepTarget: true},
    {type: 'redirect', status: 302, location: '/f', keepTarget: false},
    {type: 'respond', status: 503, contentType: 'text/plain; charset=utf-8', body: 'later'},
  ]);
  assert.deepEqual(routes.map(({replacePrefix}) => replacePrefix), ['/', '/c', null, null, null]);
  assert.deepEqual(routes.map(({match}) => match), ['prefix', 'prefix', 'prefix', 'exact', 'prefix']);
  assert.deepEqual(routes.map(({encodedSlashAllowed}) => encodedSlashAllowed), [false, true, false, false, false]);
  assert.deepEqual([routes[1]?.methods, routes[4]?.allow, routes[4]?.deny], [['GET', 'PUT'], ['192.0.2.1/32'], ['2001:db8::/32']]);
});

test('anchors and references are plain YAML', async () => {
  const [first, second] = await compileRoutes('    routes:\n      - {path: /a, pool: web, allow: &office [192.0.2.0/24]}\n      - {path: /b, pool: web, allow: *office}\n');
  assert.deepEqual(first?.allow, second?.allow);
});

test('a certificate is read with its names, and warned about when it ends', async () => {
  const nowMs = Date.UTC(2030, 0, 1);
  const day = 86_400_000;
  for (const [daysLeft, pattern] of [[15, null], [13, /expires soon/], [-1, /has expired/]] as const) {
    const {cert, key} = await makeCertificate(['www.acme.example', '*.acme.example'], new Date(nowMs + daysLeft * day));
    const text = `${customerText('acme', 1)}certificates: [{cert: a.pem, key: sub/a.key}]\n`;
    const files = new Map([[NODE_FILE, NODE_TEXT], [customerFile('acme'), text], ['/etc/customers/a.pem', cert], ['/etc/customers/sub/a.key', key]]);
    const {snapshot, warnings} = await loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs});
    assert.deepEqual(snapshot?.customers[0]?.certificates, [{certPem: cert, keyPem: key, names: ['www.acme.example', '*.acme.example'], notAfterMs: nowMs + daysLeft * day}]);
    if (pattern === null) assert.deepEqual(warnings, []);
    else assert.match(warnings.map(formatProblem).join('\n'), pattern);
  }
});

test('the revision is of the content: the order of keys and files does not matter, everything else does', async () => {
  const [first, same, other] = await Promise.all([
    loadTexts({a: customerText('acme', 1), b: customerText('globex', 2)}),
    loadTexts({b: customerText('acme', 1).split('\n').reverse().join('\n'), a: customerText('globex', 2)}),
    loadTexts({a: customerText('acme', 1), b: customerText('globex', 2, {server: '10.1.2.12:3000'})}),
  ]);
  assert.ok(first.snapshot);
  assert.equal(first.snapshot.revision, same.snapshot?.revision);
  assert.notEqual(first.snapshot.revision, other.snapshot?.revision);
  assert.deepEqual(first.snapshot.customers.map(({name}) => name), ['acme', 'globex']);
});

test('true stands for a WebSocket with the defaults', async () => {
  const [bare, full, off, none] = await compileRoutes(`    routes:
      - {path: /a, pool: web, websocket: true}
      - {path: /b, pool: web, websocket: {origins: [any], missing_origin: refuse, idle: 1h}}
      - {path: /c, pool: web, websocket: false}
      - {path: /, pool: web}
`);
  assert.deepEqual(bare?.websocket, {origins: ['same-origin'], isMissingOriginAllowed: true, idleMs: 300_000});
  assert.deepEqual(full?.websocket, {origins: ['any'], isMissingOriginAllowed: false, idleMs: 3_600_000});
  assert.deepEqual([off?.websocket, none?.websocket], [null, null]);
});
