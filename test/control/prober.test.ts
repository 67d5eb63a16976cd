import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import type {HealthSnapshot, PoolSnapshot} from '#src/config/snapshot.ts';
import {parseCidrs} from '#src/core/ip.ts';
import {probe, type ProbeTarget, type ProbeVerdict} from '#src/control/probe.ts';
import {Prober} from '#src/control/prober.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {endpointKey} from '#src/shared/messages.ts';
import {eventually} from '#test/support/eventually.ts';
import {createLogLines} from '#test/control/fixtures/log-lines.ts';
import {HEALTH, makeCustomer, makeNode, makePool, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

interface RawServer {
  readonly port: number;
  /** What each connection sent. */
  readonly received: string[];
}

/** A raw server that answers each request head with these bytes; null: never. */
async function listenRaw(context: TestContext, answer: (head: string) => string | null, host = '127.0.0.1'): Promise<RawServer> {
  const received: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer(socket => {
    sockets.add(socket);
    socket.setEncoding('latin1').on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', (head: string) => {
      received.push(head);
      const bytes = answer(head);
      if (bytes !== null) socket.end(bytes, 'latin1');
    });
  });
  server.listen(0, host);
  await once(server, 'listening');
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {port: (server.address() as net.AddressInfo).port, received};
}

const SCOPE = {networks: parseCidrs(['127.0.0.0/8', '::1']), ownListeners: []};

function probeOnce(port: number, health: Partial<HealthSnapshot> = {}, target: Partial<ProbeTarget> = {}): Promise<ProbeVerdict> {
  return probe({address: '127.0.0.1', port, sourceAddress: null, protocol: 'http1', tls: null, scope: SCOPE, health: {...HEALTH, ...health}, ...target}, new AbortController().signal);
}

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

test('a probe is one HTTP/1.1 request with the configured host and path, on a connection of its own', async context => {
  const server = await listenRaw(context, () => ok);
  assert.equal(await probeOnce(server.port), null);
  assert.equal(server.received.length, 1);
  assert.match(server.received[0] ?? '', /^GET \/healthz HTTP\/1\.1\r\n/);
  assert.match(server.received[0] ?? '', /\r\nhost: probe\.test\r\n/i);
  assert.match(server.received[0] ?? '', /\r\nconnection: close\r\n/i);
});

test('a probe over IPv6', async context => {
  const server = await listenRaw(context, () => ok, '::1');
  assert.equal(await probeOnce(server.port, {}, {address: '::1'}), null);
});

const VERDICTS: readonly (readonly [name: string, answer: string, expected: ProbeVerdict])[] = [
  ['an unexpected status', 'HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n', 'status 503'],
  ['a redirect where only 200 counts is not followed', 'HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n', 'status 302'],
  ['a body without end is cut, and its status counts', `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(1024 * 1024)}`, null],
  ['204 is in no range', 'HTTP/1.1 204 No Content\r\n\r\n', 'status 204'],
];

for (const [name, answer, expected] of VERDICTS) {
  test(name, async context => {
    const server = await listenRaw(context, () => answer);
    assert.equal(await probeOnce(server.port, {expect: [[200, 200]]}), expected);
    assert.equal(server.received.length, 1);
  });
}

for (const [name, answer] of [
  ['something that is not HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ['a connection that is closed without an answer', ''],
  ['a body that is cut short', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok'],
  ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(64 * 1024)}`],
] as const) {
  test(`not healthy: ${name}`, async context => {
    const server = await listenRaw(context, () => answer);
    assert.notEqual(await probeOnce(server.port), null);
  });
}

test('not healthy: no answer in time', async context => {
  const server = await listenRaw(context, () => null);
  assert.equal(await probeOnce(server.port, {timeoutMs: 50}), 'no answer within 50 ms');
});

test('a TCP probe only connects', async context => {
  const server = await listenRaw(context, () => ok);
  assert.equal(await probeOnce(server.port, {type: 'tcp'}), null);
  assert.deepEqual(server.received, []);
});

for (const type of ['tcp', 'http'] as const) {
  test(`not healthy: nobody listens (${type})`, async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const {port} = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    assert.equal(await probeOnce(port, {type}), 'ECONNREFUSED');
  });

  test(`an address outside the customer's networks is never dialled (${type})`, async context => {
    const server = await listenRaw(context, () => ok);
    const verdict = await probeOnce(server.port, {type}, {scope: {networks: parseCidrs(['10.0.0.0/8']), ownListeners: []}});
    assert.equal(verdict, 'not dialled: outside the permitted networks');
    assert.deepEqual(server.received, []);
  });
}

interface ProberStage {
  readonly prober: Prober;
  readonly slots: SlotBook;
  readonly lines: ReturnType<typeof createLogLines>['lines'];
  readonly probed: Map<number, number>;
  readonly verdicts: Map<number, ProbeVerdict>;
}

/** A prober whose probes are answered from a table: verdicts by port. */
function createProberStage(context: TestContext): ProberStage {
  const {log, lines} = createLogLines();
  const verdicts = new Map<number, ProbeVerdict>();
  const probed = new Map<number, number>();
  const prober = new Prober({
    threads: 1, log, random: () => 0.5,
    probe: async ({port}) => {
      probed.set(port, (probed.get(port) ?? 0) + 1);
      return verdicts.get(port) ?? null;
    },
  });
  context.after(() => prober.stop());
  return {prober, slots: new SlotBook(1), lines, probed, verdicts};
}

function poolOf(ports: readonly number[], health: HealthSnapshot | null = HEALTH): PoolSnapshot {
  return makePool({health, servers: ports.map(port => ({address: '127.0.0.1', port, weight: 1, backup: false, drain: false}))});
}

function update({prober, slots}: ProberStage, pool: PoolSnapshot): (port: number) => EndpointSlot {
  const configuration = slots.assign(makeSnapshot('r', [makeCustomer('acme', {pools: [pool]})]));
  prober.update(configuration);
  return port => {
    const ref = configuration.assignments.get('acme')?.endpoints[endpointKey(pool.name, '127.0.0.1', port)];
    assert.ok(ref !== undefined);
    return new EndpointSlot(ref, 1, 0);
  };
}

test('verdicts reach the slots, and changes the log', async context => {
  const stage = createProberStage(context);
  stage.verdicts.set(2, 'status 500');
  const slotOf = update(stage, poolOf([1, 2]));
  assert.equal(slotOf(1).health, 'pending');
  await eventually('both are known', () => slotOf(1).health === 'up' && slotOf(2).health === 'down');
  stage.verdicts.set(1, 'ECONNREFUSED').set(2, null);
  await eventually('both have changed', () => slotOf(1).health === 'down' && slotOf(2).health === 'up');
  const changes = stage.lines.map(({level, port, from, to, reason}) => ({level, port, from, to, reason}));
  assert.deepEqual(changes.filter(({port}) => port === 1), [
    {level: 'info', port: 1, from: 'pending', to: 'up', reason: undefined},
    {level: 'warn', port: 1, from: 'up', to: 'down', reason: 'ECONNREFUSED'},
  ]);
});

test('an unchanged endpoint keeps its state over a reload, a removed one is left alone', async context => {
  const stage = createProberStage(context);
  const slotOf = update(stage, poolOf([1, 2]));
  await eventually('both are up', () => slotOf(1).health === 'up' && slotOf(2).health === 'up');
  const after = update(stage, poolOf([1, 3]));
  assert.equal(after(1).health, 'up');
  assert.equal(after(3).health, 'pending');
  const before = stage.probed.get(2) ?? 0;
  await eventually('probes go on', () => (stage.probed.get(1) ?? 0) > before + 3 && after(3).health === 'up');
  assert.ok((stage.probed.get(2) ?? 0) <= before + 1);
});

test('a check with other settings keeps the state and starts anew', async context => {
  const stage = createProberStage(context);
  const slotOf = update(stage, poolOf([1]));
  await eventually('it is up', () => slotOf(1).health === 'up');
  const after = update(stage, poolOf([1], {...HEALTH, path: '/other'}));
  assert.equal(after(1).health, 'up');
  const probed = stage.probed.get(1) ?? 0;
  await eventually('probes go on', () => (stage.probed.get(1) ?? 0) > probed + 2);
});

test('a pool without health checks is not probed', async context => {
  const stage = createProberStage(context);
  update(stage, poolOf([1], null));
  update(stage, {...poolOf([2]), name: 'other'});
  await eventually('the other pool is probed', () => (stage.probed.get(2) ?? 0) > 2);
  assert.equal(stage.probed.get(1), undefined);
});

test('a customer that is gone is not probed any more', async context => {
  const stage = createProberStage(context);
  update(stage, poolOf([1]));
  await eventually('it is probed', () => stage.probed.has(1));
  stage.prober.update(stage.slots.assign(makeSnapshot('r', [makeCustomer('globex', {pools: [poolOf([2])]})])));
  const before = stage.probed.get(1) ?? 0;
  await eventually('the other customer is probed', () => (stage.probed.get(2) ?? 0) > 3);
  assert.ok((stage.probed.get(1) ?? 0) <= before + 1);
});

test('a customer that has not changed is compared with the listeners of now', async context => {
  const ports = new Set<number | undefined>();
  const prober = new Prober({
    threads: 1, log: createLogLines().log, random: () => 0.5,
    probe: async ({scope}) => {
      ports.add(scope.ownListeners[0]?.port);
      return null;
    },
  });
  context.after(() => prober.stop());
  const slots = new SlotBook(1);
  const customers = [makeCustomer('acme', {pools: [poolOf([1])]})];
  const [listener] = makeNode().listeners;
  assert.ok(listener !== undefined);
  const before = slots.assign(makeSnapshot('1', customers, makeNode({listeners: [{...listener, port: 1001}]})));
  prober.update(before);
  await eventually('it is probed', () => ports.has(1001));
  const after = slots.assign(makeSnapshot('2', customers, makeNode({listeners: [{...listener, port: 1002}]})), before);
  assert.equal(after.assignments.get('acme'), before.assignments.get('acme'));
  prober.update(after);
  await eventually('it is probed with the new listener', () => ports.has(1002));
});

test('the interval varies by a tenth, and the first probes are spread', async context => {
  const draws = [0.5, 0, 0.5, 0.999_999];
  const probed: number[] = [];
  const {timers} = context.mock;
  timers.enable({apis: ['setTimeout']});
  let nowMs = 0;
  const prober = new Prober({
    threads: 1, log: createLogLines().log, random: () => draws.shift() ?? 0.5,
    probe: async () => {
      probed.push(nowMs);
      return null;
    },
  });
  context.after(() => prober.stop());
  prober.update(new SlotBook(1).assign(makeSnapshot('1', [makeCustomer('acme', {pools: [poolOf([1], {...HEALTH, intervalMs: 10_000})]})])));
  for (; nowMs < 35_000; nowMs += 100) {
    timers.tick(100);
    // What a timer begins goes on in microtasks.
    await new Promise(resolve => { setImmediate(resolve); });
  }
  assert.deepEqual(probed, [400, 9_400, 19_400, 30_400]);
});
