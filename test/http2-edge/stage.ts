/** What the tests of HTTP/2 over real sockets stand on. */
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {makeCertificate} from '#test/config/certificates.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness, type HarnessOptions, type Scope} from '#test/support/proxy-harness.ts';
import {HTTP, HTTPS, acme, certificate} from '#test/support/snapshots.ts';

const NAMES = ['acme.test', '*.acme.test'];
export const PAIR = await makeCertificate(NAMES);

export interface Stage {
  readonly proxy: ProxyHarness;
  /** Serves `acme.test`. */
  readonly upstream: FakeUpstream;
}

export interface StageOptions {
  readonly acme?: Parameters<typeof acme>[1];
  readonly customers?: (upstream: FakeUpstream) => readonly CustomerSnapshot[];
  readonly node?: HarnessOptions['node'];
}

/** `acme.test` over TLS and in the clear; and whoever else is named. */
export async function startStage(scope: Scope, options: StageOptions = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(scope);
  const customers = [
    {...acme([upstream.port], {pool: {connectionsMax: 200}, ...options.acme}), certificates: [certificate(PAIR, NAMES)]},
    ...options.customers?.(upstream) ?? [],
  ];
  const proxy = await ProxyHarness.start(scope, {customers, node: {listeners: [HTTP, HTTPS], ...options.node}});
  return {proxy, upstream};
}
