/** A connection of a crowd is not read before its turn: what its client sends meanwhile is answered all the same, in order and whole. */
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {eventually} from '#test/support/eventually.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {route, site} from '#test/support/snapshots.ts';
import {connectAll, get, introduce, owner, stage, statuses, answersOf, waits, type Stage} from '#test/proxy/time-stage.ts';

const CROWD = 100, ROUNDS = 20;

/** What one client does on its connection, again and again. Throws where an answer is not the one to what it asked. */
type Habit = (client: RawClient, round: number) => Promise<void>;

async function expectPath(client: RawClient, path: string): Promise<void> {
  const {startLine, body} = await client.response();
  assert.deepEqual([statusOf({startLine}), body], [200, path]);
}

const HABITS: Readonly<Record<string, Habit>> = {
  'one request': async (client, round) => {
    client.send(get('flood', `/${round}`));
    await expectPath(client, `/${round}`);
  },
  'two requests at once': async (client, round) => {
    client.send(get('flood', `/${round}a`) + get('flood', `/${round}b`));
    await expectPath(client, `/${round}a`);
    await expectPath(client, `/${round}b`);
  },
  'a request in two pieces': async (client, round) => {
    client.send('GET /');
    await setImmediate();
    client.send(`${round} HTTP/1.1\r\nhost: flood.test\r\n\r\n`);
    await expectPath(client, `/${round}`);
  },
  'a body that comes after its request was refused, with a part of the next head': async (client, round) => {
    client.send('POST /refused HTTP/1.1\r\nhost: flood.test\r\ncontent-length: 10\r\n\r\n');
    assert.equal(statusOf(await client.response()), 403);
    client.send(`0123456789GET /${round} HTTP/1.1\r\nhost: fl`);
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    client.send('ood.test\r\n\r\n');
    await expectPath(client, `/${round}`);
  },
  'a body in two pieces': async (client, round) => {
    client.send(`POST /${round} HTTP/1.1\r\nhost: flood.test\r\ncontent-length: 10\r\n\r\n01234`);
    await setImmediate();
    client.send('56789');
    await expectPath(client, `/${round}`);
  },
};

async function stageEcho(context: TestContext): Promise<Stage> {
  const set = await stage(context);
  set.upstream.respond = ({startLine}) => {
    const path = startLine.split(' ')[1] ?? '';
    return `HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`;
  };
  const {port} = set.upstream, refused = route('/refused', {deny: ['127.0.0.0/8']});
  await set.proxy.reload({customers: [{...owner('flood', port), sites: [site(['flood.test'], [route('/'), refused])]}, owner('quiet', port)]});
  await introduce(context, set);
  return set;
}

function connectTlsAll(context: TestContext, {proxy}: Stage, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({length: count}, () => proxy.connectTls(context, {servername: 'flood.test'})));
}

for (const [way, connect] of [['cleartext', connectAll], ['TLS', connectTlsAll]] as const) {
  for (const [name, habit] of Object.entries(HABITS)) {
    test(`a crowd over ${way}, each with ${name} after the other`, async (context) => {
      const set = await stageEcho(context), crowd = await connect(context, set, CROWD);
      await Promise.all(crowd.map(async (client) => {
        for (let round = 0; round < ROUNDS; round++) await habit(client, round);
      }));
      assert.ok(waits(set, 'flood') > CROWD, `${waits(set, 'flood')} waits`);
      const quiet = await connectAll(context, set, 10);
      for (const client of quiet) client.send(get('quiet'));
      assert.deepEqual(statuses(await answersOf(quiet)), {200: 10});
      assert.deepEqual([set.proxy.faults(), set.proxy.reports], [name.includes('refused') ? {access_denied: CROWD * ROUNDS} : {}, []]);
    });
  }
}

test('clients that go away while they are not read leave nothing behind', async (context) => {
  const set = await stageEcho(context), crowd = await connectAll(context, set, CROWD);
  await Promise.all(crowd.map(async (client) => {
    for (let round = 0; round < ROUNDS; round++) await HABITS['one request']?.(client, round);
    client.destroy();
  }));
  await eventually('all connections are closed', () => set.proxy.counter('connectionsClosed') >= CROWD);
  assert.equal(set.proxy.placesOf('connections', 'flood'), 1);
  assert.deepEqual(set.proxy.reports, []);
});

test('what is here unread when a drain begins is answered, as the last of its connection', async (context) => {
  const set = await stageEcho(context), crowd = await connectAll(context, set, CROWD);
  let answers = 0;
  const last = await Promise.all(crowd.map(async (client) => {
    for (;;) {
      client.send(get('flood'));
      const answer = await client.response();
      if (fieldOf(answer, 'connection') === 'close') return answer;
      if (++answers === CROWD * ROUNDS) set.proxy.proxy.beginDrain();
    }
  }));
  assert.deepEqual(statuses(last), {200: CROWD});
  assert.deepEqual([set.proxy.faults(), set.proxy.reports], [{}, []]);
});

test('clients of a customer that is taken away while they are not read are told so', async (context) => {
  const set = await stageEcho(context), crowd = await connectAll(context, set, CROWD), reloads: Promise<unknown>[] = [];
  let answers = 0;
  const last = await Promise.all(crowd.map(async (client) => {
    for (;;) {
      client.send(get('flood'));
      const answer = await client.response();
      if (statusOf(answer) !== 200) return answer;
      if (++answers === CROWD * ROUNDS) reloads.push(set.proxy.reload({customers: [owner('quiet', set.upstream.port)]}));
    }
  }));
  await Promise.all(reloads);
  assert.deepEqual(statuses(last), {421: CROWD});
  assert.deepEqual(set.proxy.reports, []);
});

test('who is alone on the thread again does not rest', async (context) => {
  const set = await stageEcho(context), crowd = await connectAll(context, set, CROWD), marks: number[] = [];
  let answers = 0;
  await Promise.all(crowd.map(async (client) => {
    for (let round = 0; round < 3 * ROUNDS; round++) {
      await HABITS['one request']?.(client, round);
      if (++answers % (CROWD * ROUNDS / 2) !== 0) continue;
      marks.push(waits(set, 'flood'));
      // So that nobody's turn is late, and the other customer is forgotten after a few of them.
      set.proxy.pass(LIMITS.timeActiveMs / 2);
    }
  }));
  assert.ok(marks[0] !== undefined && marks[0] > CROWD, `${marks.join()} waits`);
  assert.equal(marks.at(-1), marks.at(-2), `${marks.join()} waits`);
});
