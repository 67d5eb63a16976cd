/** Attacks over HTTP/2, in the four steps of `attack.ts`: frames come in; what may not reach the upstream does not; others notice nothing; the fault is counted. */
import assert from 'node:assert/strict';
import type {TestContext} from 'node:test';
import type {FaultCode} from '#src/core/faults.ts';
import {assertServes, type Target} from '#test/support/attack.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK} from '#test/support/fake-upstream.ts';
import {GET, Http2Client} from '#test/support/http2-client.ts';
import {request} from '#test/http2/frames.ts';

export interface Http2Attack {
  readonly fault: FaultCode;
  /** How often the fault is counted: once for the connection or stream, and once for each request that ends with its connection. */
  readonly count?: number;
  /** Faults on the way to this one. */
  readonly besides?: Readonly<Partial<Record<FaultCode, number>>> | undefined;
  /** Requests that may reach the upstream. */
  readonly requestsMax?: number;
  /** Returns when the attack is over; asserts how it ended for the attacker. */
  readonly act: (client: Http2Client) => Promise<void>;
}

const EVENT = 'data: 1\n\n';
const EVENT_CHUNK = `9\r\n${EVENT}\r\n`;
const EVENTS_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

/** Another client, to whom events flow while the attack goes on: the one response that lives as long as attacks that take their time. */
async function openBystander(context: TestContext, {proxy, upstream}: Target): Promise<{finish: () => Promise<void>}> {
  const client = await Http2Client.open(context, proxy);
  upstream.respond = () => `${EVENTS_HEAD}${EVENT_CHUNK}`;
  client.send(request(1, GET));
  const {peer} = await upstream.nextRequest();
  await eventually('the first event is here', () => client.peek(1).body === EVENT);
  upstream.respond = () => OK;
  return {
    async finish() {
      peer.send(`${EVENT_CHUNK}0\r\n\r\n`);
      const {body, isComplete} = await client.response(1);
      assert.deepEqual([body, isComplete], [EVENT + EVENT, true], 'a request that was in flight gets the rest of its answer');
      assert.equal((await client.ask(3)).status, 200, 'its connection goes on');
      client.destroy();
    },
  };
}

/** The attacker's client is connected, and has sent nothing. */
export async function attackHttp2(context: TestContext, target: Target, attack: Http2Attack): Promise<void> {
  const {proxy, upstream} = target;
  const {fault, count = 1, besides = {}, requestsMax = 0} = attack;
  const bystander = await openBystander(context, target);
  const requestsBefore = upstream.requests.length;
  const faultsBefore = proxy.faults();

  const client = await Http2Client.connect(context, proxy);
  await attack.act(client);
  const requests = upstream.requests.length - requestsBefore;
  assert.ok(requests <= requestsMax, `${requests} requests reached the upstream`);

  await eventually(`${fault} is counted`, () => proxy.fault(fault) > (faultsBefore[fault] ?? 0));
  const added = Object.entries({...besides, [fault]: (besides[fault] ?? 0) + count});
  const expected = {...faultsBefore, ...Object.fromEntries(added.map(([code, more]) => [code, (faultsBefore[code as FaultCode] ?? 0) + more]))};
  assert.deepEqual(proxy.faults(), expected);
  client.destroy();

  upstream.respond = () => OK;
  await bystander.finish();
  await assertServes(context, target);
  const fresh = await Http2Client.open(context, proxy);
  assert.equal((await fresh.ask(1)).status, 200, 'a new connection of HTTP/2 is served');
  fresh.destroy();
  await eventually('the upstream has nothing to do', () => proxy.slot('acme', 'app', upstream.port).requests === 0);
  assert.deepEqual(proxy.reports, []);
}
