/** Both sides of a WebSocket handshake as bytes. */
import type {TestContext} from 'node:test';
import type {RouteSnapshot, WebSocketSnapshot} from '#src/config/snapshot.ts';
import {computeAccept} from '#src/policy/websocket-handshake.ts';
import {FakeUpstream, OK, type UpstreamPeer} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {fieldOf, type RawMessage} from '#test/support/raw-message.ts';
import {acme} from '#test/support/snapshots.ts';

/** The example of RFC 6455 §1.3. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

export const WEBSOCKET: WebSocketSnapshot = {origins: ['same-origin', 'https://app.test'], isMissingOriginAllowed: true, idleMs: 40_000};

/** Fields by name; null leaves one out, a list repeats it. */
export type Changes = Readonly<Record<string, string | null | readonly string[]>>;

function lines(fields: Changes): string {
  return Object.entries(fields).flatMap(([name, value]) => (value === null ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`))).join('');
}

/** A good handshake but for the changes. */
export function handshake(changes: Changes = {}, startLine = 'GET /ws HTTP/1.1'): string {
  const fields = {host: 'acme.test', upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': '13', 'sec-websocket-key': KEY, ...changes};
  return `${startLine}\r\n${lines(fields)}\r\n`;
}

/** A good answer to the key of RFC 6455 but for the changes. */
export function acceptance(changes: Changes = {}, startLine = 'HTTP/1.1 101 Switching Protocols'): string {
  return `${startLine}\r\n${lines({upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': ACCEPT, ...changes})}\r\n`;
}

/** Answers handshakes as they should be, and other requests with 200. */
export function accept(request: RawMessage): string {
  const key = fieldOf(request, 'sec-websocket-key');
  return fieldOf(request, 'upgrade') === 'websocket' && key !== undefined ? acceptance({'sec-websocket-accept': computeAccept(key)}) : OK;
}

export interface Stage {
  readonly upstream: FakeUpstream;
  readonly proxy: ProxyHarness;
}

/** `acme.test` with WebSockets on every path. */
export async function startStage(context: TestContext, route: Partial<RouteSnapshot> = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = accept;
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port], {route: {websocket: WEBSOCKET, ...route}})]});
  return {upstream, proxy};
}

export interface OpenTunnel {
  readonly client: RawClient;
  readonly peer: UpstreamPeer;
  readonly answer: RawMessage;
}

/** A tunnel: what the client has received and what the peer has received after the handshake begins empty. */
export async function openTunnel(context: TestContext, {proxy, upstream}: Stage, request = handshake()): Promise<OpenTunnel> {
  const client = await proxy.connect(context);
  client.send(request);
  const answer = await client.response();
  const {peer} = await upstream.nextRequest();
  peer.received = '';
  return {client, peer, answer};
}
