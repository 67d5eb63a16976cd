import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {Snapshot} from '#src/config/snapshot.ts';
import {createSharedMemory, forgetPlacesOfThread} from '#src/control/shared-memory.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {Supervisor, type SupervisorTimings} from '#src/control/supervisor.ts';
import {NODE, NODE_ROW_LENGTH, sumRows} from '#src/shared/counters.ts';
import type {BanOrder, SharedMemory} from '#src/shared/messages.ts';
import {eventually} from '#test/support/eventually.ts';
import type {FakeCommand, FakeRecord} from '#test/control/fixtures/fake-worker.ts';
import {createLogLines, type LogLine} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

const THREADS = 2;

interface Stage {
  readonly supervisor: Supervisor;
  readonly slots: SlotBook;
  readonly memory: SharedMemory;
  readonly records: FakeRecord[];
  readonly lines: LogLine[];
  /** What threads want banned, with who wants it. */
  readonly banOrders: (readonly [order: BanOrder, source: string])[];
  readonly command: (command: FakeCommand) => void;
}

interface StageOptions {
  readonly timings?: Partial<SupervisorTimings>;
  readonly clock?: () => number;
}

function createStage(context: TestContext, {timings, clock = () => performance.now()}: StageOptions = {}): Stage {
  const memory = createSharedMemory(THREADS, 100);
  const channel = new BroadcastChannel(Buffer.from(memory.hashSecret).toString('hex'));
  const records: FakeRecord[] = [];
  channel.addEventListener('message', event => void records.push(event.data as FakeRecord));
  const {log, lines} = createLogLines();
  const slots = new SlotBook(THREADS);
  const banOrders: (readonly [BanOrder, string])[] = [];
  const supervisor = new Supervisor({
    workerUrl: new URL('fixtures/fake-worker.ts', import.meta.url),
    threads: THREADS, memory, log, clock, onRuleMatches: () => undefined, onLimitExcesses: () => undefined, onLoginEvents: () => undefined,
    onBan: (...ban) => banOrders.push(ban),
    forgetThread: thread => {
      slots.forgetThread(thread);
      forgetPlacesOfThread(memory, THREADS, thread);
    },
    ...(timings && {timings}),
  });
  context.after(async () => {
    await supervisor.drain(1000);
    channel.close();
  });
  return {supervisor, slots, memory, records, lines, banOrders, command: message => channel.postMessage(message)};
}

async function startStage(context: TestContext, first: Snapshot, options?: StageOptions): Promise<Stage> {
  const stage = createStage(context, options);
  assert.deepEqual(await stage.supervisor.start(stage.slots.assign(first)), {ok: true});
  return stage;
}

function configuresOf(records: readonly FakeRecord[], thread: number): {revision: string; customers: string[]; removed: readonly string[]; hasNode: boolean}[] {
  return records.flatMap(({thread: sender, message}) => (sender !== thread || message.type !== 'configure' ? [] : [{
    revision: message.revision, customers: message.customers.map(({snapshot}) => snapshot.name), removed: message.removed, hasNode: message.node !== null,
  }]));
}

const ACME = makeCustomer('acme'), GLOBEX = makeCustomer('globex');

test('every thread gets the whole first configuration', async context => {
  const {supervisor, records} = await startStage(context, makeSnapshot('r1', [ACME, GLOBEX]));
  assert.equal(supervisor.describeUnreadiness(), null);
  const expected = [{revision: 'r1', customers: ['acme', 'globex'], removed: [], hasNode: true}];
  await eventually('both threads recorded it', () => configuresOf(records, 0).length === 1 && configuresOf(records, 1).length === 1);
  assert.deepEqual([configuresOf(records, 0), configuresOf(records, 1)], [expected, expected]);
});

test('a change carries only what differs', async context => {
  const {supervisor, slots, records} = await startStage(context, makeSnapshot('r1', [ACME, GLOBEX]));
  const changed = {...ACME, revision: '2'};
  assert.deepEqual(await supervisor.configure(slots.assign(makeSnapshot('r2', [changed, makeCustomer('initech')]))), {ok: true});
  await eventually('recorded', () => configuresOf(records, 1).length === 2);
  assert.deepEqual(configuresOf(records, 1)[1], {revision: 'r2', customers: ['initech', 'acme'], removed: ['globex'], hasNode: false});
});

test('a first configuration that one thread refuses ends the start', async context => {
  const {supervisor, slots} = createStage(context);
  assert.deepEqual(await supervisor.start(slots.assign(makeSnapshot('r1', [makeCustomer('refuse-1')]))), {ok: false, error: 'port taken'});
  assert.notEqual(supervisor.describeUnreadiness(), null);
});

test('a configuration that one thread refuses is taken back from the others', async context => {
  const {supervisor, slots, records} = await startStage(context, makeSnapshot('r1', [ACME]));
  const outcome = await supervisor.configure(slots.assign(makeSnapshot('r2', [{...ACME, revision: '2'}, makeCustomer('refuse-1')])));
  assert.deepEqual(outcome, {ok: false, error: 'port taken'});
  await eventually('thread 0 has three', () => configuresOf(records, 0).length === 3);
  assert.deepEqual(configuresOf(records, 0)[2], {revision: 'r1', customers: ['acme'], removed: ['refuse-1'], hasNode: false});
  assert.equal(configuresOf(records, 1).length, 2);
  assert.equal(supervisor.describeUnreadiness(), null);
  assert.deepEqual(await supervisor.configure(slots.assign(makeSnapshot('r3', [ACME, GLOBEX]))), {ok: true});
});

for (const [behaviour, error] of [['die', /died: died of the configuration/], ['silent', /no answer/]] as const) {
  test(`a thread that ${behaviour}s in a configuration is replaced and the change taken back`, async context => {
    const {supervisor, slots, records} = await startStage(context, makeSnapshot('r1', [ACME]), {timings: {configureMs: 3_000}});
    const outcome = await supervisor.configure(slots.assign(makeSnapshot('r2', [makeCustomer(`${behaviour}-1`)])));
    assert.ok(!outcome.ok);
    assert.match(outcome.error, error);
    await eventually('ready again', () => supervisor.describeUnreadiness() === null);
    await eventually('recorded', () => configuresOf(records, 1).length === 3);
    assert.deepEqual(configuresOf(records, 1)[2], {revision: 'r1', customers: ['acme'], removed: [], hasNode: true});
  });
}

for (const command of ['crash', 'exit'] as const) {
  test(`a thread that ends by ${command} is replaced with the configuration in force`, async context => {
    const {supervisor, slots, records, lines, memory, command: send} = await startStage(context, makeSnapshot('r1', [ACME]));
    const second = slots.assign(makeSnapshot('r2', [ACME, GLOBEX]));
    assert.deepEqual(await supervisor.configure(second), {ok: true});
    send({thread: 0, command: 'openConnection'});
    const open = (): number => {
      const row = sumRows(memory.nodeCounters, NODE_ROW_LENGTH, THREADS);
      return (row[NODE.connectionsOpened] ?? 0) - (row[NODE.connectionsClosed] ?? 0);
    };
    await eventually('the connection is counted', () => open() === 1);
    send({thread: 0, command});
    await eventually('it was replaced', () => supervisor.reportThreads()[0]?.restarts === 1 && supervisor.describeUnreadiness() === null);
    await eventually('recorded', () => configuresOf(records, 0).length === 3);
    assert.deepEqual(configuresOf(records, 0)[2], {revision: 'r2', customers: ['acme', 'globex'], removed: [], hasNode: true});
    assert.equal(configuresOf(records, 1).length, 2);
    assert.equal(open(), 0);
    const stacks = lines.flatMap(({err}) => (err === undefined ? [] : [JSON.stringify(err)]));
    if (command === 'crash') assert.match(stacks.join('\n'), /crashed on command.*fake-worker/);
    else assert.ok(lines.some(({exitCode}) => exitCode === 3));
  });
}

for (const command of ['block', 'mute'] as const) {
  test(`a thread that is silent (${command}) is replaced`, async context => {
    const {supervisor, lines, command: send} = await startStage(context, makeSnapshot('r1'), {timings: {silenceMs: 2_000, checkEveryMs: 20}});
    send({thread: 1, command});
    await eventually('it was replaced', () => supervisor.reportThreads()[1]?.restarts === 1 && supervisor.describeUnreadiness() === null);
    assert.equal(supervisor.reportThreads()[0]?.restarts, 0);
    assert.ok(lines.some(({msg, thread}) => msg.includes('hangs') && thread === 1));
  });
}

test('a pause of the whole process is nobody\'s fault', async context => {
  const clock = {offsetMs: 0};
  const timings = {silenceMs: 2_000, checkEveryMs: 20};
  const {supervisor, lines} = await startStage(context, makeSnapshot('r1'), {timings, clock: () => performance.now() + clock.offsetMs});
  await eventually('heartbeats arrive', () => supervisor.reportThreads().every(({loopDelayMaxMs}) => loopDelayMaxMs === 2));
  clock.offsetMs = 60_000;
  await new Promise(resolve => setTimeout(resolve, 100));
  assert.deepEqual(lines.filter(({level}) => level === 'error'), []);
});

test('log lines of a thread carry its number', async context => {
  const {lines, command} = await startStage(context, makeSnapshot('r1'));
  command({thread: 1, command: 'log', message: 'hello'});
  await eventually('logged', () => lines.some(({msg}) => msg === 'hello'));
  const line = lines.find(({msg}) => msg === 'hello');
  assert.deepEqual([line?.level, line?.['thread'], line?.['threads']], ['warn', 1, THREADS]);
});

test('a thread can ask for a ban', async context => {
  const {banOrders, command} = await startStage(context, makeSnapshot('r1'));
  const order: BanOrder = {customer: 'acme', network: '192.0.2.1', reason: 'failed logins', forMs: 60_000};
  command({thread: 1, command: 'ban', order});
  await eventually('it is heard', () => banOrders.length > 0);
  assert.deepEqual(banOrders, [[order, 'fake_worker']]);
});

test('ticket keys are the same for all threads, and a replacement gets the latest', async context => {
  const {supervisor, records, command} = await startStage(context, makeSnapshot('r1'));
  const keysOf = (type: 'started' | 'ticketKeys'): string[] => records.flatMap(({message}) => {
    if (message.type !== type) return [];
    return [Buffer.from(message.type === 'started' ? message.ticketKeys : message.keys).toString('hex')];
  });
  await eventually('both have started', () => keysOf('started').length === THREADS);
  supervisor.rotateTicketKeys();
  await eventually('both got new ones', () => keysOf('ticketKeys').length === THREADS);
  command({thread: 0, command: 'exit'});
  await eventually('thread 0 was replaced', () => keysOf('started').length === THREADS + 1);
  const [first, latest] = [keysOf('started')[0] ?? '', keysOf('ticketKeys')[0] ?? ''];
  assert.match(first, /^[0-9a-f]{96}$/);
  assert.match(latest, /^[0-9a-f]{96}$/);
  assert.notEqual(first, latest);
  assert.deepEqual([keysOf('started'), keysOf('ticketKeys')], [[first, first, latest], [latest, latest]]);
});

test('a drain ends all threads; one that never finishes is terminated', async context => {
  const {supervisor, lines, command, records} = await startStage(context, makeSnapshot('r1'), {timings: {drainGraceMs: 50}});
  command({thread: 1, command: 'stubborn'});
  // A command of its own is answered after it: the thread has read both.
  command({thread: 1, command: 'log', message: 'read'});
  await eventually('the thread has read it', () => lines.some(({msg}) => msg === 'read'));
  await supervisor.drain(50);
  assert.equal(supervisor.describeUnreadiness(), 'draining');
  assert.ok(records.some(({message}) => message.type === 'drain' && message.drainMs === 50));
  assert.ok(lines.some(({msg}) => msg.includes('did not finish its drain')));
  assert.deepEqual(lines.filter(({msg}) => msg.includes('replaced')), []);
});
