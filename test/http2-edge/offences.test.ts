/** What is borne of one connection is not borne of a client that opens one after the other: its offences add up, and it is banned. */
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import {GLITCH_LIMITS, LIMITS} from '#src/core/limits.ts';
import {ERROR, PREFACE} from '#src/http2/frames.ts';
import {data, opening, ping, request} from '#test/http2/frames.ts';
import {startStage, type Stage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {TIMEOUTS} from '#test/support/snapshots.ts';

const ATTACKER = '127.0.0.7';
const BAN = {customer: null, network: `${ATTACKER}/32`, reason: 'floods or violations of HTTP/2 or TLS'};

function connectFrom(context: TestContext, {proxy}: Stage, localAddress: string): Promise<Http2Client> {
  return Http2Client.connect(context, proxy, {localAddress});
}

/** One connection that has to be ended. */
async function violate(context: TestContext, stage: Stage, address = ATTACKER): Promise<void> {
  const client = await connectFrom(context, stage, address);
  client.send(opening(), data(1, 'x'));
  await client.ended();
  client.destroy();
}

const VIOLATIONS_BORNE = LIMITS.offencePointsMax / LIMITS.offencePointsOfConnection;

suite('connections that have to be ended', () => {
  test('are borne up to a number, then their client is banned, and nobody else', async (context) => {
    const stage = await startStage(context);
    const {proxy} = stage;
    for (let i = 0; i < VIOLATIONS_BORNE; i++) await violate(context, stage);
    assert.deepEqual(proxy.bans, []);
    await violate(context, stage);
    assert.deepEqual(proxy.bans, [{...BAN, forMs: LIMITS.offenceBanMs}]);
    proxy.ban(BAN.network, LIMITS.offenceBanMs);
    const refused = await connectFrom(context, stage, ATTACKER);
    assert.equal(refused.tls.isSecure, false, 'before TLS');
    assert.equal(proxy.fault('client_banned'), 1);
    const other = await connectFrom(context, stage, '127.0.0.8');
    other.send(opening());
    assert.equal((await other.ask(1)).status, 200);
  });

  test('are forgiven by time', async (context) => {
    const stage = await startStage(context);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < VIOLATIONS_BORNE; i++) await violate(context, stage);
      stage.proxy.pass(LIMITS.offencePointsMax * LIMITS.offencePointMs);
    }
    assert.deepEqual(stage.proxy.bans, []);
  });

  test('bring a ban of twice the length when they begin anew', async (context) => {
    const stage = await startStage(context);
    for (let i = 0; i < 6 * (VIOLATIONS_BORNE + 1); i++) await violate(context, stage);
    // Up to a bound: any page can make browsers do such things.
    assert.deepEqual(stage.proxy.bans.map(({forMs}) => forMs / LIMITS.offenceBanMs), [1, 2, 4, 8, 15, 15]);
  });

  test('ban nobody who may not be banned: a trusted proxy carries others as well', async (context) => {
    const stage = await startStage(context, {node: {trustedProxies: [ATTACKER]}});
    for (let i = 0; i <= VIOLATIONS_BORNE; i++) await violate(context, stage);
    for (let i = 0; i <= VIOLATIONS_BORNE; i++) await violate(context, stage, '127.0.0.1');
    assert.deepEqual(stage.proxy.bans, []);
  });

  test('are no offence where the client only falls silent', async (context) => {
    const stage = await startStage(context);
    for (let i = 0; i <= VIOLATIONS_BORNE; i++) {
      const client = await connectFrom(context, stage, ATTACKER);
      client.send(PREFACE);
      await eventually('its time is up', () => {
        stage.proxy.pass(TIMEOUTS.requestHeadMs / 2);
        return client.isEnded;
      });
    }
    assert.equal(stage.proxy.fault('request_head_timeout'), VIOLATIONS_BORNE + 1);
    assert.deepEqual(stage.proxy.bans, []);
  });
});

test('floods that stay below what ends a connection add up as well', async (context) => {
  const stage = await startStage(context);
  const {burst} = GLITCH_LIMITS.ping;
  let connections = 0;
  while (stage.proxy.bans.length === 0 && connections < 200) {
    const client = await connectFrom(context, stage, ATTACKER);
    client.send(opening(), ...Array.from({length: burst - 1}, () => ping()), request(1, GET));
    assert.equal((await client.response(1)).status, 200, 'the connection is served');
    client.destroy();
    connections++;
    // Slow enough for what all of a client's connections may do together.
    stage.proxy.pass(5 * LIMITS.clientGlitchQuarterMs);
  }
  // Three quarters of the burst each, and one point that time has forgiven meanwhile.
  assert.equal(connections, Math.floor((LIMITS.offencePointsMax + 1) / 3) + 1);
  assert.deepEqual(stage.proxy.bans, [{...BAN, forMs: LIMITS.offenceBanMs}]);
  assert.deepEqual(stage.proxy.faults(), {});
});

suite('glitches of which no connection has enough to be noticed', () => {
  /** Just below a quarter of what is borne at once. */
  const PINGS = Math.ceil(GLITCH_LIMITS.ping.burst / 4) - 1;

  async function pingALittle(context: TestContext, stage: Stage): Promise<void> {
    const client = await connectFrom(context, stage, ATTACKER);
    client.send(opening(), ...Array.from({length: PINGS}, () => ping()), request(1, GET));
    assert.equal((await client.response(1)).status, 200, 'the connection is served');
    client.destroy();
    await eventually('it is gone', () => stage.proxy.placesOf('connections') === 0);
  }

  test('add up over connections: a flood is not hidden by the number of those', async (context) => {
    const stage = await startStage(context);
    let connections = 0;
    while (stage.proxy.bans.length === 0 && connections < 400) {
      await pingALittle(context, stage);
      connections++;
    }
    // A quarter each, at most (its settings count as well): first what is borne, then an offence with each.
    assert.ok(connections > LIMITS.offencePointsMax && connections <= LIMITS.clientGlitchQuartersMax + LIMITS.offencePointsMax + 5, `${connections} connections`);
    assert.deepEqual(stage.proxy.bans, [{...BAN, forMs: LIMITS.offenceBanMs}]);
  });

  test('are borne of an office that shares an address', async (context) => {
    const stage = await startStage(context);
    for (let i = 0; i < 250; i++) {
      await pingALittle(context, stage);
      stage.proxy.pass(LIMITS.clientGlitchQuarterMs);
    }
    assert.deepEqual(stage.proxy.bans, []);
  });
});

test('a client that is banned while it is connected is answered once more, and its connection ends', async (context) => {
  const stage = await startStage(context);
  const {proxy, upstream} = stage;
  const client = await connectFrom(context, stage, ATTACKER);
  client.send(opening());
  upstream.respond = () => null;
  client.send(request(1, GET));
  const {peer} = await upstream.nextRequest();
  proxy.ban(BAN.network, 60_000);
  client.send(request(3, GET), request(5, GET));
  assert.equal((await client.response(3)).status, 403);
  assert.equal((await client.response(5)).reset, ERROR.REFUSED_STREAM);
  assert.equal(client.goAways.length, 1, 'without a moment\'s grace');
  peer.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  assert.equal((await client.response(1)).body, 'ok', 'what was admitted is finished');
  assert.equal(await client.ended(), ERROR.NO_ERROR);
  await eventually('all are counted', () => proxy.fault('client_banned_here') === 1);
  assert.deepEqual(proxy.faults(), {client_banned_here: 1});
});
