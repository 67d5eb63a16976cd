import assert from 'node:assert/strict';
import type {TestContext} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {eventually} from '#test/support/eventually.ts';
import {OK, type FakeUpstream, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, fieldsOf, statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {readStrictRequests} from '#test/support/strict-message.ts';

export interface Target {
  readonly proxy: ProxyHarness;
  /** Serves `acme.test`. */
  readonly upstream: FakeUpstream;
}

export const PROBE = 'GET /probe HTTP/1.1\r\nhost: acme.test\r\n\r\n';

/** The proxy is in step: a new client is answered, and the upstream sees its request and nothing besides. */
export async function assertServes(context: TestContext, {proxy, upstream}: Target): Promise<void> {
  upstream.forget();
  const client = await proxy.connect(context);
  client.send(PROBE);
  assert.equal(statusOf(await client.response()), 200, 'a new connection is served');
  assert.equal((await upstream.nextRequest()).startLine, 'GET /probe HTTP/1.1');
  client.destroy();
  await proxy.forgetLog();
}

/** Exactly one fault was counted: this one. */
async function assertCounted(proxy: ProxyHarness, before: Readonly<Partial<Record<FaultCode, number>>>, fault: FaultCode): Promise<void> {
  await eventually(`${fault} is counted`, () => proxy.fault(fault) > (before[fault] ?? 0));
  assert.deepEqual(proxy.faults(), {...before, [fault]: (before[fault] ?? 0) + 1});
}

/**
 * An attack in four steps: raw bytes in, which are refused with the fault's status; nothing reached the upstream; a new connection is
 * served; the fault was counted once, and is in the access log. Returns the answer.
 */
export async function attack(context: TestContext, target: Target, bytes: string, fault: FaultCode): Promise<RawMessage> {
  const {proxy, upstream} = target;
  const rule = FAULTS[fault];
  const before = proxy.faults();
  const bytesBefore = upstream.bytesReceived;
  const peersBefore = upstream.peers.length;
  await proxy.forgetLog();

  const client = await proxy.connect(context);
  client.send(bytes);
  const response = await client.response(bytes.startsWith('HEAD ') ? 'HEAD' : 'GET');
  assert.equal(statusOf(response), rule.status);
  assert.equal(fieldsOf(response, 'connection').includes('close'), !rule.reusable);
  if (!rule.reusable) assert.equal(await client.ended(), 'orderly');
  assert.equal(client.received, '', 'one answer and not a byte more');
  client.destroy();

  assert.equal(upstream.bytesReceived, bytesBefore, 'nothing reached the upstream');
  assert.equal(upstream.peers.length, peersBefore, 'no upstream was dialled');
  await assertCounted(proxy, before, fault);
  const line = await proxy.nextLogLine();
  assert.deepEqual({fault: line['fault'], status: line['status'], upstream: line['upstream']}, {fault, status: rule.status, upstream: ''});
  await assertServes(context, target);
  assert.deepEqual(proxy.reports, []);
  return response;
}

/**
 * An attack that need not be refused, because nothing is left of it: the application sees one request, which nobody can read in two ways and
 * which says nothing of what the attacker wants; the client gets one answer; nothing is counted; a new connection is served. Returns what the
 * application saw.
 */
export async function disarm(context: TestContext, target: Target, bytes: string, wanted = /evil/i): Promise<UpstreamRequest> {
  const {proxy, upstream} = target;
  const before = proxy.faults();
  const bytesBefore = upstream.bytesReceived;
  upstream.forget();
  upstream.respond = ({startLine}) => (startLine.startsWith('HEAD ') ? 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n' : OK);
  await proxy.forgetLog();

  const client = await proxy.connect(context);
  client.send(bytes);
  assert.equal(statusOf(await client.response(bytes.split(' ')[0])), 200);
  assert.equal(client.received, '', 'one answer and not a byte more');
  client.destroy();

  const request = await upstream.nextRequest();
  assert.equal(readStrictRequests(request.raw).length, 1);
  assert.equal(upstream.bytesReceived - bytesBefore, request.raw.length, 'one request and not a byte more');
  assert.doesNotMatch(request.raw, wanted);
  assert.deepEqual(proxy.faults(), before);
  await assertServes(context, target);
  assert.deepEqual(proxy.reports, []);
  return request;
}

/**
 * The same with an upstream as the attacker: its bytes are not handed on, the client reads the fault's status, the connection to the
 * upstream is destroyed and never used again.
 */
export async function attackFromUpstream(context: TestContext, target: Target, bytes: string, fault: FaultCode, request = PROBE): Promise<RawMessage> {
  const {proxy, upstream} = target;
  const before = proxy.faults();
  await proxy.forgetLog();
  upstream.forget();
  upstream.respond = () => bytes;

  const client = await proxy.connect(context);
  client.send(request);
  const response = await client.response(request.split(' ')[0]);
  assert.equal(statusOf(response), FAULTS[fault].status);
  assert.equal(fieldOf(response, 'connection'), undefined, 'the client is not to blame and keeps its connection');
  assert.ok(!/evil/i.test(response.raw), 'nothing of the upstream is in the answer');
  const {peer} = await upstream.nextRequest();
  await eventually('the upstream connection is destroyed', () => !peer.isOpen);
  await assertCounted(proxy, before, fault);
  assert.equal((await proxy.nextLogLine())['fault'], fault);

  upstream.respond = () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  client.send(PROBE);
  assert.equal((await client.response()).body, 'ok', 'the client\'s next request gets its own answer');
  await assertServes(context, target);
  assert.deepEqual(proxy.reports, []);
  return response;
}
