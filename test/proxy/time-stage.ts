/** Two customers before one proxy thread. Its clock stands still, so that each event takes what the kernel's part of it is taken for, and no bucket leaks. */
import assert from 'node:assert/strict';
import type {TestContext} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf, type RawMessage} from '#test/support/raw-message.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {HTTPS, certificate, customer, pool, route, site} from '#test/support/snapshots.ts';

export const NAMES = ['flood', 'quiet'] as const;
export type Name = (typeof NAMES)[number];

const PAIRS = {flood: await makeCertificate(['flood.test']), quiet: await makeCertificate(['quiet.test'])} as const;

export interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

export function owner(name: Name, port: number, weight = 1): CustomerSnapshot {
  return customer(name, {
    weight, certificates: [certificate(PAIRS[name], [`${name}.test`])], pools: [pool('app', [port], {connectionsMax: 1000})],
    sites: [site([`${name}.test`], [route('/')])],
  });
}

export async function stage(context: TestContext, names: readonly Name[] = NAMES): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const listeners = [{...HTTPS, name: 'http', protocol: 'http' as const}, HTTPS];
  const proxy = await ProxyHarness.start(context, {customers: names.map((name) => owner(name, upstream.port)), node: {listeners}});
  return {upstream, proxy};
}

export function get(name: Name, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${name}.test\r\n\r\n`;
}

export function connectAll(context: TestContext, {proxy}: Stage, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({length: count}, () => proxy.connect(context)));
}

export async function answersOf(clients: readonly RawClient[]): Promise<readonly RawMessage[]> {
  return Promise.all(clients.map((client) => client.response()));
}

export function statuses(answers: readonly RawMessage[]): Readonly<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const answer of answers) counts[statusOf(answer)] = (counts[statusOf(answer)] ?? 0) + 1;
  return counts;
}

/** Both customers have been seen lately. */
export async function introduce(context: TestContext, set: Stage): Promise<void> {
  for (const name of NAMES) {
    const [client] = await connectAll(context, set, 1);
    client?.send(get(name));
    await client?.response();
  }
}

export function waits({proxy}: Stage, name: Name): number {
  return proxy.customerCounter(name, 'timeWaits');
}

/** Looks after each turn of the event loop: those that wait are let through in a few of them. */
export async function untilSomeWait(set: Stage): Promise<void> {
  const before = waits(set, 'flood');
  for (let turns = 0; waits(set, 'flood') === before; turns++) {
    assert.ok(turns < 100_000, 'nothing waits');
    await setImmediate();
  }
}
