/**
 * One customer's clients and applications against another customer, over one client connection and over connections that are used again. Of
 * certificates, resumption and HTTP/2: test/proxy/tls.test.ts and test/http2-edge/requests.test.ts; of pools: test/proxy/replay.test.ts.
 */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldsOf, statusOf} from '#test/support/raw-message.ts';
import {acme, customer, pool, route, site} from '#test/support/snapshots.ts';

const mine = await FakeUpstream.start({after});
const theirs = await FakeUpstream.start({after});
const other = customer('other', {pools: [pool('app', [theirs.port])], sites: [site(['other.test'], [route('/')])]});
const proxy = await ProxyHarness.start({after}, {customers: [acme([mine.port]), other]});

const ask = (host: string, path = '/', fields = ''): string => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n`;

beforeEach(() => {
  for (const upstream of [mine, theirs]) {
    upstream.forget();
    upstream.respond = () => OK;
  }
});

describe('over one connection of a client', () => {
  test('each request goes to the customer of its own host, and says so (first-request routing, Kettle 2022)', async (context) => {
    const client = await proxy.connect(context);
    client.send(['acme.test', 'other.test', 'acme.test:80', 'other.test', 'unknown.test', 'acme.test'].map((host) => ask(host)).join(''));
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push(statusOf(await client.response()));
    assert.deepEqual(statuses, [200, 200, 200, 200, 421, 200]);
    assert.deepEqual(mine.requests.slice(-3).map((request) => [fieldsOf(request, 'host'), fieldsOf(request, 'x-forwarded-host')]), [['acme.test'], ['acme.test:80'], ['acme.test']].map((host) => [host, host]));
    assert.ok(theirs.requests.every((request) => fieldsOf(request, 'host').join() === 'other.test' && fieldsOf(request, 'x-forwarded-host').join() === 'other.test'));
  });

  test('cookies and credentials of one request are in no other', async (context) => {
    const client = await proxy.connect(context);
    client.send(ask('acme.test', '/', 'cookie: mine=1\r\nauthorization: Bearer mine\r\n') + ask('other.test'));
    await client.response();
    await client.response();
    assert.ok(!(await theirs.nextRequest()).raw.includes('mine'));
  });
});

describe('a hostile application', () => {
  test('that leaves bytes behind reaches no client of another customer, nor the next one of its own', async (context) => {
    const before = proxy.fault('upstream_surplus');
    const [victim, neighbour] = [await proxy.connect(context), await proxy.connect(context)];
    victim.send(ask('acme.test'));
    await victim.response();
    (await mine.nextRequest()).peer.send('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil');
    await eventually('it is counted', () => proxy.fault('upstream_surplus') === before + 1);
    for (const [client, host] of [[victim, 'acme.test'], [neighbour, 'other.test']] as const) {
      client.send(ask(host));
      assert.equal((await client.response()).body, 'ok');
    }
  });

  test('that never answers holds up nobody else', async (context) => {
    mine.respond = () => null;
    const stuck = [await proxy.connect(context), await proxy.connect(context), await proxy.connect(context)];
    for (const client of stuck) client.send(ask('acme.test'));
    const neighbour = await proxy.connect(context);
    neighbour.send(ask('other.test'));
    assert.equal((await neighbour.response()).body, 'ok');
    for (const client of stuck) client.destroy();
  });

  test('that reflects another host in a redirect changes nothing of where requests go', async (context) => {
    mine.respond = () => 'HTTP/1.1 302 Found\r\nlocation: http://other.test/\r\ncontent-length: 0\r\n\r\n';
    const before = theirs.requests.length;
    const client = await proxy.connect(context);
    client.send(ask('acme.test'));
    assert.equal(statusOf(await client.response()), 302);
    assert.equal(theirs.requests.length, before);
  });
});

test('a customer that is taken away is gone for connections that are open, and its neighbours are not', async (context) => {
  const stage = await ProxyHarness.start(context, {customers: [acme([mine.port]), other]});
  const client = await stage.connect(context);
  client.send(ask('acme.test'));
  await client.response();
  await stage.reload({customers: [other]});
  client.send(ask('acme.test') + ask('other.test'));
  assert.deepEqual([statusOf(await client.response()), statusOf(await client.response())], [421, 200]);
});
